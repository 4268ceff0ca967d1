//! `GET /api/mrr/waterfall`: how the MRR moved, month by month.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::extract::Query;
use crate::http::problem::Problem;
use crate::ops::ledger::{self, Month, Waterfall};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    from: Option<String>,
    to: Option<String>,
    known_at: Option<String>,
}

/// Reads the waterfall that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/mrr/waterfall",
    operation_id = "show_waterfall",
    tag = "revenue",
    params(Params),
    responses((status = 200, body = Waterfall, description = "As asked for")),
)]
pub async fn show(
    State(state): State<ApiState>,
    Query(Params { from, to, known_at }): Query<Params>,
) -> Result<Json<Waterfall>, Problem> {
    let month = |text: Option<String>| text.map(|text| text.parse::<Month>()).transpose();
    let months = ledger::months(month(from)?, month(to)?, state.clock.now())?;
    let known_at = known_at.map(|text| ledger::parse_moment(&text)).transpose()?;
    Ok(Json(ledger::waterfall(state.store.pool(), &months, known_at).await?))
}
