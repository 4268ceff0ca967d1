//! The members' own rows: derived where they are missing or say otherwise than the facts.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::Page;
use super::run::Turn;
use crate::store::Rules;
use crate::store::apply::{self, Touched};
use crate::store::derived::Tables;

/// Members derived at once.
const MEMBERS: i64 = 5000;

/// The next members whose rows are to be derived. What only the clock changes is left to the daily round.
pub(super) async fn derive(
    tx: &mut PgConnection,
    turn: &Turn,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let users: Vec<Uuid> = sqlx::query_scalar(DIFFERING)
        .bind(&turn.position)
        .bind(MEMBERS)
        .persistent(false)
        .fetch_all(&mut *tx)
        .await?;
    let found = i64::try_from(users.len()).unwrap_or(i64::MAX);
    let next = users.last().filter(|_| found == MEMBERS).map(Uuid::to_string);
    let users: BTreeSet<Uuid> = users.into_iter().collect();
    let touched = Touched { users, ..Touched::default() };
    apply::derive(tx, Tables::Live, touched, rules, now).await?;
    Ok(Page { rows: found, found, next, ..Page::default() })
}

const DIFFERING: &str = "
    select u.id from auth.users u
    left join public.user_activity_metrics m on m.user_id = u.id
    left join ingest.activity a on a.user_id = u.id
    where ($1::text is null or u.id > $1::text::uuid) and (
        m.user_id is null
        or (m.total_logins, m.s3_file_count, m.vision_count, m.journal_entry_count, m.total_storage_mb)
            is distinct from
           (coalesce(a.logins, 0), coalesce(a.files, 0), coalesce(a.visions, 0), coalesce(a.journal_entries, 0),
            least(round(coalesce(a.file_bytes, 0) / 1048576.0, 2), 99999999.99))
        or m.last_login_at is distinct from (
            select max(l.logged_in_at) from ingest.logins l where l.user_id = u.id and l.counted)
        or m.profile_completion_percent is distinct from coalesce((
            select f.amount from ingest.row_facts f
            where f.relation = 'public.user_profiles' and f.counted and f.user_id = u.id
            order by f.occurred_at desc, f.row_id desc limit 1), 0)
    )
    order by u.id limit $2";
