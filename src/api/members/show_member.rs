//! `GET /api/members/{user_id}`: one member with subscriptions and payments.

use axum::extract::State;

use crate::api::extract::UserId;
use crate::api::versions::{Tagged, tagged};
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::members::{self, Detail};

/// Reads one member.
#[utoipa::path(
    get,
    path = "/api/members/{user_id}",
    operation_id = "show_member",
    tag = "members",
    params(("user_id" = Uuid, Path, description = "The account's id")),
    responses((
        status = 200,
        body = Detail,
        description = "As asked for",
        headers(("ETag" = String, description = "The version of what people set, for `If-Match`")),
    )),
)]
pub async fn show(State(state): State<ApiState>, UserId(user_id): UserId) -> Result<Tagged<Detail>, Problem> {
    let member = members::show(state.store.pool(), user_id, state.country_code(), state.clock.now()).await?;
    let member = member.ok_or_else(|| problem::no_member(user_id))?;
    Ok(tagged(&member.version(), member))
}
