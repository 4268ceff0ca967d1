//! Logs to stderr, and the metrics of `GET /metrics`.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;

use crate::config::{Config, LogFormat};

/// Deliveries by `source` and `outcome`: `accepted`, or the kind of the problem.
pub const DELIVERIES: &str = "memberflow_deliveries_total";
/// Seconds from a delivery's headers to its answer, by `source`.
pub const DELIVERY_SECONDS: &str = "memberflow_delivery_seconds";
/// Seconds from an event's receipt to the commit that makes it visible, by `source`.
pub const FRESHNESS_SECONDS: &str = "memberflow_freshness_seconds";
/// Auth Hooks answered neutrally although their event could not be stored; reconciliation finds such logins.
pub const HOOKS_DROPPED: &str = "memberflow_hooks_dropped_total";
/// Connections evicted for newer ones.
pub const CONNECTIONS_EVICTED: &str = "memberflow_connections_given_up_total";
/// Rejected requests to the API, by `reason`: `token-missing`, `token-malformed` or `token-wrong`;
/// and sign-ins to the console, `console-…`: `token-wrong`, `link-wrong`, and by Supabase `password-wrong`,
/// `email-malformed`, `email-refused`, `email-link-wrong`, `email-code-wrong`, `factor-wrong`, `factor-unknown`,
/// `email-link-elsewhere`, `code-missing`, `jwt-refused`, `role-missing`, `attempts`, `supabase-busy`.
pub const API_REJECTS: &str = "memberflow_api_rejected_total";
/// Requests to the API beyond what a token has, by `outcome`: `over`, or `full` where too many callers are remembered.
pub const API_LIMITED: &str = "memberflow_api_limited_total";

/// Events with unknown values, by `what`: a new status, a missing field. The values are in
/// `ingest.unrecognised`.
pub const UNRECOGNISED: &str = "memberflow_stripe_unrecognised_total";
/// Stripe events that no table depends on, stored as they are, by `event_type`.
pub const IGNORED_EVENTS: &str = "memberflow_stripe_ignored_events_total";

/// Events of another Stripe mode, or of another Stripe or Twilio account, than the configured one, by `reason`: applied
/// without a change.
pub const NOT_COUNTED: &str = "memberflow_stripe_not_counted_total";

/// Bounds of every histogram's buckets, in seconds.
const BUCKETS_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same of [`FRESHNESS_SECONDS`]: an event may wait for hours while a dependency is down.
const FRESHNESS_BUCKETS_S: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// Sends logs to stderr: human-readable on a terminal, otherwise JSON, or as configured.
///
/// # Errors
/// If a log subscriber is installed already.
pub fn init_logs(config: &Config) -> Result<(), TryInitError> {
    let json = match config.log_format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log_filter))
        .with_ansi(!json && std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // The reader of stderr may be gone. Reporting that on stderr would panic wherever something is
        // logged.
        .log_internal_errors(false);
    if json { logs.json().flatten_event(true).finish().try_init() } else { logs.finish().try_init() }
}

/// The process's one metrics recorder, installed and described on first use.
///
/// # Errors
/// If another recorder is installed already.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let freshness = Matcher::Full(FRESHNESS_SECONDS.to_owned());
    let builder = PrometheusBuilder::new().set_buckets(BUCKETS_S)?;
    match builder.set_buckets_for_metric(freshness, FRESHNESS_BUCKETS_S)?.install_recorder() {
        Ok(handle) => {
            describe();
            Ok(HANDLE.get_or_init(|| handle).clone())
        }
        // Two concurrent first uses: the other one installed it.
        Err(error) => HANDLE.get().cloned().ok_or(error),
    }
}

fn describe() {
    metrics::describe_counter!(
        API_REJECTS,
        "Requests to the API and sign-ins to the console without the right token, by reason."
    );
    metrics::describe_counter!(API_LIMITED, "Requests to the API beyond what a token has, by outcome.");
    metrics::describe_counter!(DELIVERIES, "Deliveries by source and outcome.");
    metrics::describe_histogram!(
        DELIVERY_SECONDS,
        metrics::Unit::Seconds,
        "From a delivery's headers to its answer."
    );
    metrics::describe_histogram!(
        FRESHNESS_SECONDS,
        metrics::Unit::Seconds,
        "From an event's receipt to the commit that makes it visible, by source."
    );
    metrics::describe_counter!(
        UNRECOGNISED,
        "Events that said something that is not recognised, by what it was."
    );
    metrics::describe_counter!(
        NOT_COUNTED,
        "Events of another Stripe mode, or of another Stripe or Twilio account, than the configured one, by reason."
    );
    metrics::describe_counter!(IGNORED_EVENTS, "Stripe events that no table depends on, by type.");
    metrics::describe_counter!(
        HOOKS_DROPPED,
        "Auth Hooks answered neutrally though their event could not be kept."
    );
    metrics::describe_counter!(CONNECTIONS_EVICTED, "Connections evicted for newer ones.");
}
