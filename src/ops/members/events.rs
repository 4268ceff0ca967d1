//! The events about a member, newest first: about the account, its customers and their objects, its rows and text messages.
//!
//! An event has its object, and so its member, once it is applied: pending events and dead letters are not listed.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::ops::events::{self, Filter, Page};
use crate::ops::page::PageError;

/// One page of the events about the member, after `cursor`, at most `limit`; `None` if there is no such account.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn events(
    pool: &PgPool,
    user_id: Uuid,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Option<Page>, PageError> {
    let filter = Filter { member: Some(user_id.to_string()), ..Filter::default() };
    let is_there = is_there(&mut *pool.acquire().await?, user_id).await?;
    Ok(if is_there { Some(events::list(pool, &filter, cursor, limit).await?) } else { None })
}

/// Whether there is such an account.
pub(super) async fn is_there(reading: &mut PgConnection, user_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from auth.users where id = $1 and deleted_at is null)")
        .bind(user_id)
        .fetch_one(reading)
        .await
}
