//! `/console`: the overview.

mod charts;

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;

use super::html::error::PageError;
use super::html::page::{Frame, page};
use super::html::{format, query};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::ledger::{self, Month, Row};
use crate::ops::overview::{COUNTED_MAX, Overview, overview};
use crate::ops::throughput::{self, Period};

use charts::Charts;

/// The query string: what the charts show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    period: String,
    source: String,
}

impl Params {
    fn period(&self) -> Result<Period, PageError> {
        let period = query::given(&self.period).map(|text| text.parse::<Period>()).transpose();
        Ok(period.map_err(PageError::Invalid)?.unwrap_or_default())
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    overview: Overview,
    charts: Charts,
    /// The present month by currency.
    mrr: Vec<Row>,
    now: OffsetDateTime,
}

impl OverviewPage {
    fn capped(&self, count: &i64) -> String {
        capped(*count)
    }

    fn age(&self, since: &OffsetDateTime) -> String {
        format::age(*since, self.now)
    }
}

/// A count that ends at a limit.
fn capped(count: i64) -> String {
    if count > COUNTED_MAX { format!("{COUNTED_MAX}+") } else { count.to_string() }
}

/// Shows it.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let (period, source) = (params.period()?, query::text("source", &params.source)?);
    let (pool, now) = (console.pool(), console.now());
    let overview = overview(pool, now).await?;
    let charts = Charts::of(period, throughput::read(pool, period, source, now).await?, &overview.sources);
    let mrr = ledger::waterfall(pool, &[Month::of(now)], None).await?.rows;
    let frame = Frame::of(&session, "Overview", "Overview");
    Ok(page(&OverviewPage { frame, overview, charts, mrr, now }))
}
