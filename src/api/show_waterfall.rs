//! `GET /api/mrr/waterfall`: how the MRR moved, month by month.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{ApiState, problem};
use crate::ops::ledger::{self, InvalidMoment, InvalidMonths, Month, Waterfall};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    from: Option<String>,
    to: Option<String>,
    known_at: Option<String>,
}

/// There are no such months, or they can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query string can't be read.
    #[error(transparent)]
    Query(#[from] QueryRejection),
    /// Not a month, or not a date.
    #[error(transparent)]
    Moment(#[from] InvalidMoment),
    /// Months that make no waterfall.
    #[error(transparent)]
    Months(#[from] InvalidMonths),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Query(rejection) => problem::bad_request(rejection.body_text()),
            Self::Database(error) => problem::database(&error),
            other => problem::bad_request(other.to_string()),
        }
        .into_response()
    }
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
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Waterfall>, Error> {
    let Query(Params { from, to, known_at }) = params?;
    let month = |text: Option<String>| text.map(|text| text.parse::<Month>()).transpose();
    let months = ledger::months(month(from)?, month(to)?, state.clock.now())?;
    let known_at = known_at.map(|text| ledger::parse_moment(&text)).transpose()?;
    Ok(Json(ledger::waterfall(state.store.pool(), &months, known_at).await?))
}
