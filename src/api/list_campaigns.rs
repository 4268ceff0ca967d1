//! `GET /api/campaigns`: one page of the campaigns and what came of them.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Query;
use super::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::campaigns::{self, Page, STATUSES};
use crate::ops::page;

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `draft`, `active`, `paused`, `completed` or `archived`.
    status: Option<String>,
    /// Whether to count those that match, up to 10,000.
    count: Option<bool>,
    /// 1 to 200; 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before, or `prev_cursor` of the one behind.
    cursor: Option<String>,
}

/// Reads the page that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/campaigns",
    operation_id = "list_campaigns",
    tag = "campaigns",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(Params { status, count, limit, cursor }): Query<Params>,
) -> Result<Json<Page>, Problem> {
    query::one_of("status", status.as_deref(), &STATUSES)?;
    let cursor = query::text("cursor", cursor)?;
    let (pool, limit) = (state.store.pool(), query::limit(limit));
    page::checked(limit)?;
    let mut page = campaigns::list(pool, status.as_deref(), cursor.as_deref(), limit).await?;
    if count == Some(true) {
        page.count = campaigns::count(pool, status.as_deref()).await?;
    }
    Ok(Json(page))
}
