//! The members' rows: derived if they are missing or differ from the facts.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::counts;
use super::pages::{self, Page};
use super::progress::PageTask;
use crate::project::supabase::ActivityTables;
use crate::store::StoreSettings;
use crate::store::affected::AffectedRevenue;
use crate::store::derive;
use crate::store::tables::Tables;

/// A page of members whose rows are to be derived. What only the clock changes is left to the daily refresh.
pub(in crate::store) async fn derive(
    tx: &mut PgConnection,
    task: &PageTask,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let users: Vec<(Uuid, bool)> = sqlx::query_as(AssertSqlSafe(next_users(task, &settings.decoding.tables)))
        .bind(&task.position)
        .persistent(false)
        .fetch_all(&mut *tx)
        .await?;
    let rows = i64::try_from(users.len()).unwrap_or(i64::MAX);
    let next = users.last().filter(|_| users.len() == task.page_rows).map(|(last, _)| last.to_string());
    let users: BTreeSet<Uuid> =
        users.into_iter().filter(|(_, differs)| *differs).map(|(user, _)| user).collect();
    let found = i64::try_from(users.len()).unwrap_or(i64::MAX);
    let affected = AffectedRevenue { users, ..AffectedRevenue::default() };
    derive::derive(tx, Tables::Live, affected.into(), settings, now).await?;
    Ok(Page { rows, found, next, ..Page::default() })
}

/// The next users, each with whether its row is missing or different; in the initial import all, because their rows are
/// not ours yet. Everything of a user is looked up by key: the page is small compared to the tables.
fn next_users(task: &PageTask, tables: &ActivityTables) -> String {
    let users = format!(
        "select t.id from auth.users t where {} order by t.id limit {}",
        pages::after(task, "t.id", "uuid"),
        task.page_rows
    );
    if task.is_first {
        return format!("select id, true from ({users}) u order by id");
    }
    let differs: Vec<String> = counts::shown(tables)
        .into_iter()
        .map(|(column, value)| format!("m.{column} is distinct from {value}"))
        .collect();
    format!(
        "select u.id, m.user_id is null or {}
         from ({users}) u
         left join lateral (select * from public.user_activity_metrics m where m.user_id = u.id limit 1) m on true
         left join lateral (select * from ingest.activity a where a.user_id = u.id limit 1) a on true
         order by u.id",
        differs.join(" or ")
    )
}
