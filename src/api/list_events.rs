//! `GET /api/events`: one page of the events, the newest first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Query;
use super::{ApiState, problem, query};
use crate::http::problem::Problem;
use crate::ops::events::{self, Filter, Page};

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
    /// The object that events are about: `sub_…`, `in_…`, `public.vision_versions/…`. Known of applied events.
    object: Option<String>,
    /// Whether events about objects that are linked with `object` count, too: what belongs to one payment, or depends on a
    /// price. Up to 100.
    related: Option<bool>,
    /// A user id or an e-mail address: events about the account, its customers and their objects, its rows and text
    /// messages. Known of applied events.
    member: Option<String>,
    /// `applied`, `waiting`, `failing` or `dead`.
    state: Option<String>,
    /// In its state since this date or moment.
    since: Option<String>,
    /// In its state before this date or moment.
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
    path = "/api/events",
    operation_id = "list_events",
    tag = "events",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let (limit, cursor) = (query::limit(params.limit), params.cursor.clone());
    let is_counted = params.count == Some(true);
    let filter = params.into_filter()?;
    let mut page = events::list(state.store.pool(), &filter, cursor.as_deref(), limit).await?;
    if is_counted {
        page.count = events::count(state.store.pool(), &filter).await?;
    }
    Ok(Json(page))
}

impl Params {
    fn into_filter(self) -> Result<Filter, Problem> {
        Ok(Filter {
            source: query::text("source", self.source)?,
            event_type: query::text("type", self.event_type)?,
            subject: query::text("object", self.object)?,
            related: self.related == Some(true),
            member: query::text("member", self.member)?,
            state: self.state.map(|state| state.parse()).transpose().map_err(problem::bad_request)?,
            since: query::moment("since", self.since.as_deref())?,
            until: query::moment("until", self.until.as_deref())?,
        })
    }
}
