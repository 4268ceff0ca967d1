//! `/console/parked`: what waits for a missing piece, one by one, the longest first. What came by events can be applied
//! again; first it is shown what that would change.

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::events::acts::apply_again;
use super::html::columns::{self, Choice, Known, usual};
use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::selection::Selection;
use super::html::{format, query};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::parked::{self, Filter, Parked, ParkedItem};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "parked";
/// Where the list is.
const HERE: &str = "/console/parked";
/// Parked items on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    reason: String,
    object: String,
    since: String,
    until: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 4] {
        [("reason", &self.reason), ("object", &self.object), ("since", &self.since), ("until", &self.until)]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    fn address(&self, cursor: &str) -> String {
        let rest = [("columns", self.columns.as_str()), ("cursor", cursor)];
        query::address(HERE, self.filters().into_iter().chain(rest))
    }

    pub(super) fn filter(&self) -> Result<Filter, PageError> {
        Ok(Filter {
            reason: query::text("reason", &self.reason)?,
            subject: query::text("object", &self.object)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "parked.html")]
struct List {
    frame: Frame,
    params: Params,
    reasons: Vec<Parked>,
    parked: Vec<ParkedItem>,
    pages: Pages,
    downloads: Downloads,
    choices: Vec<Choice>,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl List {
    fn shows(&self, column: &str) -> bool {
        columns::is_shown(&self.choices, column)
    }
}

/// The columns besides the object.
const COLUMNS: [Known; 4] = [
    usual("reason", "Reason"),
    usual("missing", "What is missing"),
    usual("fix", "What fixes it"),
    usual("since", "Since"),
];

async fn read(console: &Console, params: &Params) -> Result<Rows<ParkedItem>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = parked::page(console.pool(), &params.filter()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.parked, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: parked, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let page = List {
        frame: Frame::of(&session, "Attention", "Parked"),
        reasons: parked::reasons(console.pool()).await?,
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        parked,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
}

/// Shows what applying the chosen ones again would change.
pub(super) async fn act(
    State(console): State<Console>,
    session: Session,
    body: Bytes,
) -> Result<Response, PageError> {
    session.require(ConsoleRole::Operator)?;
    let Selection { mut rows, is_all, params } = Selection::<Params>::parse(&body, "parked", |_, _| false)?;
    if is_all {
        rows = parked::subjects(console.pool(), &params.filter()?).await?;
    }
    let events = parked::events(console.pool(), &rows).await?;
    if events.is_empty() {
        let detail =
            "None of these came by an event that could be applied again. What fixes them stands at each.";
        return Err(PageError::Invalid(detail.to_owned()));
    }
    apply_again(&console, &session, events).await
}
