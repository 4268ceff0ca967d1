//! `GET /api/members/{user_id}`: one member with subscriptions and payments.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::api::versions::{Tagged, tagged};
use crate::api::{ApiState, problem};
use crate::ops::members::{self, Detail};

/// There is no such member, or it can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the form of a user id.
    #[error("a member is named by its user id, a UUID")]
    NotAUserId(#[from] PathRejection),
    /// No such account.
    #[error("there is no member {0}")]
    NotFound(Uuid),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::NotAUserId(_) => problem::bad_request(self.to_string()),
            Self::NotFound(user_id) => problem::no_member(user_id),
            Self::Database(error) => problem::database(&error),
        }
        .into_response()
    }
}

/// Reads one member.
#[utoipa::path(
    get,
    path = "/api/members/{user_id}",
    operation_id = "show_member",
    tag = "members",
    params(("user_id" = Uuid, Path, description = "The account's id")),
    responses((
        status = 200,
        body = Detail,
        description = "As asked for",
        headers(("ETag" = String, description = "The version of what people set, for `If-Match`")),
    )),
)]
pub async fn show(
    State(state): State<ApiState>,
    user_id: Result<Path<Uuid>, PathRejection>,
) -> Result<Tagged<Detail>, Error> {
    let Path(user_id) = user_id?;
    let member = members::show(state.store.pool(), user_id, state.country_code(), state.clock.now()).await?;
    let member = member.ok_or(Error::NotFound(user_id))?;
    Ok(tagged(&member.version(), member))
}
