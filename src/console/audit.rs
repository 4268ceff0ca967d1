//! `/console/audit`: what operators did, the newest first. For admins.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::html::columns::{self, Choice, Known, usual};
use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::audit::{self, AuditEntry, Filter};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "audit";
/// Where the list is.
const HERE: &str = "/console/audit";
/// Acts on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    actor: String,
    act: String,
    /// A user id.
    member: String,
    since: String,
    until: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 5] {
        [
            ("actor", &self.actor),
            ("act", &self.act),
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
            actor: query::text("actor", &self.actor)?,
            act: query::text("act", &self.act)?,
            member: query::user("member", &self.member)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    params: Params,
    acts: Vec<AuditEntry>,
    pages: Pages,
    downloads: Downloads,
    choices: Vec<Choice>,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Audit {
    fn shows(&self, column: &str) -> bool {
        columns::is_shown(&self.choices, column)
    }
}

/// The columns besides the moment.
const COLUMNS: [Known; 4] = [
    usual("who", "Who"),
    usual("what", "What"),
    usual("arguments", "Arguments"),
    usual("outcome", "Outcome"),
];

async fn read(console: &Console, params: &Params) -> Result<Rows<AuditEntry>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = audit::list(console.pool(), &params.filter()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.acts, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    session.require(ConsoleRole::Admin)?;
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: acts, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let page = Audit {
        frame: Frame::of(&session, "Audit", "Audit log"),
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        acts,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
}
