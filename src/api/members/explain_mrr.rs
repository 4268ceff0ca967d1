//! `GET /api/members/{user_id}/mrr`: why a member's MRR is what it is.

use axum::Json;
use axum::extract::State;

use crate::api::extract::UserId;
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
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
    UserId(user_id): UserId,
) -> Result<Json<Explained>, Problem> {
    let explained = ledger::explain(state.store.pool(), &About::User(user_id), state.clock.now()).await?;
    explained.map(Json).ok_or_else(|| problem::no_member(user_id))
}
