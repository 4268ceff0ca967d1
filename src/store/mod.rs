//! Postgres: the transaction that applies a batch of events, and what it reads and writes.
//!
//! [`apply`] is the entry point, and its steps are the folders: [`events`] stores each event once, pending,
//! applied or dead; [`resolve`] decides what each object is now, in whatever order its events arrived;
//! [`derive`](mod@derive) writes what follows from that: owners, valuations, the ledger, the public tables.
//! [`migrate`] creates the tables; [`initial_import`] and [`backfill`] import pre-existing rows.

mod affected;
pub mod apply;
pub mod audit;
pub mod backfill;
mod decoded_batch;
pub mod derive;
pub mod error;
pub mod events;
pub mod forget;
mod forgotten;
pub mod initial_import;
mod locks;
pub mod migrate;
pub mod parked;
pub mod rebuild;
pub mod recompute;
pub mod resolve;
pub mod sms;
pub mod stored_objects;
pub mod supabase_stub;
pub mod tables;
mod urgent;

use sqlx::{PgPool, Postgres, Transaction};
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::project::DecodeSettings;
use crate::project::identity::Matching;
use crate::project::member::Thresholds;

pub use apply::Applied;
pub use error::StoreError;

/// The database that events are applied to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    clock: Clock,
    settings: StoreSettings,
}

/// How events are decoded, matched and derived, and how long their bodies are kept.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// How events are decoded.
    pub decoding: DecodeSettings,
    /// What counts as evidence of whose a customer is.
    pub matching: Matching,
    /// How phone numbers and consent are read.
    pub sms: SmsSettings,
    /// When a member is active, at risk, a champion.
    pub thresholds: Thresholds,
    /// How long the bodies of events are kept; `None` keeps them forever.
    pub retention: Option<time::Duration>,
}

/// How phone numbers are read, and which tables hold consent.
#[derive(Clone, Debug)]
pub struct SmsSettings {
    /// Tables whose consent columns are kept current.
    pub consent_tables: Vec<String>,
    /// The country code of numbers written without one.
    pub country_code: String,
}

impl StoreSettings {
    /// The settings in `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            decoding: DecodeSettings {
                user_id_keys: config.user_id_metadata_keys.clone(),
                tables: config.activity_tables.clone(),
                origin_filter: config.origin_filter(),
                twilio_account: config.twilio_account_sid.clone(),
            },
            sms: SmsSettings {
                consent_tables: config.sms_consent_tables.clone(),
                country_code: config.phone_country_code.clone(),
            },
            matching: config.matching,
            thresholds: Thresholds {
                active_days: config.active_days,
                at_risk_days: config.at_risk_days,
                champion_months: config.champion_months,
            },
            retention: config.retention_days.map(time::Duration::days),
        }
    }
}

impl Store {
    /// A store on `pool`.
    #[must_use]
    pub const fn new(pool: PgPool, clock: Clock, settings: StoreSettings) -> Self {
        Self { pool, clock, settings }
    }

    /// The present moment, by the store's clock.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// Its connection pool.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Unix seconds as a date, or the epoch if out of range.
#[must_use]
pub(crate) fn from_unix_seconds(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A read-only transaction with one snapshot, whose search path has the derived tables.
pub async fn begin_read_only(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut reading = database::begin_read_only(pool).await?;
    tables::Tables::Live.set_search_path(&mut reading).await?;
    Ok(reading)
}
