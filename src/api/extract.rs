//! What handlers take from a request; a request that does not have it is answered with a [`Problem`].

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query as AxumQuery, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::problem;
use crate::http::problem::Problem;

/// The parameters of the query string.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = AxumQuery::from_request_parts(parts, state).await;
        query
            .map(|AxumQuery(params)| Self(params))
            .map_err(|rejection| problem::bad_request(rejection.body_text()))
    }
}

/// The member that the path names.
pub(super) struct UserId(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for UserId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(user_id)| Self(user_id))
            .map_err(|_| problem::bad_request("a member is named by its user id, a UUID"))
    }
}

/// The fields of a JSON object. An object first: a struct alone would take an array for its fields in order.
pub(super) struct Object<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Object<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let fields: Result<Json<Map<String, Value>>, _> = Json::from_request(request, state).await;
        let Json(fields) = fields.map_err(|rejection| problem::unreadable(&rejection))?;
        // A field that cannot be set, or not to that.
        let object = serde_json::from_value(Value::Object(fields));
        object.map(Self).map_err(|error| problem::bad_request(error.to_string()))
    }
}
