//! `PATCH /api/members/{user_id}`: statuses, tags and notes, set by hand.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::HeaderMap;

use crate::api::access::caller::Caller;
use crate::api::extract::{Object, UserId};
use crate::api::versions::{MatchHeader, Tagged, expected, tagged};
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::members::{self, Change, Detail};

/// Makes the change and answers with the member as it is now.
#[utoipa::path(
    patch,
    path = "/api/members/{user_id}",
    operation_id = "change_member",
    tag = "members",
    params(MatchHeader, ("user_id" = Uuid, Path, description = "The account's id")),
    request_body = Change,
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
    UserId(user_id): UserId,
    headers: HeaderMap,
    Object(change): Object<Change>,
) -> Result<Tagged<Detail>, Problem> {
    let (expected, now) = (expected(&headers), state.clock.now());
    members::change_expected(state.store.pool(), user_id, &change, &expected, &caller.actor, now).await?;
    // A status given back to the rule, and health, which depends on engagement, are as they should be at once.
    state.store.recompute(BTreeSet::new(), BTreeSet::from([user_id])).await?;
    let member = members::show(state.store.pool(), user_id, state.country_code(), state.clock.now()).await?;
    let member = member.ok_or_else(|| problem::no_member(user_id))?;
    Ok(tagged(&member.version(), member))
}
