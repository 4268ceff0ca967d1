//! The ids of what belonged to forgotten persons: what the providers' APIs still show of them is not stored again.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Store, StoreError};

impl Store {
    /// Those of `ids` that belonged to a forgotten person, each with the moment of forgetting.
    pub async fn forgotten_objects(
        &self,
        ids: &[&str],
    ) -> Result<BTreeMap<String, OffsetDateTime>, StoreError> {
        let forgotten: Vec<(String, OffsetDateTime)> =
            sqlx::query_as("select id, forgotten_at from ingest.forgotten_objects where id = any ($1)")
                .bind(ids)
                .fetch_all(self.pool())
                .await?;
        Ok(forgotten.into_iter().collect())
    }
}

/// Remembers that these objects were forgotten.
pub(super) async fn remember(
    tx: &mut PgConnection,
    ids: &[&str],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into ingest.forgotten_objects (id, forgotten_at)
         select distinct o.id, $2::timestamptz from unnest($1::text[]) as o (id)
         on conflict (id) do update set forgotten_at = excluded.forgotten_at",
    )
    .bind(ids)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
