//! `/console`: the overview.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;

use super::html::error::PageError;
use super::html::format;
use super::html::page::{Frame, page};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::ledger::{self, Month, Row};
use crate::ops::overview::{COUNTED_MAX, Overview, overview};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    overview: Overview,
    /// The present month by currency.
    mrr: Vec<Row>,
    now: OffsetDateTime,
}

impl OverviewPage {
    /// A count that ends at a limit.
    fn capped(&self, count: &i64) -> String {
        if *count > COUNTED_MAX { format!("{COUNTED_MAX}+") } else { count.to_string() }
    }

    fn age(&self, since: &OffsetDateTime) -> String {
        format::age(*since, self.now)
    }
}

/// Shows it.
pub(super) async fn show(State(console): State<Console>, session: Session) -> Result<Response, PageError> {
    let (pool, now) = (console.pool(), console.now());
    let overview = overview(pool, now).await?;
    let mrr = ledger::waterfall(pool, &[Month::of(now)], None).await?.rows;
    let frame = Frame::of(&session, "Overview", "Overview");
    Ok(page(&OverviewPage { frame, overview, mrr, now }))
}
