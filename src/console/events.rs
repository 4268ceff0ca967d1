//! `/console/events`: the events, the newest first.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::html::page::{Frame, PageError, page_with};
use super::html::query::Listed;
use super::html::{format, query};
use super::signing_in::session::Session;
use crate::envelope::Source;
use crate::ops::events::{self, Event, State as EventState, Wanted};

/// Where the list is.
const HERE: &str = "/console/events";
/// Events on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    source: String,
    /// With a star for anything.
    #[serde(rename = "type")]
    event_type: String,
    object: String,
    state: String,
    since: String,
    until: String,
    cursor: String,
}

impl Params {
    fn filters(&self) -> [(&'static str, &str); 6] {
        [
            ("source", &self.source),
            ("type", &self.event_type),
            ("object", &self.object),
            ("state", &self.state),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    fn address(&self, cursor: &str) -> String {
        query::address(HERE, self.filters().into_iter().chain([("cursor", cursor)]))
    }

    fn wanted(&self) -> Result<Wanted, String> {
        Ok(Wanted {
            source: query::text("source", &self.source)?,
            event_type: query::text("type", &self.event_type)?,
            subject: query::text("object", &self.object)?,
            state: query::text("state", &self.state)?.map(|state| state.parse()).transpose()?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    params: Params,
    events: Vec<Event>,
    next: Option<String>,
    error: Option<String>,
}

impl Events {
    const SOURCES: [Source; 5] = Source::ALL;
    const STATES: [EventState; 4] = EventState::ALL;

    fn first(&self) -> String {
        self.params.address("")
    }
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let cursor = Some(params.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let found = match params.wanted() {
        Ok(wanted) => query::said(events::list(console.pool(), &wanted, cursor, LIMIT).await)?,
        Err(detail) => Err(detail),
    };
    let found = found.map(|page| (page.events, page.next_cursor));
    let Listed { status, rows: events, next, error } = Listed::of(found, |cursor| params.address(cursor));
    let frame = Frame::of(&session, "Events", "Events");
    Ok(page_with(status, &Events { frame, params, events, next, error }))
}
