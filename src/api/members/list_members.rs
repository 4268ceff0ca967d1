//! `GET /api/members`: one page of the member list.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::extract::Query;
use crate::api::query::moment;
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::members::{self, DEFAULT_LIMIT, Direction, Filter, Page, PageRequest, Sort, SortBy};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everyone".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    engagement_status: Option<String>,
    health_status: Option<String>,
    tier: Option<String>,
    status: Option<String>,
    text: Option<String>,
    /// With an account made since this date or moment.
    since: Option<String>,
    /// With an account made before this date or moment.
    until: Option<String>,
    sort: Option<String>,
    order: Option<String>,
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
    path = "/api/members",
    operation_id = "list_members",
    tag = "members",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let (pool, is_counted) = (state.store.pool(), params.count == Some(true));
    let request = params.into_request()?;
    let mut page = members::list(pool, &request, state.clock.now()).await?;
    if is_counted {
        page.count = members::count(pool, &request.filter).await?;
    }
    Ok(Json(page))
}

impl Params {
    fn into_request(self) -> Result<PageRequest, Problem> {
        let by: SortBy =
            self.sort.map_or(Ok(SortBy::default()), |name| name.parse()).map_err(param("sort"))?;
        let direction: Direction =
            self.order.map_or(Ok(by.natural_direction()), |name| name.parse()).map_err(param("order"))?;
        let filter = Filter {
            engagement_status: self.engagement_status,
            health_status: self.health_status,
            tier: self.tier,
            status: self.status,
            text: self.text,
            since: moment("since", self.since.as_deref())?,
            until: moment("until", self.until.as_deref())?,
        };
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        Ok(PageRequest { filter, sort: Sort { by, direction }, limit, cursor: self.cursor })
    }
}

fn param<E: std::fmt::Display>(name: &'static str) -> impl Fn(E) -> Problem {
    move |error| problem::bad_request(format!("{name}: {error}"))
}
