//! The files of `migrations/`, embedded in the binary.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The table of applied migrations: not in `public`, which PostgREST serves.
pub(super) const TABLE: &str = "ingest.schema_migrations";

/// Version, name and content of each file.
macro_rules! embedded {
    ($($version:literal $name:literal),+ $(,)?) => {
        [$(($version, $name, include_str!(concat!("../../../migrations/", $version, "_", $name, ".sql")))),+]
    };
}

/// The migrations in order, each file named as the Supabase CLI and sqlx both read it.
#[expect(clippy::unreadable_literal, reason = "versions are timestamps, as in the files' names")]
pub(super) const FILES: &[(i64, &str, &str)] = &embedded![
    20251125000000 "create_membership_tables",
    20251126000000 "create_crm_system",
    20251205001000 "create_ingest",
    20251205001100 "create_facts_and_ledger",
    20251205001200 "convert_leads",
    20251205001300 "count_leads_in_campaigns",
    20251205001400 "derive_tickets",
    20251205001500 "take_text_messages",
    20251205001600 "keep_what_earlier_versions_use",
    20251205001700 "index_and_protect_tables",
    20251208031000 "sum_the_ledger",
    20251208031100 "count_leads_by_status",
    20251208031200 "note_ends_and_find_texts_of_tickets",
    20251208031300 "withdraw_consent_and_find_messages",
    20251208031400 "keep_views_checks_and_jobs",
    20251208031500 "count_and_find_events",
];

/// What applies them.
pub(super) fn migrator() -> Migrator {
    let migrations = FILES
        .iter()
        .map(|(version, name, sql)| {
            let description = name.replace('_', " ").into();
            Migration::new(*version, description, MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.create_schema("ingest");
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "sql"))
            .collect();
        on_disk.sort();
        let embedded: Vec<String> =
            FILES.iter().map(|(version, name, _)| format!("{version}_{name}.sql")).collect();
        assert_eq!(embedded, on_disk);
    }
}
