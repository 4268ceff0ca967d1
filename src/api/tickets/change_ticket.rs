//! `PATCH /api/tickets/{ticket}`: the status, and who sees to it.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::show_ticket::show;
use crate::api::ApiState;
use crate::api::access::caller::Caller;
use crate::api::extract::Object;
use crate::api::versions::{MatchHeader, Tagged, expected};
use crate::http::problem::Problem;
use crate::ops::tickets::{Change, Detail, change_expected};

/// What is set; what is absent stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TicketChange)]
pub struct Fields {
    /// `open`, `in_progress`, …
    status: Option<String>,
    /// Null gives it to nobody.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Uuid>)]
    assigned_to: Option<Option<Uuid>>,
}

/// Null is a value here, and not "absent".
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Uuid>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Makes the change and answers with the ticket as it is now.
#[utoipa::path(
    patch,
    path = "/api/tickets/{ticket}",
    operation_id = "change_ticket",
    tag = "tickets",
    params(MatchHeader, ("ticket" = String, Path, description = "Its id or number")),
    request_body = Fields,
    responses((
        status = 200,
        body = Detail,
        description = "As asked for",
        headers(("ETag" = String, description = "The version of what people set, for `If-Match`")),
    )),
)]
pub async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    ticket: Path<String>,
    headers: HeaderMap,
    Object(fields): Object<Fields>,
) -> Result<Tagged<Detail>, Problem> {
    let assign = fields.assigned_to.map(Change::Assign);
    let changes: Vec<Change> = fields.status.map(Change::Status).into_iter().chain(assign).collect();
    let (expected, now) = (expected(&headers), state.clock.now());
    change_expected(state.store.pool(), &ticket, &changes, &expected, &caller.actor, now).await?;
    show(State(state), ticket).await
}
