//! `/console/revenue`: the MRR at a moment, and how it moved month by month.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;

use super::Console;
use super::html::chart::Chart;
use super::html::format;
use super::html::page::{Frame, PageError, page_with};
use super::signing_in::session::Session;
use crate::ops::ledger::{self, Month, Question, Row, Total};

/// The query string; an empty value is what a form sends for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    from: String,
    to: String,
    /// As it was known then.
    known_at: String,
}

/// One currency's months.
struct Currency {
    code: String,
    rows: Vec<Row>,
    chart: Chart,
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

/// The months, and the moment of knowing, that are asked for.
type Asked = (Vec<Month>, Option<OffsetDateTime>);

impl Params {
    fn asked(&self, now: OffsetDateTime) -> Result<Asked, String> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let month = |text: &str| given(text).map(|text| text.parse::<Month>()).transpose();
        let from = month(&self.from).map_err(|error| error.to_string())?;
        let to = month(&self.to).map_err(|error| error.to_string())?;
        let known_at = given(&self.known_at).map(|text| ledger::parse_moment(&text)).transpose();
        let months = ledger::months(from, to, now).map_err(|error| error.to_string())?;
        Ok((months, known_at.map_err(|error| error.to_string())?))
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
    let (months, known_at) = match page.params.asked(now) {
        Ok(asked) => asked,
        Err(detail) => {
            page.error = Some(detail);
            return Ok(page_with(StatusCode::BAD_REQUEST, &page));
        }
    };
    let question = Question { known_at, ..Question::default() };
    page.totals = ledger::mrr_at(pool, &question, now).await?.totals;
    page.currencies = by_currency(ledger::waterfall(pool, &months, known_at).await?.rows);
    page.known_at = known_at;
    Ok(page_with(StatusCode::OK, &page))
}

/// The rows come by currency.
fn by_currency(rows: Vec<Row>) -> Vec<Currency> {
    let of_one = rows.chunk_by(|one, next| one.currency == next.currency);
    let currency = |rows: &[Row]| {
        let amount = |row: &Row| format::money(row.closing, &row.currency);
        let bars: Vec<(String, i64, String)> =
            rows.iter().map(|row| (row.month.to_string(), row.closing, amount(row))).collect();
        let code = rows.first().map_or_else(String::new, |row| row.currency.to_uppercase());
        Currency { code, rows: rows.to_vec(), chart: Chart::of(&bars) }
    };
    of_one.map(currency).collect()
}
