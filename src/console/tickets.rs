//! `/console/tickets`: the support tickets, the longest waiting first.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;

use super::html::columns::{self, Choice, Known, usual, usual_number};
use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::tickets::{self, Assignee, Filter, PRIORITIES, STATUSES, Ticket, WAITING_FOR};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "tickets";
/// Where the list is.
const HERE: &str = "/console/tickets";
/// Tickets on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    status: String,
    waiting_for: String,
    priority: String,
    category: String,
    /// A user id, or `nobody`.
    assignee: String,
    member: String,
    text: String,
    since: String,
    until: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 9] {
        [
            ("status", &self.status),
            ("waiting_for", &self.waiting_for),
            ("priority", &self.priority),
            ("category", &self.category),
            ("assignee", &self.assignee),
            ("member", &self.member),
            ("text", &self.text),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    fn address(&self, cursor: &str) -> String {
        let rest = [("columns", self.columns.as_str()), ("cursor", cursor)];
        query::address(HERE, self.filters().into_iter().chain(rest))
    }

    pub(super) fn filter(&self) -> Result<Filter, PageError> {
        let assignee = match self.assignee.trim() {
            "nobody" => Some(Assignee::Nobody),
            text => query::user("assignee", text)?.map(Assignee::User),
        };
        Ok(Filter {
            status: query::one_of("status", &self.status, &STATUSES)?,
            waiting_for: query::one_of("waiting_for", &self.waiting_for, &WAITING_FOR)?,
            waiting_before: None,
            priority: query::one_of("priority", &self.priority, &PRIORITIES)?,
            category: query::given(&self.category),
            assignee,
            member: query::user("member", &self.member)?,
            text: query::given(&self.text),
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "tickets/list.html")]
struct Tickets {
    frame: Frame,
    params: Params,
    tickets: Vec<Ticket>,
    pages: Pages,
    downloads: Downloads,
    choices: Vec<Choice>,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
    now: OffsetDateTime,
}

impl Tickets {
    const STATUSES: [&'static str; 5] = STATUSES;
    const PRIORITIES: [&'static str; 4] = PRIORITIES;
    const WAITING_FOR: [&'static str; 2] = WAITING_FOR;

    fn age(&self, since: &OffsetDateTime) -> String {
        format::age(*since, self.now)
    }

    fn shows(&self, column: &str) -> bool {
        columns::is_shown(&self.choices, column)
    }
}

/// The columns besides the number.
const COLUMNS: [Known; 9] = [
    usual("subject", "Subject"),
    usual("from", "From"),
    usual("status", "Status"),
    usual("waiting_for", "Waits for"),
    usual("since", "Since"),
    usual("priority", "Priority"),
    usual("category", "Category"),
    usual_number("replies", "Replies"),
    usual("made", "Made"),
];

async fn read(console: &Console, params: &Params) -> Result<Rows<Ticket>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = tickets::list(console.pool(), &params.filter()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.tickets, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: tickets, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let page = Tickets {
        frame: Frame::of(&session, "Tickets", "Tickets"),
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        now: console.now(),
        tickets,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
}
