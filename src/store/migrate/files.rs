//! The files of `migrations/`, carried in the binary.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Where it is written down what has been applied: not in `public`, which PostgREST serves.
pub(super) const TABLE: &str = "ingest.schema_migrations";

/// Version, name and content of each file.
macro_rules! embedded {
    ($($version:literal $name:literal),+ $(,)?) => {
        [$(($version, $name, include_str!(concat!("../../../migrations/", $version, "_", $name, ".sql")))),+]
    };
}

/// The migrations in order, each file named as the Supabase CLI and sqlx both read it.
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
    20251206003000 "read_first_activity_apart",
    20251126000050 "complete_member_metrics",
    20251126000100 "create_ingest",
    20251126000200 "index_public_tables",
    20251126000300 "describe_public_tables",
    20251126000400 "protect_tables",
    20251126000500 "member_list_indexes",
    20251127000000 "create_mrr_ledger",
    20251127000100 "create_audit_log",
    20251127000200 "compress_bodies_quickly",
    20251127000300 "convert_leads",
    20251128000100 "read_in_what_stands",
    20251128000300 "count_unrecognised",
    20251129000000 "prune_bodies",
    20251129000100 "set_failing_events_aside",
    20251130000000 "name_what_is_overdue",
    20251201000000 "count_consumers_that_died_young",
    20251202000000 "write_activity_cheaply",
    20251203000200 "flag_what_is_not_counted",
    20251203000300 "show_cancellations",
    20251203000400 "keep_every_email",
    20251203000500 "flag_statuses_that_stood_before",
    20251203000510 "accept_the_applications_words",
    20251203000600 "count_leads_from_their_moment",
    20251203000610 "keep_notes_from_members",
    20251203000800 "never_repeat_change_numbers",
    20251203000810 "close_future_functions",
    20251203001100 "match_leads_to_campaigns",
    20251203001200 "derive_tickets",
    20251204000100 "keep_each_event_once",
    20251204000300 "find_parked_by_moment",
    20251204000310 "find_subscribers_of_a_tier",
    20251204000500 "take_text_messages",
    20251204000510 "keep_sms_consent",
    20251204000700 "find_movements_by_moment",
    20251204000900 "notify_changes",
    20251205000000 "keep_console_sessions",
    20251205000100 "find_events_by_moment",
    20251205000110 "keep_answers_of_acts",
    20251205000120 "keep_api_tokens",
    20251205000200 "keep_statuses_that_triggers_missed",
    20251205000210 "notice_urgent_tickets",
    20251205000220 "list_unmatched_numbers",
    20251205000300 "hold_users",
    20251205000310 "find_events_without_a_subject",
    20251205000400 "wake_consumers_sooner",
    20251206002000 "keep_last_checks",
    20251206002100 "count_events_of_sources",
    20251206002200 "find_messages",
    20251206002300 "keep_saved_views",
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
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql"))
            .collect();
        on_disk.sort();
        let embedded: Vec<String> =
            FILES.iter().map(|(version, name, _)| format!("{version}_{name}.sql")).collect();
        assert_eq!(embedded, on_disk);
    }
}
