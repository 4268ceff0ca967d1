//! `GET /api/members/{user_id}/mrr`: why a member's MRR is what it is.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use uuid::Uuid;

use super::show_member::Error;
use crate::api::ApiState;
use crate::ops::ledger::{self, About, Explained};

/// Explains one member's MRR.
#[utoipa::path(
    get,
    path = "/api/members/{user_id}/mrr",
    operation_id = "explain_mrr",
    tag = "revenue",
    params(("user_id" = Uuid, Path, description = "The account's id")),
    responses((status = 200, body = Explained, description = "As asked for")),
)]
pub async fn explain(
    State(state): State<ApiState>,
    user_id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Explained>, Error> {
    let Path(user_id) = user_id?;
    let explained = ledger::explain(state.store.pool(), &About::User(user_id), state.clock.now()).await?;
    explained.map(Json).ok_or(Error::NotFound(user_id))
}
