//! `/console/revenue/movements`: the movements behind an amount of the waterfall, the newest first.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use crate::console::html::columns::{self, Choice, Known, usual, usual_number};
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page_with};
use crate::console::html::query::{Downloads, Listed, Pages, Rows};
use crate::console::html::{format, query};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::ledger::{self, Cell, KINDS, Listed as Movement};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "revenue/movements";
/// Where the list is.
pub(super) const HERE: &str = "/console/revenue/movements";
/// Movements on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::console) struct Params {
    currency: String,
    month: String,
    kind: String,
    /// As it was known then.
    known_at: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(in crate::console) fn filters(&self) -> [(&'static str, &str); 4] {
        [
            ("currency", &self.currency),
            ("month", &self.month),
            ("kind", &self.kind),
            ("known_at", &self.known_at),
        ]
    }

    fn address(&self, cursor: &str) -> String {
        let rest = [("columns", self.columns.as_str()), ("cursor", cursor)];
        query::address(HERE, self.filters().into_iter().chain(rest))
    }

    pub(in crate::console) fn cell(&self) -> Result<Cell, PageError> {
        if !KINDS.contains(&self.kind.as_str()) {
            return Err(PageError::Invalid(crate::ops::unknown_value("kind", &self.kind, &KINDS)));
        }
        Ok(Cell {
            currency: query::text("currency", &self.currency)?.unwrap_or_default().to_lowercase(),
            month: self.month.trim().parse()?,
            kind: self.kind.clone(),
            known_at: query::end_of(&self.known_at)?,
        })
    }
}

#[derive(Template)]
#[template(path = "movements.html")]
struct Movements {
    frame: Frame,
    params: Params,
    movements: Vec<Movement>,
    pages: Pages,
    downloads: Downloads,
    choices: Vec<Choice>,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Movements {
    const KINDS: [&'static str; 5] = KINDS;

    fn shows(&self, column: &str) -> bool {
        columns::is_shown(&self.choices, column)
    }
}

/// The columns besides the member.
const COLUMNS: [Known; 6] = [
    usual("customer", "Customer"),
    usual("effective", "Effective"),
    usual_number("change", "Change"),
    usual_number("before", "Before"),
    usual_number("after", "After"),
    usual("made_by", "Made by"),
];

async fn read(console: &Console, params: &Params) -> Result<Rows<Movement>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = ledger::movements(console.pool(), &params.cell()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.movements, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: movements, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let page = Movements {
        frame: Frame::of(&session, "Revenue", "Movements of the MRR"),
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        movements,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
}
