//! The first files, which were combined into fewer. A database that has the last of them has everything that the files in
//! their place make, so only its bookkeeping is rewritten.

use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use super::files::{FILES, migrator};
use super::{AppliedRow, MigrateError};

/// The version of the last file that was combined.
pub(super) const LAST: i64 = 20_251_205_000_400;
/// SHA-384 of its text: what is noted of it where it was applied.
const LAST_CHECKSUM: &str =
    "2eacf3c9e35d17be109669a94ce9e68096c6fc4d22047dcdc138cb914f68595f98d307078f6e6eb8b140dd35840f4c08";
/// The version of the last file that replaces them.
const REPLACED_UP_TO: i64 = 20_251_205_001_700;
/// A revision of memberflow that has all of them.
pub(super) const REVISION: &str = "70e741f";

/// Which of the combined files a database has.
pub(super) enum Combined {
    /// None.
    None,
    /// All, the last of them since this moment.
    All(OffsetDateTime),
    /// Some; what the others made is missing.
    Some,
}

impl Combined {
    pub(super) fn of(rows: &[AppliedRow]) -> Self {
        if !rows.iter().any(is_combined) {
            return Self::None;
        }
        rows.iter()
            .find(|row| row.version == LAST && hex::encode(&row.checksum) == LAST_CHECKSUM)
            .map_or(Self::Some, |last| Self::All(last.installed_on))
    }
}

/// Whether the row is of a file that was removed because it was combined with others.
pub(super) fn is_combined(row: &AppliedRow) -> bool {
    row.version <= LAST && FILES.iter().all(|(version, ..)| *version != row.version)
}

/// The rows as [`rewrite`] leaves them, where it has something to do.
pub(super) fn rewritten(rows: Vec<AppliedRow>) -> Vec<AppliedRow> {
    let Combined::All(installed_on) = Combined::of(&rows) else {
        return rows;
    };
    let in_place = migrator();
    let in_place = in_place.iter().filter(|file| file.version <= REPLACED_UP_TO).map(|file| AppliedRow {
        version: file.version,
        description: file.description.to_string(),
        installed_on,
        checksum: file.checksum.to_vec(),
    });
    in_place.chain(rows.into_iter().filter(|row| row.version > REPLACED_UP_TO)).collect()
}

/// Notes the files that stand in the place of the combined ones as applied at that moment, and nothing else of those.
pub(super) async fn rewrite(
    connection: &mut PgConnection,
    applied_at: OffsetDateTime,
) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("delete from ingest.schema_migrations where version <= $1")
        .bind(REPLACED_UP_TO)
        .execute(&mut *transaction)
        .await?;
    migrator().skip(&mut *transaction, Some(REPLACED_UP_TO)).await?;
    sqlx::query("update ingest.schema_migrations set installed_on = $2 where version <= $1")
        .bind(REPLACED_UP_TO)
        .bind(applied_at)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
