//! `GET /api/audit`: one page of what operators did, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use super::extract::Query;
use super::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::audit::{self, Filter, Page};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// By whom: `ada@crm-1`, `api`, `token:<name>`.
    actor: Option<String>,
    /// Which: `members change`, `dead-letters redrive`, …
    act: Option<String>,
    /// About this member or one of their tickets: the user id.
    member: Option<Uuid>,
    /// Done since this date or moment.
    since: Option<String>,
    /// Done before this date or moment.
    until: Option<String>,
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
    path = "/api/audit",
    operation_id = "list_acts",
    tag = "audit",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let filter = Filter {
        actor: query::text("actor", params.actor)?,
        act: query::text("act", params.act)?,
        member: params.member,
        since: query::moment("since", params.since.as_deref())?,
        until: query::moment("until", params.until.as_deref())?,
    };
    let (cursor, limit) = (params.cursor.as_deref(), query::limit(params.limit));
    let mut page = audit::list(state.store.pool(), &filter, cursor, limit).await?;
    if params.count == Some(true) {
        page.count = audit::count(state.store.pool(), &filter).await?;
    }
    Ok(Json(page))
}
