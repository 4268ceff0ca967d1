//! `GET /api/tickets/{ticket}`: one support ticket with everything that was said and decided.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::{ApiState, problem};
use crate::ops::tickets::{self, ChangeError, Detail};

/// There is no such ticket, or it can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No ticket of this id or number.
    #[error("there is no ticket {0}: GET /api/tickets lists them")]
    NotFound(String),
    /// The change can't be made.
    #[error("{0}")]
    Invalid(String),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Invalid(detail) => Self::Invalid(detail),
            ChangeError::NotFound(ticket) => Self::NotFound(ticket),
            ChangeError::Database(error) => Self::Database(error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound(_) => problem::no_ticket(self.to_string()),
            Self::Invalid(detail) => problem::bad_request(detail),
            Self::Database(error) => problem::database(&error),
        }
        .into_response()
    }
}

/// Reads the ticket of this id or number.
pub async fn show(State(state): State<ApiState>, Path(ticket): Path<String>) -> Result<Json<Detail>, Error> {
    read(&state, &ticket).await.map(Json)
}

/// The ticket as it is now.
pub(super) async fn read(state: &ApiState, ticket: &str) -> Result<Detail, Error> {
    let detail = tickets::show(state.store.pool(), ticket).await?;
    detail.ok_or_else(|| Error::NotFound(ticket.to_owned()))
}
