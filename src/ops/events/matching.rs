//! All events that match a filter, for an act on them.

use sqlx::PgPool;

use super::{Filter, list};
use crate::ops::page::{MAX_LIMIT, PageError};

/// The most pages that are read. A page may be short if few events match, and then stands for 10,000 that were searched.
const MAX_PAGES: usize = 20;

/// The ids of all events that match `filter`, of more than `limit` the newest; `None` if too many had to be searched.
///
/// # Errors
/// If the filter cannot be used, or the database does not answer.
pub async fn matching(
    pool: &PgPool,
    filter: &Filter,
    limit: usize,
) -> Result<Option<Vec<String>>, PageError> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = list(pool, filter, cursor.as_deref(), MAX_LIMIT).await?;
        ids.extend(page.events.into_iter().map(|event| event.event_id));
        cursor = page.next_cursor;
        if cursor.is_none() || ids.len() >= limit {
            return Ok(Some(ids));
        }
    }
    Ok(None)
}
