//! `GET /api/mrr/cohorts`: of those who began in a month, how many are still there and what they bring.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::ledger::{self, Cohorts, Month};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// The first month in which cohorts began: `2026-01`; eleven before the last.
    from: Option<String>,
    /// The last month, up to which they are followed; the present one.
    to: Option<String>,
}

/// Reads the cohorts that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/mrr/cohorts",
    operation_id = "list_cohorts",
    tag = "revenue",
    params(Params),
    responses((status = 200, body = Cohorts, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Cohorts>, Problem> {
    let Query(Params { from, to }) = params?;
    let months = ledger::months(month(from)?, month(to)?, state.clock.now());
    let months = months.map_err(|invalid| problem::bad_request(invalid.to_string()))?;
    Ok(Json(ledger::cohorts(state.store.pool(), &months).await?))
}

fn month(text: Option<String>) -> Result<Option<Month>, Problem> {
    let month = text.map(|text| text.parse::<Month>()).transpose();
    month.map_err(|invalid| problem::bad_request(invalid.to_string()))
}
