//! `/console/events/{source}/{event_id}`: an event's trace: its path with the times between, what it decided, the rows it
//! changed; its body on request.

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::console::html::error::PageError;
use crate::console::html::format;
use crate::console::html::page::{Frame, page};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::events::{self, Event, Trace};

/// Said in place of a body that is not there any more.
pub(super) const PRUNED: &str = "The body was pruned.";

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
    trace: Trace,
    /// Where it was requested.
    body: Option<String>,
}

/// A step of an event's path.
struct Step {
    name: &'static str,
    at: Option<OffsetDateTime>,
    /// Since the step before, in seconds.
    after_s: Option<f64>,
}

impl EventPage {
    /// From what happened to where the event is now.
    fn path(&self) -> [Step; 3] {
        let Event { occurred_at, received_at, state, at, .. } = &self.trace.event;
        // Clocks differ: what was received before it happened was received at once.
        let between = |from: OffsetDateTime, to: OffsetDateTime| (to - from).as_seconds_f64().max(0.0);
        let (name, is_reached) = match state.as_str() {
            "applied" => ("Applied", true),
            "dead" => ("Dead", true),
            "failing" => ("Failed, tried again", false),
            _ => ("Waits to be applied", false),
        };
        let after_s = at.filter(|_| is_reached).map(|at| between(*received_at, at));
        [
            Step { name: "Happened", at: Some(*occurred_at), after_s: None },
            Step {
                name: "Received",
                at: Some(*received_at),
                after_s: Some(between(*occurred_at, *received_at)),
            },
            Step { name, at: *at, after_s },
        ]
    }

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
    let shown = events::show(console.pool(), &source, &event_id).await?;
    let (trace, bytes) = shown.ok_or_else(|| unknown(&source, &event_id))?;
    let body = if params.body {
        events::note_opened(console.pool(), &trace.event, &session.actor, console.now()).await?;
        Some(if bytes.is_empty() { PRUNED.to_owned() } else { events::lines(&bytes) })
    } else {
        None
    };
    let frame = Frame::of(&session, "Events", format!("Event {}", trace.event.event_id));
    Ok(page(&EventPage { frame, trace, body }))
}

/// There is no such event.
pub(super) fn unknown(source: &str, event_id: &str) -> PageError {
    PageError::Unknown(format!("There is no event {event_id} of {source}."))
}
