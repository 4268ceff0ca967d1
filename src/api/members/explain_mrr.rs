//! `GET /api/members/{user_id}/mrr`: why a member's MRR is what it is.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::extract::{Query, UserId};
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::ledger::{self, About, Explained};

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// The date (its end, in UTC) or moment; now.
    date: Option<String>,
}

/// Explains one member's MRR.
#[utoipa::path(
    get,
    path = "/api/members/{user_id}/mrr",
    operation_id = "explain_mrr",
    tag = "revenue",
    params(("user_id" = Uuid, Path, description = "The account's id"), Params),
    responses((status = 200, body = Explained, description = "As asked for")),
)]
pub async fn explain(
    State(state): State<ApiState>,
    UserId(user_id): UserId,
    Query(Params { date }): Query<Params>,
) -> Result<Json<Explained>, Problem> {
    let at = date.map(|date| ledger::parse_moment(&date)).transpose()?;
    let (pool, now) = (state.store.pool(), state.clock.now());
    let explained = ledger::explain_at(pool, &About::User(user_id), at, now).await?;
    explained.map(Json).ok_or_else(|| problem::no_member(user_id))
}
