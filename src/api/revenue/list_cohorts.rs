//! `GET /api/mrr/cohorts`: of those who began in a month, how many are still there and what they bring.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::extract::Query;
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
    Query(Params { from, to }): Query<Params>,
) -> Result<Json<Cohorts>, Problem> {
    let month = |text: Option<String>| text.map(|text| text.parse::<Month>()).transpose();
    let months = ledger::months(month(from)?, month(to)?, state.clock.now())?;
    Ok(Json(ledger::cohorts(state.store.pool(), &months).await?))
}
