//! `GET /api/mrr/cohorts/customers`: one page of the customers of a cohort, and what each brings at the end of a month.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::extract::Query;
use crate::api::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::ledger::{self, CohortMonth, CohortPage};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `usd`.
    currency: String,
    /// The month in which they began: `2026-01`.
    began: String,
    /// The month at whose end they are counted: `2026-03`.
    month: String,
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
    path = "/api/mrr/cohorts/customers",
    operation_id = "list_cohort_customers",
    tag = "revenue",
    params(Params),
    responses((status = 200, body = CohortPage, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<CohortPage>, Problem> {
    let (pool, limit, is_counted) =
        (state.store.pool(), query::limit(params.limit), params.count == Some(true));
    let currency = query::text("currency", Some(params.currency))?.unwrap_or_default().to_lowercase();
    let cohort = CohortMonth { currency, began: params.began.parse()?, month: params.month.parse()? };
    let mut page = ledger::cohort_customers(pool, &cohort, params.cursor.as_deref(), limit).await?;
    if is_counted {
        page.count = ledger::count_cohort(pool, &cohort).await?;
    }
    Ok(Json(page))
}
