//! `/console/revenue/cohort`: the customers behind a cell of the cohorts, and what each brings at the end of its month.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page_with};
use crate::console::html::query::{Downloads, Listed, Pages, Rows};
use crate::console::html::{format, query};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::ledger::{self, CohortCustomer, CohortMonth};

/// Where the list is.
pub(super) const HERE: &str = "/console/revenue/cohort";
/// Customers on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::console) struct Params {
    currency: String,
    began: String,
    month: String,
    cursor: String,
}

impl Params {
    pub(in crate::console) fn filters(&self) -> [(&'static str, &str); 3] {
        [("currency", &self.currency), ("began", &self.began), ("month", &self.month)]
    }

    fn address(&self, cursor: &str) -> String {
        query::address(HERE, self.filters().into_iter().chain([("cursor", cursor)]))
    }

    pub(in crate::console) fn cohort(&self) -> Result<CohortMonth, PageError> {
        Ok(CohortMonth {
            currency: query::text("currency", &self.currency)?.unwrap_or_default().to_lowercase(),
            began: self.began.trim().parse()?,
            month: self.month.trim().parse()?,
        })
    }
}

#[derive(Template)]
#[template(path = "cohort.html")]
struct CohortPage {
    frame: Frame,
    params: Params,
    customers: Vec<CohortCustomer>,
    pages: Pages,
    downloads: Downloads,
    error: Option<String>,
}

async fn read(console: &Console, params: &Params) -> Result<Rows<CohortCustomer>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = ledger::cohort_customers(console.pool(), &params.cohort()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.customers, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let Listed { status, rows: customers, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let downloads = query::downloads(HERE, params.filters());
    let frame = Frame::of(&session, "Revenue", "Customers of a cohort");
    Ok(page_with(status, &CohortPage { frame, params, customers, pages, downloads, error }))
}
