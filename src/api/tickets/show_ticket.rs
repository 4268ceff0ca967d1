//! `GET /api/tickets/{ticket}`: one support ticket with everything that was said and decided.

use axum::extract::{Path, State};

use crate::api::versions::{Tagged, tagged};
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::tickets::{self, Detail};

/// Reads the ticket of this id or number.
#[utoipa::path(
    get,
    path = "/api/tickets/{ticket}",
    operation_id = "show_ticket",
    tag = "tickets",
    params(("ticket" = String, Path, description = "Its id or number")),
    responses((
        status = 200,
        body = Detail,
        description = "As asked for",
        headers(("ETag" = String, description = "The version of what people set, for `If-Match`")),
    )),
)]
pub async fn show(
    State(state): State<ApiState>,
    Path(ticket): Path<String>,
) -> Result<Tagged<Detail>, Problem> {
    let detail = tickets::show(state.store.pool(), &ticket).await?;
    let detail = detail.ok_or_else(|| problem::no_ticket(&ticket))?;
    Ok(tagged(&detail.version(), detail))
}
