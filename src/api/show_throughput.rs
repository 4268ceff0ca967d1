//! `GET /api/throughput`: how many events were applied, how soon, and how many waited, over a period.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Query;
use super::{ApiState, problem, query};
use crate::http::problem::Problem;
use crate::ops::throughput::{self, Period, Throughput};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `1h` (by minute), `24h` (by quarter of an hour), `7d` (by hour) or `30d` (by six hours), up to now; `1h`.
    period: Option<String>,
    /// `stripe`, `supabase.auth`, `supabase.database` or `twilio`; all.
    source: Option<String>,
}

/// Shows throughput, freshness and backlog over a period. They are counted once a minute.
#[utoipa::path(
    get,
    path = "/api/throughput",
    operation_id = "show_throughput",
    tag = "events",
    params(Params),
    responses((status = 200, body = Throughput, description = "As asked for")),
)]
pub async fn show(
    State(state): State<ApiState>,
    Query(Params { period, source }): Query<Params>,
) -> Result<Json<Throughput>, Problem> {
    let period = period.map(|period| period.parse::<Period>()).transpose().map_err(problem::bad_request)?;
    let source = query::text("source", source)?;
    let (pool, now) = (state.store.pool(), state.clock.now());
    Ok(Json(throughput::read(pool, period.unwrap_or_default(), source, now).await?))
}
