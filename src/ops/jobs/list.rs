//! Lists jobs, page by page.

use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::Job;
use crate::ops::page::{self, Count, Neighbours, PageError};

/// A filter; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this operation.
    pub operation: Option<String>,
    /// In this state.
    pub state: Option<String>,
}

/// Some jobs.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = JobPage)]
pub struct Page {
    /// The newest first.
    pub jobs: Vec<Job>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// One page of the jobs that match `filter`, after `cursor`, at most `limit`.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let from = page::decode_id(cursor)?;
    let mut query = QueryBuilder::new("");
    filter.push(&mut query);
    page::push_seek_by_id(&mut query, from, page::one_more(limit));
    let mut jobs: Vec<Job> = query.build_query_as().fetch_all(pool).await?;
    let seek = from.map(|(seek, _)| seek);
    let Neighbours { next, prev } = page::paginate(&mut jobs, limit, seek, |job| [job.id.to_string()]);
    Ok(Page { jobs, next_cursor: next, prev_cursor: prev, count: None })
}

/// How many jobs match `filter`; `None` if counting takes too long.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    filter.push(&mut query);
    page::count(pool, query).await
}

impl Filter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(concat!("select ", columns!(), " from ingest.jobs where true"));
        for (column, value) in [(" and operation = ", &self.operation), (" and state = ", &self.state)] {
            if let Some(value) = value {
                query.push(column).push_bind(value.clone());
            }
        }
    }
}
