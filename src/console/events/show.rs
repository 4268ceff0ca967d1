//! `/console/events/{source}/{event_id}`: an event's trace: what it decided, the rows it changed; its body on request.

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::types::Json;

use crate::console::html::error::PageError;
use crate::console::html::format;
use crate::console::html::page::{Frame, page};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::events::{self, Trace};

/// The query string.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::console) struct Params {
    /// Whether the body is shown, which the audit log notes.
    body: bool,
}

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    frame: Frame,
    may_change: bool,
    trace: Trace,
    /// Where it was requested.
    body: Option<String>,
}

impl EventPage {
    /// The columns of a changed row, each with its value before and after.
    fn fields(&self, change: &events::Change) -> Vec<(String, String, String)> {
        fields(change.before.as_ref().map(|Json(row)| row), Some(&change.after.0))
    }
}

/// The columns of a row, each with its value before and after.
pub(super) fn fields(
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
) -> Vec<(String, String, String)> {
    let text = |row: Option<&Map<String, Value>>, column: &str| {
        row.and_then(|row| row.get(column)).map_or_else(|| "–".to_owned(), shown)
    };
    let mut columns: Vec<&String> = before.into_iter().chain(after).flat_map(Map::keys).collect();
    columns.sort_unstable();
    columns.dedup();
    columns.into_iter().map(|it| (it.clone(), text(before, it), text(after, it))).collect()
}

pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Shows it.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    name: Result<Path<(String, String)>, PathRejection>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let (Path((source, event_id)), Query(params)) = (name?, params?);
    let unknown = || PageError::Unknown(format!("There is no event {event_id} of {source}."));
    let (trace, bytes) = events::show(console.pool(), &source, &event_id).await?.ok_or_else(unknown)?;
    let body = if params.body {
        events::note_opened(console.pool(), &trace.event, &session.actor, console.now()).await?;
        Some(text(&bytes))
    } else {
        None
    };
    let frame = Frame::of(&session, "Events", format!("Event {}", trace.event.event_id));
    Ok(page(&EventPage { frame, may_change: session.may_change(), trace, body }))
}

/// A body for reading: JSON in lines, integers as they came; anything else as text.
fn text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "The body was pruned.".to_owned();
    }
    let pretty = serde_json::from_slice::<Value>(bytes).and_then(|body| serde_json::to_string_pretty(&body));
    pretty.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned())
}
