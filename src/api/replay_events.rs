//! `POST /api/events/replay`: applies events again, or says which rows that would change.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use super::access::caller::Caller;
use super::extract::Object;
use super::idempotency::KeyHeader;
use super::{ApiState, problem, query};
use crate::http::problem::Problem;
use crate::ops::rebuild::{Replayed, replay_within};
use crate::store::rebuild::Selection;

/// Which applied events, at most 1,000; all of what is said must hold.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayChoice)]
pub struct Chosen {
    /// These, by the provider's names.
    #[serde(default)]
    ids: Vec<String>,
    /// Of this type.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// About this Stripe customer or an object of its.
    customer: Option<String>,
    /// About this member, a customer of theirs, or what belongs to either: the user id.
    member: Option<Uuid>,
    /// Applied since this date or moment.
    since: Option<String>,
    /// Applied before this date or moment.
    until: Option<String>,
    /// Only say which rows would change.
    #[serde(default)]
    dry_run: bool,
}

/// Applies the chosen events again, with all others about the same rows, and corrects the rows that differ.
#[utoipa::path(
    post,
    path = "/api/events/replay",
    operation_id = "replay_events",
    tag = "events",
    params(KeyHeader),
    request_body = Chosen,
    responses((status = 200, body = Replayed, description = "As asked for")),
)]
pub async fn replay(
    State(state): State<ApiState>,
    caller: Caller,
    Object(chosen): Object<Chosen>,
) -> Result<Json<Replayed>, Problem> {
    let Chosen { ids, event_type, customer, member, since, until, dry_run } = chosen;
    if ids.iter().any(|id| id.contains('\0')) {
        return Err(problem::bad_request("ids hold no NUL character"));
    }
    let selection = Selection {
        ids,
        event_type: query::text("type", event_type)?,
        customer: query::text("customer", customer)?,
        member,
        since: query::moment("since", since.as_deref())?,
        until: query::moment("until", until.as_deref())?,
    };
    Ok(Json(replay_within(&state.store, &selection, dry_run, &caller.actor).await?))
}
