//! `/console/events`: the events, the newest first.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use crate::console::html::columns::{self, Choice, Known};
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page_with};
use crate::console::html::query::{Downloads, Listed, Pages, Rows};
use crate::console::html::{format, query};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::envelope::Source;
use crate::ops::events::{self, Event, State as EventState, Wanted};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "events";
/// Where the list is.
const HERE: &str = "/console/events";
/// Events on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::console) struct Params {
    source: String,
    /// With a star for anything.
    #[serde(rename = "type")]
    event_type: String,
    object: String,
    pub(super) state: String,
    since: String,
    until: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(in crate::console) fn filters(&self) -> [(&'static str, &str); 6] {
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

    pub(super) fn address(&self, cursor: &str) -> String {
        let rest = [("columns", self.columns.as_str()), ("cursor", cursor)];
        query::address(HERE, self.filters().into_iter().chain(rest))
    }

    pub(in crate::console) fn wanted(&self) -> Result<Wanted, PageError> {
        let state = query::text("state", &self.state)?.map(|state| state.parse()).transpose();
        Ok(Wanted {
            source: query::text("source", &self.source)?,
            event_type: query::text("type", &self.event_type)?,
            subject: query::text("object", &self.object)?,
            state: state.map_err(PageError::Invalid)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    may_change: bool,
    params: Params,
    choices: Vec<Choice>,
    events: Vec<Event>,
    pages: Pages,
    downloads: Downloads,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Events {
    const SOURCES: [Source; 5] = Source::ALL;
    const STATES: [EventState; 4] = EventState::ALL;
}

async fn read(console: &Console, params: &Params) -> Result<Rows<Event>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = events::list(console.pool(), &params.wanted()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.events, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: events, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let page = Events {
        frame: Frame::of(&session, "Events", "Events"),
        may_change: session.may_change(),
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        events,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
}

/// The columns besides the event's name.
const COLUMNS: [Known; 8] = [
    known("type", "Type", true),
    known("source", "Source", true),
    known("object", "Object", true),
    known("state", "State", true),
    known("happened", "Happened", true),
    known("received", "Received", true),
    known("at", "In this state since", true),
    known("reason", "Why", false),
];

const fn known(key: &'static str, title: &'static str, is_usual: bool) -> Known {
    Known { key, title, class: "", is_usual }
}
