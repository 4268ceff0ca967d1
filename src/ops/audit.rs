//! The audit log, page by page, newest first.

use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::page::{self, Count, Neighbours, PageError};

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = AuditLine)]
pub struct AuditEntry {
    /// The row's number.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who: user and host, `api` for the admin token, `token:<name>` for another.
    pub actor: String,
    /// What: `members change`.
    pub act: String,
    /// Its arguments.
    #[schema(value_type = Value)]
    pub arguments: Json<Value>,
    /// Its outcome.
    #[schema(value_type = Value)]
    pub outcome: Json<Value>,
}

/// A filter; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// By whom.
    pub actor: Option<String>,
    /// Of this name.
    pub act: Option<String>,
    /// About this member or one of their tickets.
    pub member: Option<Uuid>,
    /// Since then.
    pub since: Option<OffsetDateTime>,
    /// Before then.
    pub until: Option<OffsetDateTime>,
}

/// Some acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = AuditPage)]
pub struct Page {
    /// The newest first.
    pub acts: Vec<AuditEntry>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// One page of the acts that match `filter`, after `cursor`, at most `limit`.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let mut query = QueryBuilder::new("");
    filter.push(&mut query);
    let seek = page::push_seek_by_moment(&mut query, "at", cursor, limit)?;
    let mut acts: Vec<AuditEntry> = query.build_query_as().fetch_all(pool).await?;
    let Neighbours { next, prev } =
        page::paginate(&mut acts, limit, seek, |act| [page::from_moment(act.at), act.id.to_string()]);
    Ok(Page { acts, next_cursor: next, prev_cursor: prev, count: None })
}

const ENTRIES: &str = "select id, at, actor, act, arguments, outcome from ";

/// The acts with a user among their arguments, and those with a ticket of the user; each id follows.
const OF_USER: &str = "((select a.* from ingest.audit_log a where a.arguments ->> 'user_id' = ";
const OF_TICKETS: &str = "::text)
union all
(select a.* from public.support_tickets t
 cross join lateral (select * from ingest.audit_log a where a.arguments ->> 'ticket_id' = t.id::text offset 0) a
 where t.user_id = ";

/// How many acts match `filter`; `None` if counting takes too long.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    filter.push(&mut query);
    page::count(pool, query).await
}

impl Filter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(ENTRIES);
        match self.member {
            None => query.push("ingest.audit_log where true"),
            Some(member) => {
                query.push(OF_USER).push_bind(member).push(OF_TICKETS).push_bind(member);
                query.push(")) acts where true")
            }
        };
        for (column, value) in [(" and actor = ", &self.actor), (" and act = ", &self.act)] {
            if let Some(value) = value {
                query.push(column).push_bind(value.clone());
            }
        }
        for (bound, moment) in [(" and at >= ", self.since), (" and at < ", self.until)] {
            if let Some(moment) = moment {
                query.push(bound).push_bind(moment);
            }
        }
    }
}
