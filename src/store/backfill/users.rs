//! Users that exist, and users that were deleted.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::{self, Page};
use super::progress::PageTask;
use super::tables::Table;
use crate::envelope::{Envelope, Source};
use crate::project::internal::{ImportedUsers, Internal};
use crate::store::{StoreSettings, apply};

/// Deleted users processed at once: their customers' rows are derived with them.
const PAGE: i64 = 500;

/// A page of `auth.users`: records those never seen before.
pub(in crate::store) async fn existing(
    tx: &mut PgConnection,
    task: &PageTask,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let after = pages::after(task, "t.id", "uuid");
    let new_rows = pages::new_rows(
        "select p.*, p.key::text as name from page p
         where not exists (select from ingest.users u where u.id = p.key)",
    );
    let recorded = pages::recorded("found_users", "'there', json_agg(key order by n)");
    let outcome = pages::outcome(task);
    let statement = format!(
        "with page as materialized (
             select s.key, row_number() over (order by key) as n
             from (select t.id as key from auth.users t where {after} order by t.id limit {}) s
         ), {new_rows}, {recorded}, seen as (
             insert into ingest.users (id) select key from new_rows on conflict do nothing
         )
         select {outcome}",
        task.page_rows
    );
    pages::run(tx, task, statement, now).await
}

/// Users who were seen and no longer exist.
pub(in crate::store) async fn deleted(
    tx: &mut PgConnection,
    task: &PageTask,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    if Table::find(tx, "auth.users").await?.is_none() {
        return Ok(Page::unreadable());
    }
    let deleted: Vec<Uuid> = sqlx::query_scalar(
        "select id from ingest.users u
         where gone_at is null and ($1::text is null or id > $1::text::uuid)
           and not exists (select from auth.users t where t.id = u.id)
         order by id limit $2",
    )
    .bind(&task.position)
    .bind(PAGE)
    .fetch_all(&mut *tx)
    .await?;
    let Some(first) = deleted.first() else { return Ok(Page::default()) };
    let found = i64::try_from(deleted.len()).unwrap_or(i64::MAX);
    let next = deleted.last().filter(|_| found == PAGE).map(Uuid::to_string);
    let event_id = format!("{}{first}", task.prefix());
    let internal = Internal::ImportedUsers(ImportedUsers { there: Vec::new(), deleted });
    apply::apply_internal(tx, &[event(task, event_id, "found_users", &internal)?], settings, now).await?;
    Ok(Page { rows: found, found, next, ..Page::default() })
}

/// An internal event of this import.
pub(in crate::store) fn event(
    task: &PageTask,
    event_id: String,
    event_type: &str,
    internal: &Internal,
) -> Result<Envelope, sqlx::Error> {
    let body = serde_json::to_vec(internal).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(Envelope {
        source: Source::Internal,
        event_id,
        event_type: event_type.to_owned(),
        occurred_at: task.at,
        received_at: task.at,
        body: body.into(),
    })
}
