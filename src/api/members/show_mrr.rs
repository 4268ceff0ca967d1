//! `GET /api/mrr`: the MRR at any date, as it was known at any date.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::api::{ApiState, problem};
use crate::ops::ledger::{self, InvalidMoment, MrrAt, Question};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    date: Option<String>,
    known_at: Option<String>,
    user_id: Option<Uuid>,
}

/// There is no such date, or it can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query string can't be read.
    #[error(transparent)]
    Query(#[from] QueryRejection),
    /// Not a date.
    #[error(transparent)]
    Moment(#[from] InvalidMoment),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Query(rejection) => problem::bad_request(rejection.body_text()),
            Self::Moment(invalid) => problem::bad_request(invalid.to_string()),
            Self::Database(error) => problem::database(&error),
        }
        .into_response()
    }
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
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<MrrAt>, Error> {
    let Query(Params { date, known_at, user_id }) = params?;
    let moment = |text: Option<String>| text.map(|text| ledger::parse_moment(&text)).transpose();
    let question = Question { at: moment(date)?, known_at: moment(known_at)?, user_id };
    Ok(Json(ledger::mrr_at(state.store.pool(), &question, state.clock.now()).await?))
}
