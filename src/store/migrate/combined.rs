//! Files that were combined into fewer. A database that has the last of them has everything that the files in their place make,
//! so only its bookkeeping is rewritten.

use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use super::files::{FILES, migrator};
use super::{AppliedRow, MigrateError};

/// Files that were combined, and the files in their place.
struct Combination {
    /// The lowest version of both.
    first: i64,
    /// The version of the last file that was combined.
    last: i64,
    /// SHA-384 of its text: what is noted of it where it was applied.
    last_checksum: &'static str,
    /// The version of the last file in their place.
    replaced_up_to: i64,
    /// A revision of memberflow that has all of the combined files.
    revision: &'static str,
}

/// All combinations, in the order of their versions.
const COMBINATIONS: &[Combination] = &[
    Combination {
        first: 20_251_125_000_000,
        last: 20_251_205_000_400,
        last_checksum: "2eacf3c9e35d17be109669a94ce9e68096c6fc4d22047dcdc138cb914f68595f98d307078f6e6eb8b140dd35840f4c08",
        replaced_up_to: 20_251_205_001_700,
        revision: "70e741f",
    },
    Combination {
        first: 20_251_206_000_000,
        last: 20_251_208_030_000,
        last_checksum: "b570af098acaa391c2a5b5d0d6c7307195b7f29de5f9d0204065cc1d823ec0eca4d0f5abdfd95fd0138e5133407206ae",
        replaced_up_to: 20_251_208_031_500,
        revision: "505a2d3",
    },
];

impl Combination {
    /// Whether a version is of the combined files or of those in their place.
    fn covers(&self, version: i64) -> bool {
        (self.first..=self.replaced_up_to).contains(&version)
    }

    /// Whether the row is of a combined file that was removed.
    fn removed(&self, row: &AppliedRow) -> bool {
        (self.first..=self.last).contains(&row.version)
            && FILES.iter().all(|(version, ..)| *version != row.version)
    }

    /// Since when the database has all of the combined files. None: it has none of them. An error: what some of them make is
    /// missing.
    fn complete_since(&self, rows: &[AppliedRow]) -> Result<Option<OffsetDateTime>, MigrateError> {
        if !rows.iter().any(|row| self.removed(row)) {
            return Ok(None);
        }
        rows.iter()
            .find(|row| row.version == self.last && hex::encode(&row.checksum) == self.last_checksum)
            .map(|last| Some(last.installed_on))
            .ok_or(MigrateError::Combined { last: self.last, revision: self.revision })
    }

    /// The rows with the files in place of the combined ones, applied at that moment.
    fn rewritten(&self, mut rows: Vec<AppliedRow>, applied_at: OffsetDateTime) -> Vec<AppliedRow> {
        rows.retain(|row| !self.covers(row.version));
        let files = migrator();
        rows.extend(files.iter().filter(|file| self.covers(file.version)).map(|file| AppliedRow {
            version: file.version,
            description: file.description.to_string(),
            installed_on: applied_at,
            checksum: file.checksum.to_vec(),
        }));
        rows
    }

    /// The same in the database.
    async fn rewrite(
        &self,
        connection: &mut PgConnection,
        applied_at: OffsetDateTime,
    ) -> Result<(), MigrateError> {
        let mut transaction = connection.begin().await?;
        sqlx::query("delete from ingest.schema_migrations where version between $1 and $2")
            .bind(self.first)
            .bind(self.replaced_up_to)
            .execute(&mut *transaction)
            .await?;
        // -1: how long it took is not known, as sqlx notes it.
        for row in self.rewritten(Vec::new(), applied_at) {
            sqlx::query(
                "insert into ingest.schema_migrations
                     (version, description, installed_on, success, checksum, execution_time)
                 values ($1, $2, $3, true, $4, -1)",
            )
            .bind(row.version)
            .bind(row.description)
            .bind(row.installed_on)
            .bind(row.checksum)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Whether the row is of a file that was removed because it was combined with others.
pub(super) fn is_combined(row: &AppliedRow) -> bool {
    COMBINATIONS.iter().any(|combination| combination.removed(row))
}

/// The rows as [`rewrite`] leaves them, where it has something to do.
pub(super) fn rewritten(rows: Vec<AppliedRow>) -> Vec<AppliedRow> {
    COMBINATIONS.iter().fold(rows, |rows, combination| match combination.complete_since(&rows) {
        Ok(Some(applied_at)) => combination.rewritten(rows, applied_at),
        Ok(None) | Err(_) => rows,
    })
}

/// Notes the files that stand in the place of combined ones as applied, and nothing else of those. Returns the rows as they
/// are then. Changes nothing if the database has some files of a combination, and not all.
pub(super) async fn rewrite(
    connection: &mut PgConnection,
    rows: Vec<AppliedRow>,
) -> Result<Vec<AppliedRow>, MigrateError> {
    let mut complete = Vec::new();
    for combination in COMBINATIONS {
        if let Some(applied_at) = combination.complete_since(&rows)? {
            complete.push((combination, applied_at));
        }
    }
    for (combination, applied_at) in complete {
        combination.rewrite(connection, applied_at).await?;
    }
    Ok(rewritten(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_in_order_and_end_with_files_that_are_there() {
        let mut after = 0;
        for combination in COMBINATIONS {
            let Combination { first, last, last_checksum, replaced_up_to, .. } = *combination;
            assert!(after < first && first < last && last < replaced_up_to);
            assert!(FILES.iter().any(|(version, ..)| *version == replaced_up_to));
            assert!(FILES.iter().all(|(version, ..)| *version != last));
            assert_eq!(hex::decode(last_checksum).unwrap().len(), 48);
            after = replaced_up_to;
        }
    }
}
