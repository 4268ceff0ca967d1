//! Postgres: the transaction that applies a batch of events, and what it reads and writes.
//!
//! [`apply`] is the way in. Behind it, in the order of its steps: [`events`] keeps each event once (with
//! [`pending`], those that wait, and [`retries`], those that failed), [`facts`] keeps the present state of each object,
//! [`payments`] and [`activity`] move what is counted from it, [`customers`] decides whose it is and what it is worth,
//! [`movements`] keeps the ledger of it, and [`members`] writes the other public tables. [`migrate`] makes those tables.

pub mod activity;
mod adopted;
pub mod apply;
pub mod audit;
mod before;
pub mod catalogue;
pub mod claims;
pub mod customers;
mod derive;
pub mod derived;
pub mod due;
mod earlier;
pub mod emails;
pub mod error;
pub mod events;
pub mod facts;
pub mod forget;
pub mod found;
mod involved;
pub mod known;
pub mod leads;
pub mod members;
pub mod migrate;
pub mod money;
pub mod movements;
mod news;
pub mod parked;
pub mod payment_history;
pub mod payments;
pub mod pending;
pub mod prune;
pub mod rebuild;
mod referred;
pub mod retries;
pub mod sms;
pub mod subscriptions;
pub mod supabase_stub;
pub mod switch_on;
mod tiers;
mod uncounted;
mod unrecognised;
mod urgent;
pub mod versions;
pub mod worth;

use sqlx::{PgPool, Postgres, Transaction};
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::project::Reading;
use crate::project::identity::Matching;
use crate::project::member::Thresholds;

pub use apply::Applied;
pub use error::StoreError;

/// Where events are applied. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    clock: Clock,
    rules: Rules,
}

/// What the projection needs to know of the settings.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How events are read.
    pub reading: Reading,
    /// What counts as evidence of whose a customer is.
    pub matching: Matching,
    /// How phone numbers and consent are read.
    pub texting: Texting,
    /// When a member is active, at risk, a champion.
    pub thresholds: Thresholds,
    /// For how long the bodies of events are kept; for ever where nothing is said.
    pub retention: Option<time::Duration>,
}

/// How phone numbers are read, and which tables follow what people say by text.
#[derive(Clone, Debug)]
pub struct Texting {
    /// Tables whose consent columns follow.
    pub consent_tables: Vec<String>,
    /// What begins numbers that are written without a country.
    pub country_code: String,
}

impl Rules {
    /// The rules that `config` sets.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            reading: Reading {
                user_id_keys: config.user_id_metadata_keys.clone(),
                tables: config.activity_tables.clone(),
                admission: config.admission(),
                twilio_account: config.twilio_account_sid.clone(),
            },
            texting: Texting {
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
    pub const fn new(pool: PgPool, clock: Clock, rules: Rules) -> Self {
        Self { pool, clock, rules }
    }

    /// The present moment, by the store's clock.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// What the projection knows of the settings.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The connections it uses.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A transaction that only reads, all of it at one moment, and finds the derived tables by their names.
///
/// # Errors
/// The database does not answer.
pub async fn reading(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut reading = database::begin_reading(pool).await?;
    derived::Tables::Live.choose(&mut reading).await?;
    Ok(reading)
}
