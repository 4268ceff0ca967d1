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
    20251206000000 "tie_sessions_to_users",
    20251206001000 "keep_mrr_totals",
    20251206001100 "find_movements_of_a_sum",
    20251206001200 "keep_mrr_cohorts",
    20251206002000 "keep_last_checks",
    20251206002100 "count_events_of_sources",
    20251206002200 "find_messages",
    20251206002300 "keep_saved_views",
    20251206003000 "read_first_activity_apart",
    20251206010000 "keep_mrr_revisions",
    20251206010100 "keep_status_of_counted_leads",
    20251206010200 "find_tickets_by_text",
    20251206020000 "withdraw_sms_consent",
    20251206020100 "find_messages_to_reconcile",
    20251206030000 "keep_commits_from_failing_to_notify",
    20251206030100 "count_thousandths",
    20251206030200 "note_each_end_of_a_ticket",
    20251206030300 "remember_deriving_triggers",
    20251207010000 "find_what_is_about_a_member",
    20251207020000 "remember_what_was_forgotten",
    20251208010000 "keep_jobs",
    20251208020000 "count_events_by_minute",
    20251208030000 "give_jobs_an_object",
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
