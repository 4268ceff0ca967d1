//! `GET /api/mrr/movements`: one page of the movements behind a sum of the waterfall, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::extract::Query;
use crate::api::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::ledger::{self, Cell, KINDS, Page};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `usd`.
    currency: String,
    /// `2026-03`.
    month: String,
    /// `new`, `expansion`, `contraction`, `churn` or `reactivation`.
    kind: String,
    /// As it was known at this date or moment.
    known_at: Option<String>,
    /// Whether to count them, up to 10,000.
    count: Option<bool>,
    /// 1 to 200; 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before, or `prev_cursor` of the one behind.
    cursor: Option<String>,
}

/// Reads the page that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/mrr/movements",
    operation_id = "list_movements",
    tag = "revenue",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let (limit, cursor) = (query::limit(params.limit), params.cursor.clone());
    let is_counted = params.count == Some(true);
    let cell = params.into_cell()?;
    let mut page = ledger::movements(state.store.pool(), &cell, cursor.as_deref(), limit).await?;
    if is_counted {
        page.count = ledger::count_movements(state.store.pool(), &cell).await?;
        page.customers = ledger::count_customers(state.store.pool(), &cell).await?;
    }
    Ok(Json(page))
}

impl Params {
    fn into_cell(self) -> Result<Cell, Problem> {
        query::one_of("kind", Some(&self.kind), &KINDS)?;
        let currency = query::text("currency", Some(self.currency))?.unwrap_or_default().to_lowercase();
        let month = self.month.parse()?;
        let known_at = self.known_at.map(|text| ledger::parse_moment(&text)).transpose()?;
        Ok(Cell { currency, month, kind: self.kind, known_at })
    }
}
