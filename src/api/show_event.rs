//! `GET /api/events/{source}/{event_id}`: one event's trace, and on request its body.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::access::caller::Caller;
use super::extract::Query;
use super::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::events::{self, Trace};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// Whether the body comes along. The audit log names who opened it.
    #[serde(default)]
    body: bool,
}

/// One event and what became of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventDetail)]
pub struct Detail {
    /// Its trace.
    #[serde(flatten)]
    trace: Trace,
    /// What the provider said, as JSON with its numbers as they came, else as text; null once it is pruned. Only where it was
    /// asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Box<RawValue>>,
}

/// Reads the event of this source and name.
#[utoipa::path(
    get,
    path = "/api/events/{source}/{event_id}",
    operation_id = "show_event",
    tag = "events",
    params(("source" = String, Path, description = "The provider's endpoint"), ("event_id" = String, Path, description = "The provider's name of it; write a slash in it as %2F"), Params),
    responses((status = 200, body = Detail, description = "As asked for")),
)]
pub async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    name: Result<Path<(String, String)>, PathRejection>,
    Query(Params { body: is_wanted }): Query<Params>,
) -> Result<Json<Detail>, Problem> {
    let Path((source, event_id)) = name.map_err(|invalid| problem::bad_request(invalid.body_text()))?;
    let pool = state.store.pool();
    let found = if event_id.contains('\0') { None } else { events::show(pool, &source, &event_id).await? };
    let (trace, bytes) = found.ok_or_else(|| problem::no_event(&source, &event_id))?;
    if !is_wanted {
        return Ok(Json(Detail { trace, body: None }));
    }
    events::note_opened(pool, &trace.event, &caller.actor, state.clock.now()).await?;
    let body = if bytes.is_empty() { Box::default() } else { events::body(&bytes) };
    Ok(Json(Detail { trace, body: Some(body) }))
}
