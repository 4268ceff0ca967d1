//! `PATCH /api/tickets/{ticket}`: the status, and who sees to it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::show_ticket::{self, read};
use super::{ACTOR, ApiState, problem};
use crate::ops::tickets::{Change, Detail, change as make};

/// What is set; what is absent stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    status: Option<String>,
    /// Null gives it to nobody.
    #[serde(default, deserialize_with = "present")]
    assigned_to: Option<Option<Uuid>>,
}

/// Null is a value here, and not "absent".
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Uuid>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The change can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a JSON object.
    #[error(transparent)]
    Body(#[from] JsonRejection),
    /// A field that can't be changed, or not to that.
    #[error(transparent)]
    Field(#[from] serde_json::Error),
    /// There is no such ticket, or the change makes no sense.
    #[error(transparent)]
    Ticket(#[from] show_ticket::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Body(rejection) => problem::unreadable(&rejection).into_response(),
            Self::Field(error) => problem::bad_request(error.to_string()).into_response(),
            Self::Ticket(error) => error.into_response(),
        }
    }
}

/// Makes the change and answers with the ticket as it is now.
pub async fn change(
    State(state): State<ApiState>,
    Path(ticket): Path<String>,
    fields: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Json<Detail>, Error> {
    let fields: Fields = super::object(fields?)?;
    let assign = fields.assigned_to.map(Change::Assign);
    let changes: Vec<Change> = fields.status.map(Change::Status).into_iter().chain(assign).collect();
    let made = make(state.store.pool(), &ticket, &changes, ACTOR, state.clock.now()).await;
    made.map_err(show_ticket::Error::from)?;
    Ok(Json(read(&state, &ticket).await?))
}
