//! `/console/messages` and `/console/messages/{number}`: the text messages, and those with one number.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::html::columns::{self, Choice, Known, usual};
use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::messages::{self, DIRECTIONS, Filter, Message, STATUSES};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "messages";
/// Where the list is.
const HERE: &str = "/console/messages";
/// Messages on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    status: String,
    direction: String,
    number: String,
    member: String,
    since: String,
    until: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 6] {
        [
            ("status", &self.status),
            ("direction", &self.direction),
            ("number", &self.number),
            ("member", &self.member),
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
        Ok(Filter {
            status: query::one_of("status", &self.status, &STATUSES)?,
            direction: query::one_of("direction", &self.direction, &DIRECTIONS)?,
            number: query::text("number", &self.number)?,
            member: query::user("member", &self.member)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

/// The columns besides the number.
const COLUMNS: [Known; 6] = [
    usual("written", "Written"),
    usual("direction", "Direction"),
    usual("text", "Text"),
    usual("status", "Status"),
    usual("member", "Member"),
    usual("ticket", "Ticket"),
];

async fn read(
    console: &Console,
    filter: Result<Filter, PageError>,
    cursor: &str,
) -> Result<Rows<Message>, PageError> {
    let page = messages::list(console.pool(), &filter?, query::cursor(cursor), LIMIT).await?;
    Ok(Rows { rows: page.messages, next: page.next_cursor, prev: page.prev_cursor })
}

#[derive(Template)]
#[template(path = "messages/list.html")]
struct Messages {
    frame: Frame,
    params: Params,
    messages: Vec<Message>,
    pages: Pages,
    downloads: Downloads,
    choices: Vec<Choice>,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Messages {
    const STATUSES: [&'static str; 5] = STATUSES;
    const DIRECTIONS: [&'static str; 2] = DIRECTIONS;

    fn shows(&self, column: &str) -> bool {
        columns::is_shown(&self.choices, column)
    }
}

/// Shows a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let read = read(&console, params.filter(), &params.cursor).await;
    let Listed { status, rows: messages, pages, error } =
        Listed::of(read, &params.cursor, |cursor| params.address(cursor))?;
    let page = Messages {
        frame: Frame::of(&session, "Messages", "Text messages"),
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        messages,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
}

/// The query string of a conversation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConversationQuery {
    cursor: String,
}

#[derive(Template)]
#[template(path = "messages/conversation.html")]
struct Conversation {
    frame: Frame,
    messages: Vec<Message>,
    pages: Pages,
    error: Option<String>,
}

/// Shows what was written to and by one number.
pub(super) async fn conversation(
    State(console): State<Console>,
    session: Session,
    Path(number): Path<String>,
    query: Result<Query<ConversationQuery>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(ConversationQuery { cursor }) = query?;
    let filter = Filter { number: Some(number.clone()), ..Filter::default() };
    let read = read(&console, Ok(filter), &cursor).await;
    if cursor.is_empty() && read.as_ref().is_ok_and(|read| read.rows.is_empty()) {
        return Err(PageError::Unknown(format!("There is no text message with {number}.")));
    }
    let name: String = form_urlencoded::byte_serialize(number.as_bytes()).collect();
    let path = format!("{HERE}/{}", name.replace('+', "%20"));
    let Listed { status, rows: messages, pages, error } =
        Listed::of(read, &cursor, |cursor| query::address(&path, [("cursor", cursor)]))?;
    let frame = Frame::of(&session, "Messages", format!("Text messages with {number}"));
    Ok(page_with(status, &Conversation { frame, messages, pages, error }))
}
