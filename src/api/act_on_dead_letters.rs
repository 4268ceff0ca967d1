//! `POST /api/dead-letters/redrive` and `POST /api/dead-letters/drop`: another try for some, or the end of them.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::access::caller::Caller;
use super::extract::Object;
use super::idempotency::KeyHeader;
use super::list_dead_letters::selection;
use super::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::dead_letters::{self, Acted, Cause, Limits, Selection};

/// Which dead letters; all of what is said must hold.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterChoice)]
pub struct Chosen {
    /// These.
    #[serde(default)]
    ids: Vec<i64>,
    /// Of this source.
    source: Option<String>,
    /// Of this type; a star stands for anything.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// With this text in the reason, in any case.
    reason: Option<String>,
    /// Given up since this date or moment.
    since: Option<String>,
    /// Given up before this date or moment.
    until: Option<String>,
    /// All of them: needed where nothing else is said.
    #[serde(default)]
    all: bool,
    /// Only say which those are.
    #[serde(default)]
    dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetterOutcome)]
pub struct Outcome {
    /// Whether nothing was done.
    dry_run: bool,
    /// Letters redriven or dropped; of a dry run, those that would be.
    letters: u64,
    /// Letters left where they are: internal events do not travel, `memberflow rebuild` derives what they say.
    left: u64,
    /// Whether there are more: one request takes 10,000. Send it again until there are none.
    has_more: bool,
    /// Of a dry run: what those letters died of.
    causes: Vec<Cause>,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Redrive,
    Drop,
}

/// Gives the chosen letters another try.
#[utoipa::path(
    post,
    path = "/api/dead-letters/redrive",
    operation_id = "redrive_dead_letters",
    tag = "events",
    params(KeyHeader),
    request_body = Chosen,
    responses((status = 200, body = Outcome, description = "As asked for")),
)]
pub async fn redrive(
    State(state): State<ApiState>,
    caller: Caller,
    Object(chosen): Object<Chosen>,
) -> Result<Json<Outcome>, Problem> {
    act(&state, &caller, chosen, Act::Redrive).await.map(Json)
}

/// Drops the chosen letters for good.
#[utoipa::path(
    post,
    path = "/api/dead-letters/drop",
    operation_id = "drop_dead_letters",
    tag = "events",
    params(KeyHeader),
    request_body = Chosen,
    responses((status = 200, body = Outcome, description = "As asked for")),
)]
pub async fn drop_all(
    State(state): State<ApiState>,
    caller: Caller,
    Object(chosen): Object<Chosen>,
) -> Result<Json<Outcome>, Problem> {
    act(&state, &caller, chosen, Act::Drop).await.map(Json)
}

async fn act(state: &ApiState, caller: &Caller, chosen: Chosen, act: Act) -> Result<Outcome, Problem> {
    let (all, dry_run) = (chosen.all, chosen.dry_run);
    let Chosen { ids, source, event_type, reason, since, until, .. } = chosen;
    let selection = selection(ids, [source, event_type, reason, since, until])?;
    if selection.is_everything() && !all {
        let detail = "name letters by ids, choose some by source, type, reason, since or until, or take all";
        return Err(problem::bad_request(detail));
    }
    if dry_run {
        return Ok(would_be(&dead_letters::causes(state.store.pool(), &selection).await?, act));
    }
    let Acted { done: letters, left, has_more } = make(state, caller, &selection, act).await?;
    Ok(Outcome { dry_run, letters, left, has_more, causes: Vec::new() })
}

async fn make(
    state: &ApiState,
    caller: &Caller,
    selection: &Selection,
    act: Act,
) -> Result<Acted, sqlx::Error> {
    let limits = Limits::ONE_REQUEST;
    let (pool, clock) = (state.store.pool(), &state.clock);
    match act {
        Act::Redrive => dead_letters::redrive(pool, selection, limits, &caller.actor, clock).await,
        Act::Drop => dead_letters::drop_all(pool, selection, limits, &caller.actor, clock).await,
    }
}

fn would_be(counted: &dead_letters::Causes, act: Act) -> Outcome {
    let stays = |cause: &&Cause| act == Act::Redrive && cause.source == "internal";
    let left: i64 = counted.causes.iter().filter(stays).map(|cause| cause.letters).sum();
    Outcome {
        dry_run: true,
        letters: (counted.letters - left).unsigned_abs(),
        left: left.unsigned_abs(),
        has_more: counted.is_capped,
        causes: counted.causes.clone(),
    }
}
