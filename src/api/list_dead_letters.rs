//! `GET /api/dead-letters` and `GET /api/dead-letters/causes`: events that could not be applied, one by one and by
//! what they died of.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Query;
use super::{ApiState, query};
use crate::http::problem::Problem;
use crate::ops::dead_letters::{self, Causes, Page, Selection};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `stripe`, `supabase.auth`, `supabase.database`, `twilio` or `internal`.
    source: Option<String>,
    /// `invoice.paid`, or `invoice.*`: a star stands for anything.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Stands somewhere in the reason, in any case.
    reason: Option<String>,
    /// Given up since this date or moment.
    since: Option<String>,
    /// Given up before this date or moment.
    until: Option<String>,
    /// Whether to count those that match, up to 10,000.
    count: Option<bool>,
    /// 1 to 200; 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before, or `prev_cursor` of the one behind.
    cursor: Option<String>,
}

/// The query string of the causes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CauseParams {
    /// `stripe`, `supabase.auth`, `supabase.database`, `twilio` or `internal`.
    source: Option<String>,
    /// `invoice.paid`, or `invoice.*`: a star stands for anything.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Stands somewhere in the reason, in any case.
    reason: Option<String>,
    /// Given up since this date or moment.
    since: Option<String>,
    /// Given up before this date or moment.
    until: Option<String>,
}

/// Reads the page that the query string asks for.
#[utoipa::path(
    get,
    path = "/api/dead-letters",
    operation_id = "list_dead_letters",
    tag = "events",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(Params { source, event_type, reason, since, until, count, limit, cursor }): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let selection = selection(Vec::new(), [source, event_type, reason, since, until])?;
    let (pool, limit) = (state.store.pool(), query::limit(limit));
    let mut page = dead_letters::page(pool, &selection, cursor.as_deref(), limit).await?;
    if count == Some(true) {
        page.count = dead_letters::capped_count(pool, &selection).await?;
    }
    Ok(Json(page))
}

/// Counts the dead letters that the query string asks for by cause.
#[utoipa::path(
    get,
    path = "/api/dead-letters/causes",
    operation_id = "count_dead_letters",
    tag = "events",
    params(CauseParams),
    responses((status = 200, body = Causes, description = "As asked for")),
)]
pub async fn causes(
    State(state): State<ApiState>,
    Query(CauseParams { source, event_type, reason, since, until }): Query<CauseParams>,
) -> Result<Json<Causes>, Problem> {
    let selection = selection(Vec::new(), [source, event_type, reason, since, until])?;
    Ok(Json(dead_letters::causes(state.store.pool(), &selection).await?))
}

/// The dead letters of these ids, source, type and reason, given up in this time.
pub(super) fn selection(
    ids: Vec<i64>,
    [source, event_type, reason, since, until]: [Option<String>; 5],
) -> Result<Selection, Problem> {
    Ok(Selection {
        ids,
        source: query::text("source", source)?,
        event_type: query::text("type", event_type)?,
        reason: query::text("reason", reason)?,
        since: query::moment("since", since.as_deref())?,
        until: query::moment("until", until.as_deref())?,
    })
}
