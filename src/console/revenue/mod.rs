//! `/console/revenue`: the MRR at a moment, and how it moved month by month.

pub(super) mod cohort;
mod cohorts;
pub(super) mod movements;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;

use super::html::chart::{Chart, Span};
use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::{format, query};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::ledger::{self, Cohort, Month, Question, Row, Total};

use cohorts::Grid;

/// Where it is.
const HERE: &str = "/console/revenue";

/// The query string; an empty value is what a form sends for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    from: String,
    to: String,
    /// The MRR at its end.
    date: String,
    /// As it was known then.
    known_at: String,
}

/// One currency's months.
struct Currency {
    code: String,
    months: Vec<MonthRow>,
    /// The MRR at the end of each month.
    line: Chart,
    /// From the opening of the first month to the closing of the last.
    waterfall: Chart,
    /// As is known now: of earlier moments there are none.
    cohorts: Vec<Grid>,
}

/// One month.
struct MonthRow {
    row: Row,
    /// The page as of the month's end.
    href: String,
    cells: [CellShown; 5],
}

/// An amount, and where its movements are.
struct CellShown {
    amount: String,
    movements: i64,
    href: String,
}

#[derive(Template)]
#[template(path = "revenue.html")]
struct Revenue {
    frame: Frame,
    params: Params,
    totals: Vec<Total>,
    currencies: Vec<Currency>,
    definition: &'static str,
    at: OffsetDateTime,
    known_at: Option<OffsetDateTime>,
    error: Option<String>,
}

/// The query string, parsed.
struct Request {
    months: Vec<Month>,
    at: Option<OffsetDateTime>,
    known_at: Option<OffsetDateTime>,
}

impl Params {
    fn request(&self, now: OffsetDateTime) -> Result<Request, PageError> {
        let month = |text: &str| query::given(text).map(|text| text.parse::<Month>()).transpose();
        let (from, to) = (month(&self.from)?, month(&self.to)?);
        let (at, known_at) = (query::end_of(&self.date)?, query::end_of(&self.known_at)?);
        let months = ledger::months(from, to.or(at.map(Month::of)), now)?;
        Ok(Request { months, at, known_at })
    }
}

/// Shows it.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let (pool, now) = (console.pool(), console.now());
    let mut page = Revenue {
        frame: Frame::of(&session, "Revenue", "Revenue"),
        totals: Vec::new(),
        currencies: Vec::new(),
        definition: ledger::DEFINITION,
        at: now,
        known_at: None,
        error: None,
        params,
    };
    let Request { months, at, known_at } = match page.params.request(now) {
        Ok(request) => request,
        Err(error) => {
            page.error = Some(error.to_string());
            return Ok(page_with(StatusCode::BAD_REQUEST, &page));
        }
    };
    let answer = ledger::mrr_at(pool, &Question { at, known_at, user_id: None }, now).await?;
    let rows = ledger::waterfall(pool, &months, known_at).await?.rows;
    (page.totals, page.at, page.known_at) = (answer.totals, answer.at, known_at);
    let shown = &months[months.len().saturating_sub(cohorts::MAX)..];
    let cohorts = match known_at {
        Some(_) => Vec::new(),
        None => ledger::cohorts(pool, shown).await?.cohorts,
    };
    page.currencies = by_currency(rows, &cohorts, &page.params.known_at);
    Ok(page_with(StatusCode::OK, &page))
}

/// The rows come by currency.
fn by_currency(rows: Vec<Row>, cohorts: &[Cohort], known_at: &str) -> Vec<Currency> {
    let currency = |rows: &[Row]| {
        let code = rows.first().map_or("", |row| row.currency.as_str());
        let of_currency: Vec<&Cohort> = cohorts.iter().filter(|cohort| cohort.currency == code).collect();
        Currency {
            code: code.to_uppercase(),
            months: rows.iter().map(|row| month(row, rows, known_at)).collect(),
            line: line(rows),
            waterfall: waterfall(rows),
            cohorts: cohorts::grids(&of_currency),
        }
    };
    rows.chunk_by(|one, next| one.currency == next.currency).map(currency).collect()
}

fn month(row: &Row, rows: &[Row], known_at: &str) -> MonthRow {
    let month = row.month.to_string();
    let cell = |kind, amount, movements| CellShown {
        amount: format::money(amount, &row.currency),
        movements,
        href: query::address(
            movements::HERE,
            [("currency", row.currency.as_str()), ("month", &month), ("kind", kind), ("known_at", known_at)],
        ),
    };
    let counts = row.movements;
    let cells = [
        cell("new", row.new, counts.new),
        cell("expansion", row.expansion, counts.expansion),
        cell("contraction", row.contraction, counts.contraction),
        cell("churn", row.churn, counts.churn),
        cell("reactivation", row.reactivation, counts.reactivation),
    ];
    MonthRow { row: row.clone(), href: as_of(row.month, rows, known_at), cells }
}

/// The page with the same `rows` as of the end of `month`.
fn as_of(month: Month, rows: &[Row], known_at: &str) -> String {
    let name = |row: Option<&Row>| row.map_or_else(String::new, |row| row.month.to_string());
    let (from, to, date) = (name(rows.first()), name(rows.last()), month.last_day().to_string());
    query::address(HERE, [("from", from.as_str()), ("to", &to), ("date", &date), ("known_at", known_at)])
}

fn line(rows: &[Row]) -> Chart {
    let span = |row: &Row| Span {
        name: row.month.to_string(),
        from: 0,
        to: row.closing,
        value: format::money(row.closing, &row.currency),
        class: "bar",
    };
    Chart::of(&rows.iter().map(span).collect::<Vec<_>>())
}

fn waterfall(rows: &[Row]) -> Chart {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Chart::of(&[]) };
    let sum = |amount: fn(&Row) -> i64| rows.iter().map(amount).sum::<i64>();
    let moved = [
        ("New", sum(|row| row.new), "up"),
        ("Expansion", sum(|row| row.expansion), "up"),
        ("Reactivation", sum(|row| row.reactivation), "up"),
        ("Contraction", sum(|row| row.contraction), "down"),
        ("Churn", sum(|row| row.churn), "down"),
    ];
    let span = |name: &str, from, to, value, class| {
        let value = format::money(value, &first.currency);
        Span { name: name.to_owned(), from, to, value, class }
    };
    let mut spans = vec![span("Opening", 0, first.opening, first.opening, "bar")];
    let mut at = first.opening;
    for (name, amount, class) in moved {
        spans.push(span(name, at, at + amount, amount, class));
        at += amount;
    }
    spans.push(span("Closing", 0, last.closing, last.closing, "bar"));
    Chart::of(&spans)
}
