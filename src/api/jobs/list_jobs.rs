//! `GET /api/jobs`: one page of the jobs, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::extract::Query;
use crate::api::query::{limit, one_of};
use crate::http::problem::Problem;
use crate::ops::jobs::{self, Filter, OPERATIONS, Page, STATES};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    operation: Option<String>,
    state: Option<String>,
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
    path = "/api/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    one_of("operation", params.operation.as_deref(), &OPERATIONS)?;
    one_of("state", params.state.as_deref(), &STATES)?;
    let filter = Filter { operation: params.operation, state: params.state };
    let (pool, limit) = (state.store.pool(), limit(params.limit));
    let mut page = jobs::list(pool, &filter, params.cursor.as_deref(), limit).await?;
    if params.count == Some(true) {
        page.count = jobs::count(pool, &filter).await?;
    }
    Ok(Json(page))
}
