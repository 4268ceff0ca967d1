//! `PATCH /api/members/{user_id}`: statuses, tags and notes, set by hand.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::api::access::caller::Caller;
use crate::api::versions::{Tagged, expected, tagged};
use crate::api::{ApiState, problem};
use crate::ops::members::{self, Change, ChangeError, Detail};
use crate::store::StoreError;

/// The change can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the form of a user id.
    #[error("a member is named by its user id, a UUID")]
    NotAUserId(#[from] PathRejection),
    /// Not a JSON object.
    #[error(transparent)]
    Body(#[from] JsonRejection),
    /// A field that can't be changed, or not to that.
    #[error(transparent)]
    Field(#[from] serde_json::Error),
    /// The change can't be made.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It is made, but the member can't be read.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// It is made, but what follows from it is not derived yet.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::NotAUserId(_) | Self::Field(_) => problem::bad_request(self.to_string()),
            Self::Body(rejection) => problem::unreadable(&rejection),
            Self::Change(ChangeError::Invalid(detail)) => problem::bad_request(detail),
            Self::Change(stale @ ChangeError::Stale) => problem::stale(stale.to_string()),
            Self::Change(ChangeError::NotFound(user_id)) => problem::no_member(user_id),
            Self::Change(ChangeError::Database(error))
            | Self::Database(error)
            | Self::Store(StoreError::Unavailable(error) | StoreError::Refused(error)) => {
                problem::database(&error)
            }
        }
        .into_response()
    }
}

/// Makes the change and answers with the member as it is now.
#[utoipa::path(
    patch,
    path = "/api/members/{user_id}",
    operation_id = "change_member",
    tag = "members",
    params(("If-Match" = Option<String>, Header, description = "The ETag of what was read: the change is refused where somebody made another meanwhile"), ("user_id" = Uuid, Path, description = "The account's id")),
    request_body = Change,
    responses((
        status = 200,
        body = Detail,
        description = "As asked for",
        headers(("ETag" = String, description = "The version of what people set, for `If-Match`")),
    )),
)]
pub async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    user_id: Result<Path<Uuid>, PathRejection>,
    headers: HeaderMap,
    fields: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Tagged<Detail>, Error> {
    let Path(user_id) = user_id?;
    let change: Change = crate::api::object(fields?)?;
    let (expected, now) = (expected(&headers), state.clock.now());
    members::change_expected(state.store.pool(), user_id, &change, &expected, &caller.actor, now).await?;
    // A status given back to the rule, and health, which depends on engagement, are as they should be at once.
    state.store.recompute(BTreeSet::new(), BTreeSet::from([user_id])).await?;
    let member = members::show(state.store.pool(), user_id, state.country_code(), state.clock.now()).await?;
    let member = member.ok_or(ChangeError::NotFound(user_id))?;
    Ok(tagged(&member.version(), member))
}
