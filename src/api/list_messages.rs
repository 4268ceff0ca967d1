//! `GET /api/messages`: one page of the text messages, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use super::extract::Query;
use super::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::messages::{self, DIRECTIONS, Filter, Page, STATUSES};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `queued`, `sent`, `delivered`, `failed` or `received`.
    status: Option<String>,
    /// `inbound` or `outbound`.
    direction: Option<String>,
    /// With this number: `+15550100001`.
    number: Option<String>,
    /// Of this member: a user id.
    member: Option<Uuid>,
    /// Written since this date or moment.
    since: Option<String>,
    /// Written before this date or moment.
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
    path = "/api/messages",
    operation_id = "list_messages",
    tag = "tickets",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    query::one_of("status", params.status.as_deref(), &STATUSES)?;
    query::one_of("direction", params.direction.as_deref(), &DIRECTIONS)?;
    let filter = Filter {
        status: params.status,
        direction: params.direction,
        number: query::text("number", params.number)?,
        member: params.member,
        since: query::moment("since", params.since.as_deref())?,
        until: query::moment("until", params.until.as_deref())?,
    };
    let (cursor, limit) = (params.cursor.as_deref(), query::limit(params.limit));
    let mut page = messages::list(state.store.pool(), &filter, cursor, limit).await?;
    if params.count == Some(true) {
        page.count = messages::count(state.store.pool(), &filter).await?;
    }
    Ok(Json(page))
}
