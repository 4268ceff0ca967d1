//! Activity: logins, files and rows, counted exactly per user by the difference each changed fact makes.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::facts::Changed;
use crate::project::meaning::Login;
use crate::project::supabase::tables::Metric;
use crate::project::supabase::{ActivityTables, Row};

/// What to add to a user's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub logins: i64,
    pub files: i64,
    pub file_bytes: i64,
    /// Rows, by the metric that they move.
    pub rows: [i64; Metric::ALL.len()],
}

impl Counts {
    fn add_row(&mut self, row: &Row, sign: i64, tables: &ActivityTables) {
        let amount = sign.saturating_mul(row.amount);
        match row.relation.as_str() {
            "storage.objects" => {
                self.files += sign;
                self.file_bytes = self.file_bytes.saturating_add(amount);
            }
            // What was counted before the first event.
            "found.logins" => self.logins = self.logins.saturating_add(amount),
            "found.files" => self.files = self.files.saturating_add(amount),
            "found.file_bytes" => self.file_bytes = self.file_bytes.saturating_add(amount),
            "found.visions" => self.add(Metric::Visions, amount),
            "found.journal_entries" => self.add(Metric::JournalEntries, amount),
            relation => {
                if let Some(table) = tables.of(relation) {
                    self.add(table.metric, sign);
                }
            }
        }
    }

    fn add(&mut self, metric: Metric, amount: i64) {
        let count = &mut self.rows[metric as usize];
        *count = count.saturating_add(amount);
    }
}

/// By user.
pub type Differences = BTreeMap<Uuid, Counts>;

/// Keeps `logins`, each once and at the earliest moment that any report gives.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_logins(
    tx: &mut PgConnection,
    logins: &[Login],
    differences: &mut Differences,
) -> Result<(), sqlx::Error> {
    if logins.is_empty() {
        return Ok(());
    }
    let mut earliest = BTreeMap::<&str, &Login>::new();
    for login in logins {
        let kept = earliest.entry(&login.session_id).or_insert(login);
        if (login.logged_in_at, login.user_id) < (kept.logged_in_at, kept.user_id) {
            *kept = login;
        }
    }
    let rows = sqlx::query(
        "insert into logins as l (session_id, user_id, logged_in_at)
         select * from unnest($1::text[], $2::uuid[], $3::timestamptz[])
         on conflict (session_id) do update set logged_in_at = excluded.logged_in_at
         where excluded.logged_in_at < l.logged_in_at
         returning l.user_id, l.xmax = 0",
    )
    .bind(earliest.keys().copied().collect::<Vec<_>>())
    .bind(earliest.values().map(|login| login.user_id).collect::<Vec<_>>())
    .bind(earliest.values().map(|login| login.logged_in_at).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for row in &rows {
        let counts = differences.entry(row.try_get(0)?).or_default();
        counts.logins += i64::from(row.try_get::<bool, _>(1)?);
    }
    Ok(())
}

/// Notes what `changed` rows and files make of their owners' counts.
pub fn count_rows(
    changed: &BTreeMap<String, Changed<Row>>,
    tables: &ActivityTables,
    differences: &mut Differences,
) {
    for fact in changed.values() {
        for (row, sign) in fact.before.iter().map(|row| (row, -1)).chain([(&fact.after, 1)]) {
            if let (Some(user), true) = (row.user_id, row.counted) {
                differences.entry(user).or_default().add_row(row, sign, tables);
            }
        }
    }
}

/// Adds `differences` to the users' counts. A row of zeros is no row, so that a user whom only a superseded
/// event ever named leaves no trace.
///
/// # Errors
/// Whatever the database says.
pub async fn write(tx: &mut PgConnection, differences: &Differences) -> Result<(), sqlx::Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let column = |pick: fn(&Counts) -> i64| differences.values().map(pick).collect::<Vec<_>>();
    let rows =
        |metric: Metric| differences.values().map(|counts| counts.rows[metric as usize]).collect::<Vec<_>>();
    sqlx::query(
        "insert into activity as a
             (user_id, logins, files, file_bytes, visions, journal_entries, refinements, audio_tracks, board_images)
         select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[])
         on conflict (user_id) do update set
             logins = a.logins + excluded.logins, files = a.files + excluded.files,
             file_bytes = a.file_bytes + excluded.file_bytes, visions = a.visions + excluded.visions,
             journal_entries = a.journal_entries + excluded.journal_entries,
             refinements = a.refinements + excluded.refinements,
             audio_tracks = a.audio_tracks + excluded.audio_tracks,
             board_images = a.board_images + excluded.board_images",
    )
    .bind(differences.keys().copied().collect::<Vec<_>>())
    .bind(column(|counts| counts.logins))
    .bind(column(|counts| counts.files))
    .bind(column(|counts| counts.file_bytes))
    .bind(rows(Metric::Visions))
    .bind(rows(Metric::JournalEntries))
    .bind(rows(Metric::Refinements))
    .bind(rows(Metric::AudioTracks))
    .bind(rows(Metric::BoardImages))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "delete from activity where user_id = any($1)
           and (logins, files, file_bytes, visions, journal_entries, refinements, audio_tracks, board_images)
             = (0, 0, 0, 0, 0, 0, 0, 0)",
    )
    .bind(differences.keys().copied().collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
