//! `GET /api/mrr`: the MRR at any date, as it was known at any date.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use crate::api::ApiState;
use crate::api::extract::Query;
use crate::http::problem::Problem;
use crate::ops::ledger::{self, MrrAt, Question};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    date: Option<String>,
    known_at: Option<String>,
    user_id: Option<Uuid>,
}

/// Reads the MRR that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/mrr",
    operation_id = "show_mrr",
    tag = "revenue",
    params(Params),
    responses((status = 200, body = MrrAt, description = "As asked for")),
)]
pub async fn show(
    State(state): State<ApiState>,
    Query(Params { date, known_at, user_id }): Query<Params>,
) -> Result<Json<MrrAt>, Problem> {
    let moment = |text: Option<String>| text.map(|text| ledger::parse_moment(&text)).transpose();
    let question = Question { at: moment(date)?, known_at: moment(known_at)?, user_id };
    Ok(Json(ledger::mrr_at(state.store.pool(), &question, state.clock.now()).await?))
}
