//! The initial import: rows that existed before memberflow become events.

use super::backfill::ImportScope;
use super::{Store, StoreError};

impl Store {
    /// Imports the pre-existing rows, unless that was done before. An interrupted import continues next time;
    /// processes that start together share the work.
    pub async fn initial_import(&self) -> Result<(), StoreError> {
        if self.has_imported().await? {
            return Ok(());
        }
        tracing::info!("first start: importing pre-existing rows");
        self.begin_initial_import().await?;
        for scope in ImportScope::ALL {
            let import = self.import_tables(scope, true).await?;
            while import.step().await?.is_some() {}
            let (checked, imported) = import.counts().await?;
            tracing::info!(scope = scope.as_str(), ?checked, ?imported, "pre-existing rows imported");
        }
        self.end_initial_import().await
    }

    /// Whether the initial import is complete.
    pub async fn has_imported(&self) -> Result<bool, StoreError> {
        // A process of the previous version may have set the flag although the import of activity, which it did not
        // have, is not complete.
        let done = sqlx::query_scalar(
            "select exists (select from ingest.switched_on where completed) and not exists (
                 select from ingest.backfills where scope = 'first activity' and completed_at is null)",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(done)
    }

    /// Records the start of the initial import, once.
    pub async fn begin_initial_import(&self) -> Result<(), StoreError> {
        sqlx::query("insert into ingest.switched_on (at) values ($1) on conflict do nothing")
            .bind(self.now())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Records the end of the initial import.
    pub async fn end_initial_import(&self) -> Result<(), StoreError> {
        sqlx::query("update ingest.switched_on set completed = true").execute(self.pool()).await?;
        Ok(())
    }
}
