//! `/console/events`: the events, the newest first.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use time::OffsetDateTime;

use super::search;
use crate::console::html::columns::{self, Choice, Known, usual};
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page_with};
use crate::console::html::query::{Downloads, Listed, Pages, Rows};
use crate::console::html::{format, query};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::envelope::Source;
use crate::ops::events::{self, Event, Filter, Owner, State as EventState};
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
    /// `true`: the objects that are linked with it, too.
    related: String,
    /// A user id or an e-mail address.
    member: String,
    pub(super) state: String,
    /// A moment, a date, or so long ago: `2h`.
    since: String,
    until: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
    /// The whole filter as a line of terms, which becomes the parameters above.
    q: String,
}

impl Params {
    /// The names of the filters, in their order.
    pub(super) const FILTERS: [&str; 8] =
        ["source", "type", "object", "related", "member", "state", "since", "until"];

    pub(in crate::console) fn filters(&self) -> [(&'static str, &str); 8] {
        [
            ("source", &self.source),
            ("type", &self.event_type),
            ("object", &self.object),
            ("related", &self.related),
            ("member", &self.member),
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

    pub(in crate::console) fn filter(&self, now: OffsetDateTime) -> Result<Filter, PageError> {
        if !self.q.is_empty() {
            search::parse(&self.q)?;
            let detail = "q is a search on the page alone: use the parameters that its address gets.";
            return Err(PageError::Invalid(detail.to_owned()));
        }
        let state = query::text("state", &self.state)?.map(|state| state.parse()).transpose();
        Ok(Filter {
            source: query::text("source", &self.source)?,
            event_type: query::text("type", &self.event_type)?,
            subject: query::text("object", &self.object)?,
            related: query::one_of("related", &self.related, &["true"])?.is_some(),
            member: query::text("member", &self.member)?,
            state: state.map_err(PageError::Invalid)?,
            since: query::moment_or_age("since", &self.since, now)?,
            until: query::moment_or_age("until", &self.until, now)?,
        })
    }

    /// The line of terms that is shown.
    fn line(&self) -> String {
        if self.q.is_empty() { search::line(self) } else { self.q.clone() }
    }

    /// Where the list is that a line of terms asks for.
    fn found(&self) -> Result<String, PageError> {
        let columns = self.columns.clone();
        Ok(Self { columns, ..search::parse(&self.q)? }.address(""))
    }
}

/// An event of the list.
struct Listing {
    event: Event,
    /// Whose it is, if that column is shown.
    owner: Option<Owner>,
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    params: Params,
    choices: Vec<Choice>,
    events: Vec<Listing>,
    pages: Pages,
    downloads: Downloads,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Events {
    fn latency(&self, event: &Event) -> String {
        format::latency(&event.latency_s())
    }

    const SOURCES: [Source; 5] = Source::ALL;
    const STATES: [EventState; 4] = EventState::ALL;
}

async fn read(console: &Console, params: &Params, choices: &[Choice]) -> Result<Rows<Listing>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = events::list(console.pool(), &params.filter(console.now())?, cursor, LIMIT).await?;
    let owners = if columns::is_shown(choices, MEMBER) {
        events::owners(console.pool(), &page.events).await?
    } else {
        vec![None; page.events.len()]
    };
    let rows = page.events.into_iter().zip(owners).map(|(event, owner)| Listing { event, owner });
    Ok(Rows { rows: rows.collect(), next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list. A search leads to the address that says the same.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    if !params.q.is_empty()
        && let Ok(address) = params.found()
    {
        return Ok(Redirect::to(&address).into_response());
    }
    let choices = columns::chosen(&COLUMNS, &params.columns);
    let read = read(&console, &params, &choices).await;
    let Listed { status, rows: events, pages, error } =
        Listed::of(read, &params.cursor, |cursor| params.address(cursor))?;
    let page = Events {
        frame: Frame::of(&session, "Events", "Events"),
        choices,
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

/// The column that costs a statement of its own.
const MEMBER: &str = "member";

/// The columns besides the event's name.
const COLUMNS: [Known; 11] = [
    usual("type", "Type"),
    usual("source", "Source"),
    usual("object", "Object"),
    usual(MEMBER, "Member").on_demand(),
    usual("state", "State"),
    usual("happened", "Happened"),
    usual("received", "Received"),
    usual("at", "In this state since"),
    usual("latency", "Latency").on_demand(),
    usual("attempts", "Attempts").on_demand(),
    usual("reason", "Why").on_demand(),
];
