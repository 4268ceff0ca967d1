//! Settings: flags win over environment over file; an unknown key is an error.

pub mod console_roles;
pub mod hosts;

mod load;
mod settings;
mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use secrecy::SecretString;

use crate::project::identity::Matching;
use crate::project::stripe::{OriginFilter, StripeMode};
use crate::project::supabase::ActivityTables;

use console_roles::RoleSource;

pub use load::{ConfigError, ConfigSources, Flags, load, load_without_database, read};

/// The default tables with phone numbers and consent.
pub const SMS_CONSENT_TABLES: [&str; 3] = ["user_accounts", "user_profiles", "leads"];

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable on a terminal, otherwise JSON.
    Auto,
    /// Human-readable.
    Human,
    /// One JSON object a line.
    Json,
}

/// All settings, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`: Postgres, direct or through the session pooler.
    pub database_url: SecretString,
    /// Connections to Postgres that one process may hold, all its pools together.
    pub database_connections: u32,
    /// `AMQP_URL`: RabbitMQ. Absent: the queue is in Postgres.
    pub amqp_url: Option<SecretString>,
    /// The prefix of the names of the exchange and the queues, so that several installations can share a
    /// broker.
    pub queue_prefix: String,
    /// `STRIPE_WEBHOOK_SECRETS`: the `whsec_…` strings, any of which may sign.
    pub stripe_webhook_secrets: Vec<SecretString>,
    /// `SUPABASE_WEBHOOK_SECRETS`: the `v1,whsec_…` strings, any of which may sign.
    pub supabase_webhook_secrets: Vec<SecretString>,
    /// `SUPABASE_HOOK_SECRETS`: those of Auth Hooks alone. Empty: [`Self::supabase_webhook_secrets`] sign them too.
    pub supabase_hook_secrets: Vec<SecretString>,
    /// `STRIPE_API_KEY`: for reading from Stripe.
    pub stripe_api_key: Option<SecretString>,
    /// `STRIPE_API_BASE`: the base URL of Stripe's API, unless the default.
    pub stripe_api_base: Option<String>,
    /// `MEMBERFLOW_STRIPE_MODE`: which mode's events count; if not set, live mode, and in `memberflow dev`
    /// any.
    pub stripe_mode: Option<StripeMode>,
    /// `MEMBERFLOW_STRIPE_ACCOUNT`: the account whose events count; absent: those that name none.
    pub stripe_account: Option<String>,
    /// The most requests per second that a backfill or reconcile sends to Stripe's API.
    pub stripe_requests_per_second: u32,
    /// `TWILIO_ACCOUNT_SID`: the account whose messages count; absent: those of every account whose token signs.
    pub twilio_account_sid: Option<String>,
    /// `TWILIO_AUTH_TOKENS`: the account's tokens, any of which may sign.
    pub twilio_auth_tokens: Vec<SecretString>,
    /// `TWILIO_API_BASE`: the base URL of Twilio's API, unless the default.
    pub twilio_api_base: Option<String>,
    /// `MEMBERFLOW_PUBLIC_URL`: the address under which Twilio reaches us, which it signs.
    pub public_url: Option<String>,
    /// `MEMBERFLOW_SMS_CONSENT_TABLES`: the tables whose `sms_opt_in` follows opt-ins and opt-outs by text
    /// message.
    pub sms_consent_tables: Vec<String>,
    /// `MEMBERFLOW_PHONE_COUNTRY_CODE`: the country code of phone numbers written without one.
    pub phone_country_code: String,
    /// `SUPABASE_URL`: the project, by which people sign in to the console.
    pub supabase_url: Option<String>,
    /// `SUPABASE_PUBLISHABLE_KEY`: what its Auth API wants to see of every caller. Without it nobody signs in by Supabase.
    pub supabase_publishable_key: Option<SecretString>,
    /// `MEMBERFLOW_CONSOLE_URL`: where people reach the console. Absent: at [`Self::public_url`].
    pub console_url: Option<String>,
    /// `MEMBERFLOW_CONSOLE_ROLES`: what says what somebody may do who signs in by Supabase.
    pub console_roles: RoleSource,
    /// `MEMBERFLOW_BIND`: where the service listens.
    pub bind: SocketAddr,
    /// `MEMBERFLOW_OPS_BIND`: where `/readyz`, `/metrics`, the API and the console are served instead. Absent: at `bind`.
    pub ops_bind: Option<SocketAddr>,
    /// `MEMBERFLOW_ADMIN_TOKEN`: the bearer token of the API, and one way to sign in to the console.
    pub admin_token: Option<SecretString>,
    /// How far a signature's timestamp may differ from our clock.
    pub webhook_tolerance: Duration,
    /// The largest body taken.
    pub body_limit_bytes: usize,
    /// How long a client may take to send its headers, and again its body.
    pub read_timeout: Duration,
    /// The most requests per source that are being made durable at once; further ones get 429. A flood from
    /// one source does not affect the others.
    pub max_requests: usize,
    /// Events that one batch holds at most.
    pub batch_max_events: usize,
    /// How long at most a batch that is not full waits for more events after its first one, while an earlier batch is
    /// being applied.
    pub batch_wait: Duration,
    /// Metadata keys that name a user explicitly, strongest first.
    pub user_id_metadata_keys: Vec<String>,
    /// `MEMBERFLOW_MATCH_BY` and `MEMBERFLOW_MATCH_SSO_EMAIL`: what counts as evidence of whose a customer is.
    pub matching: Matching,
    /// `MEMBERFLOW_ACTIVITY_TABLES`: the tables whose rows count, besides logins, files and profiles.
    pub activity_tables: ActivityTables,
    /// Full days since the last login up to which a member is `active`.
    pub active_days: i64,
    /// Full days since the last login up to which a member is `at_risk`.
    pub at_risk_days: i64,
    /// Months subscribed from which an active member is a `champion`.
    pub champion_months: i32,
    /// `MEMBERFLOW_RETENTION_DAYS`: how long the bodies of events are kept; absent: forever.
    pub retention_days: Option<i64>,
    /// `MEMBERFLOW_LOG_FILTER`: which log messages are written, in the syntax of `tracing`.
    pub log_filter: String,
    /// `MEMBERFLOW_LOG_FORMAT`: how they are written.
    pub log_format: LogFormat,
}

impl Config {
    /// The defaults, with the database URL, which has none.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: SecretString::from(database_url.into()),
            database_connections: 10,
            amqp_url: None,
            queue_prefix: "memberflow".to_owned(),
            stripe_webhook_secrets: Vec::new(),
            supabase_webhook_secrets: Vec::new(),
            supabase_hook_secrets: Vec::new(),
            stripe_api_key: None,
            stripe_api_base: None,
            stripe_mode: None,
            stripe_account: None,
            // A sandbox allows 25, a live account 100.
            stripe_requests_per_second: 20,
            twilio_account_sid: None,
            twilio_auth_tokens: Vec::new(),
            twilio_api_base: None,
            public_url: None,
            sms_consent_tables: SMS_CONSENT_TABLES.map(str::to_owned).to_vec(),
            phone_country_code: "1".to_owned(),
            supabase_url: None,
            supabase_publishable_key: None,
            console_url: None,
            console_roles: RoleSource::default(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            ops_bind: None,
            admin_token: None,
            webhook_tolerance: Duration::from_secs(300),
            body_limit_bytes: 1024 * 1024,
            read_timeout: Duration::from_secs(10),
            max_requests: 4096,
            batch_max_events: 500,
            batch_wait: Duration::from_secs(1),
            user_id_metadata_keys: vec!["user_id".to_owned(), "supabase_user_id".to_owned()],
            matching: Matching::default(),
            activity_tables: ActivityTables::default(),
            active_days: 7,
            at_risk_days: 30,
            champion_months: 6,
            retention_days: None,
            // The queue itself logs a lost connection; lapin would log it again as an error.
            log_filter: "info,lapin=off".to_owned(),
            log_format: LogFormat::Auto,
        }
    }

    /// Which of Stripe's events count.
    #[must_use]
    pub fn origin_filter(&self) -> OriginFilter {
        OriginFilter { mode: self.stripe_mode.unwrap_or_default(), account: self.stripe_account.clone() }
    }

    /// The secrets that sign Auth Hooks.
    #[must_use]
    pub fn hook_secrets(&self) -> &[SecretString] {
        let own = &self.supabase_hook_secrets;
        if own.is_empty() { &self.supabase_webhook_secrets } else { own }
    }

    /// The address of the console for people, if known.
    #[must_use]
    pub fn console_address(&self) -> Option<&str> {
        self.console_url.as_deref().or(self.public_url.as_deref())
    }

    /// The operators' address, if it differs from the public one. Port 0 always differs.
    #[must_use]
    pub fn separate_ops_bind(&self) -> Option<SocketAddr> {
        self.ops_bind.filter(|ops| *ops != self.bind || ops.port() == 0)
    }
}
