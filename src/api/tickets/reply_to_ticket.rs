//! `POST /api/tickets/{ticket}/replies`: what staff say, to the member or among themselves.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::show_ticket::show;
use crate::api::ApiState;
use crate::api::access::caller::Caller;
use crate::api::extract::Object;
use crate::api::idempotency::KeyHeader;
use crate::api::versions::Tagged;
use crate::http::problem::Problem;
use crate::ops::tickets::{Change, Detail, change};

/// The reply.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TicketReply)]
pub struct Reply {
    #[schema(max_length = 20_000, pattern = r"\S")]
    message: String,
    /// A note that no member sees.
    #[serde(default)]
    is_internal: bool,
    /// Who of the staff says it.
    user_id: Option<Uuid>,
}

/// Says it and answers with the ticket as it is now.
#[utoipa::path(
    post,
    path = "/api/tickets/{ticket}/replies",
    operation_id = "reply_to_ticket",
    tag = "tickets",
    params(KeyHeader, ("ticket" = String, Path, description = "Its id or number")),
    request_body = Reply,
    responses((
        status = 201,
        body = Detail,
        description = "As asked for",
        headers(("ETag" = String, description = "The version of what people set, for `If-Match`")),
    )),
)]
pub async fn reply(
    State(state): State<ApiState>,
    caller: Caller,
    ticket: Path<String>,
    Object(reply): Object<Reply>,
) -> Result<(StatusCode, Tagged<Detail>), Problem> {
    let Reply { message, is_internal, user_id } = reply;
    let reply = Change::Reply { message, is_internal, user_id };
    change(state.store.pool(), &ticket, &[reply], &caller.actor, state.clock.now()).await?;
    Ok((StatusCode::CREATED, show(State(state), ticket).await?))
}
