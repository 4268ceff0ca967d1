//! `/console/members/{user_id}/events`: the events about a member, newest first.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::unknown;
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page_with};
use crate::console::html::query::{Listed, Pages, Rows};
use crate::console::html::{format, query};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::events::Event;
use crate::ops::members;

/// Events on a page.
const LIMIT: u32 = 50;

/// The query string.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    cursor: String,
}

#[derive(Template)]
#[template(path = "member/events.html")]
struct EventsPage {
    frame: Frame,
    user_id: Uuid,
    events: Vec<Event>,
    pages: Pages,
    error: Option<String>,
}

async fn read(console: &Console, user_id: Uuid, cursor: &str) -> Result<Rows<Event>, PageError> {
    let page = members::events(console.pool(), user_id, query::cursor(cursor), LIMIT).await?;
    let page = page.ok_or_else(|| unknown(user_id))?;
    Ok(Rows { rows: page.events, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of them.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    user_id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Response, PageError> {
    let Path(user_id) = user_id?;
    let Params { cursor } = query::parse(&uri)?;
    let here = format!("/console/members/{user_id}/events");
    let read = read(&console, user_id, &cursor).await;
    let Listed { status, rows: events, pages, error } =
        Listed::of(read, &cursor, |cursor| query::address(&here, [("cursor", cursor)]))?;
    let frame = Frame::of(&session, "Members", "Events about a member");
    Ok(page_with(status, &EventsPage { frame, user_id, events, pages, error }))
}
