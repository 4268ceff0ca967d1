//! `GET /api/members/{user_id}/timeline`: one page of what happened with a member, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::extract::{Query, UserId};
use crate::api::{ApiState, problem, query};
use crate::http::problem::Problem;
use crate::ops::members::{self, TIMELINE_KINDS, Timeline};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// Only this: `payment`, `plan`, `login`, `file`, `vision`, `row`, `ticket`, `text` or `act`.
    kind: Option<String>,
    /// 1 to 200; 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before, or `prev_cursor` of the one behind.
    cursor: Option<String>,
}

/// Reads the page that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/members/{user_id}/timeline",
    operation_id = "list_timeline",
    tag = "members",
    params(("user_id" = Uuid, Path, description = "The account's id"), Params),
    responses((status = 200, body = Timeline, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    UserId(user_id): UserId,
    Query(Params { kind, limit, cursor }): Query<Params>,
) -> Result<Json<Timeline>, Problem> {
    query::one_of("kind", kind.as_deref(), &TIMELINE_KINDS)?;
    let (cursor, limit) = (cursor.as_deref(), query::limit(limit));
    let page = members::timeline(state.store.pool(), user_id, kind.as_deref(), cursor, limit).await?;
    page.map(Json).ok_or_else(|| problem::no_member(user_id))
}
