//! The state of users in `auth.users`: present, deleted or never seen.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::emails;
use crate::project::identity::UserState;

/// The state of the users that some evidence names.
#[derive(Debug, Default)]
pub struct UserStates {
    present: HashSet<Uuid>,
    seen: HashSet<Uuid>,
    confirmed: HashMap<String, Vec<Uuid>>,
}

impl UserStates {
    /// Looks up `ids` and `emails`, and records which users exist: one deleted later is known as deleted, not
    /// unknown.
    pub async fn load(
        tx: &mut PgConnection,
        ids: &BTreeSet<Uuid>,
        emails: &BTreeSet<String>,
        with_sso: bool,
    ) -> Result<Self, sqlx::Error> {
        let mut users = Self {
            confirmed: emails::confirmed_users_by_email(tx, emails, with_sso).await?,
            ..Self::default()
        };
        let matched = users.confirmed.values().flatten().copied();
        let ids: Vec<Uuid> =
            ids.iter().copied().chain(matched).collect::<BTreeSet<_>>().into_iter().collect();
        if ids.is_empty() {
            return Ok(users);
        }
        users.look_up(tx, &ids).await?;
        Ok(users)
    }

    /// Looks up which of `ids` exist and which were seen before; records those that exist.
    async fn look_up(&mut self, tx: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
        let rows: Vec<(Uuid, bool)> = sqlx::query_as(
            "with present as materialized (
                 select id from auth.users where id = any($1)
             ), remembered as (
                 insert into users (id) select id from present on conflict do nothing
             )
             select id, true from present
             union all
             select id, false from users where id = any($1)",
        )
        .bind(ids)
        .fetch_all(tx)
        .await?;
        for (id, is_present) in rows {
            self.seen.insert(id);
            if is_present {
                self.present.insert(id);
            }
        }
        Ok(())
    }

    /// The users that exist.
    pub fn existing(&self) -> impl Iterator<Item = Uuid> {
        self.present.iter().copied()
    }

    /// The state of a user.
    #[must_use]
    pub fn state(&self, id: Uuid) -> UserState {
        if self.present.contains(&id) {
            UserState::Present
        } else if self.seen.contains(&id) {
            UserState::Deleted
        } else {
            UserState::NeverSeen
        }
    }

    /// The users whose confirmed address this is.
    #[must_use]
    pub fn users_with_confirmed_email(&self, email: &str) -> Vec<Uuid> {
        self.confirmed.get(email).cloned().unwrap_or_default()
    }
}

/// Records that these users existed and were deleted.
pub async fn record_deleted(
    tx: &mut PgConnection,
    users: &[Uuid],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if users.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into users (id, gone_at) select unnest($1::uuid[]), $2
         on conflict (id) do update set gone_at = excluded.gone_at where users.gone_at is null",
    )
    .bind(users)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
