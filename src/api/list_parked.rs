//! `GET /api/parked` and `GET /api/parked/reasons`: what waits for a missing piece, one by one and by what is missing.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::extract::Query;
use super::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::parked::{self, Filter, Page, Parked};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `unknown_user`, `no_tier`, …
    reason: Option<String>,
    /// This customer, subscription, payment or lead.
    subject: Option<String>,
    /// Parked since this date or moment.
    since: Option<String>,
    /// Parked before this date or moment.
    until: Option<String>,
    /// Whether to count those that match, up to 10,000.
    count: Option<bool>,
    /// 1 to 200; 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before, or `prev_cursor` of the one behind.
    cursor: Option<String>,
}

/// What waits, by reason.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ParkedReasons)]
pub struct Reasons {
    /// The most waited for first.
    reasons: Vec<Parked>,
}

/// Reads the page that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/parked",
    operation_id = "list_parked",
    tag = "events",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let filter = Filter {
        reason: query::text("reason", params.reason)?,
        subject: query::text("subject", params.subject)?,
        since: query::moment("since", params.since.as_deref())?,
        until: query::moment("until", params.until.as_deref())?,
    };
    let (cursor, limit) = (params.cursor.as_deref(), query::limit(params.limit));
    let mut page = parked::page(state.store.pool(), &filter, cursor, limit).await?;
    if params.count == Some(true) {
        page.count = parked::count(state.store.pool(), &filter).await?;
    }
    Ok(Json(page))
}

/// Counts what waits by reason, with what fixes it.
#[utoipa::path(
    get,
    path = "/api/parked/reasons",
    operation_id = "count_parked",
    tag = "events",
    responses((status = 200, body = Reasons, description = "As asked for")),
)]
pub async fn reasons(State(state): State<ApiState>) -> Result<Json<Reasons>, Problem> {
    Ok(Json(Reasons { reasons: parked::reasons(state.store.pool()).await? }))
}
