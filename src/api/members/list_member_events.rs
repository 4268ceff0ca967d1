//! `GET /api/members/{user_id}/events`: one page of the events about a member, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::extract::{Query, UserId};
use crate::api::{ApiState, problem, query};
use crate::http::problem::Problem;
use crate::ops::events::Page;
use crate::ops::members;

/// The query string.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// 1 to 200; 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before, or `prev_cursor` of the one behind.
    cursor: Option<String>,
}

/// Reads the applied events about the account, its customers and their objects, its rows and text messages, by when they
/// occurred.
#[utoipa::path(
    get,
    path = "/api/members/{user_id}/events",
    operation_id = "list_member_events",
    tag = "events",
    params(("user_id" = Uuid, Path, description = "The account's id"), Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    UserId(user_id): UserId,
    Query(Params { limit, cursor }): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let (cursor, limit) = (cursor.as_deref(), query::limit(limit));
    let page = members::events(state.store.pool(), user_id, cursor, limit).await?;
    page.map(Json).ok_or_else(|| problem::no_member(user_id))
}
