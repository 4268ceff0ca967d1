//! `GET /api/tickets`: one page of the support tickets, the longest waiting first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::api::extract::Query;
use crate::api::query::{limit, moment, one_of, text};
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::page;
use crate::ops::tickets::{self, Assignee, Filter, Page};

/// The query string. Unknown names are errors: a misspelt filter must not look like "everything".
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    status: Option<String>,
    waiting_for: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    waiting_before: Option<OffsetDateTime>,
    priority: Option<String>,
    category: Option<String>,
    /// A user id, or `nobody`.
    assignee: Option<String>,
    member: Option<Uuid>,
    text: Option<String>,
    /// Made since this date or moment.
    since: Option<String>,
    /// Made before this date or moment.
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
    path = "/api/tickets",
    operation_id = "list_tickets",
    tag = "tickets",
    params(Params),
    responses((status = 200, body = Page, description = "As asked for")),
)]
pub async fn list(
    State(state): State<ApiState>,
    Query(params): Query<Params>,
) -> Result<Json<Page>, Problem> {
    let (limit, cursor) = (limit(params.limit), params.cursor.clone());
    page::checked(limit)?;
    let (pool, is_counted) = (state.store.pool(), params.count == Some(true));
    let filter = params.into_filter()?;
    let mut page = tickets::list(pool, &filter, cursor.as_deref(), limit).await?;
    if is_counted {
        page.count = tickets::count(pool, &filter).await?;
    }
    Ok(Json(page))
}

impl Params {
    fn into_filter(self) -> Result<Filter, Problem> {
        one_of("status", self.status.as_deref(), &tickets::STATUSES)?;
        one_of("waiting_for", self.waiting_for.as_deref(), &tickets::WAITING_FOR)?;
        one_of("priority", self.priority.as_deref(), &tickets::PRIORITIES)?;
        let assignee = match self.assignee.as_deref() {
            None => None,
            Some("nobody") => Some(Assignee::Nobody),
            Some(user) => {
                let user = user.parse().map_err(|_| {
                    problem::bad_request(format!("assignee is a user id or \"nobody\"; {user:?} is neither"))
                })?;
                Some(Assignee::User(user))
            }
        };
        Ok(Filter {
            status: self.status,
            waiting_for: self.waiting_for,
            waiting_before: self.waiting_before,
            priority: self.priority,
            category: text("category", self.category)?,
            assignee,
            member: self.member,
            text: self.text,
            since: moment("since", self.since.as_deref())?,
            until: moment("until", self.until.as_deref())?,
        })
    }
}
