//! Operations for operators and the CRM, shared by the CLI, the API and the console: one folder each.

pub mod actor;
pub mod audit;
pub mod backfill;
pub mod campaigns;
pub mod dead_letters;
pub mod doctor;
pub mod drift;
pub mod events;
pub mod fixture;
pub mod idempotency;
pub mod jobs;
pub mod ledger;
pub mod members;
pub mod messages;
pub mod overview;
pub mod page;
pub mod parked;
pub mod progress;
pub mod prune;
pub mod realtime;
pub mod rebuild;
pub mod reconcile;
pub mod replay;
pub mod sources;
pub mod stripe_api;
pub mod supabase_auth_api;
pub mod throughput;
pub mod tickets;
pub mod tokens;
pub mod triggers;
pub mod twilio_api;
pub mod version;
pub mod views;

/// The error of a value that is none of the `known` ones.
pub(crate) fn unknown_value(name: &str, given: &str, known: &[&str]) -> String {
    format!("invalid {name} {given:?}: expected one of {}", known.join(", "))
}

/// Serialises a duration in seconds, rounded to tenths.
pub(crate) fn seconds<S: serde::Serializer>(
    took: &std::time::Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 10.0).round() / 10.0)
}
