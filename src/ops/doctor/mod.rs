//! The doctor: checks everything that memberflow needs and suggests fixes.
//!
//! Read-only. Each check gives one or more findings and never stops the others.

mod backlog;
mod broker;
mod cache;
mod counted;
mod database;
mod expected;
mod exposure;
mod readers;
mod secrets;
mod settings;
mod sign_in;
mod stripe;
mod tables;
mod triggers;
mod twilio;

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use crate::config::Config;

pub use cache::{Doctor, Examined};
pub use stripe::NEEDED_EVENTS;

/// The limit for all checks of one thing, unless given: each of them has its own.
const PATIENCE: Duration = Duration::from_secs(120);

/// The severity of a finding, increasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FindingLevel)]
pub enum Level {
    /// Fine.
    Fine,
    /// Worth knowing.
    Note,
    /// Works, but not as well or as safely as it should.
    Warning,
    /// Does not work until it is fixed.
    Failed,
    /// A dependency does not answer.
    Down,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Finding {
    /// What was checked: `database`, `tables`, `queue`, `secrets`, `stripe`, …
    pub check: &'static str,
    /// Its severity.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// The command or action that fixes it.
    pub fix: Option<String>,
}

impl Finding {
    fn fine(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Fine, message: message.into(), fix: None }
    }

    fn note(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Note, message: message.into(), fix: None }
    }

    fn wrong(check: &'static str, level: Level, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level, message: message.into(), fix: Some(fix.into()) }
    }
}

/// All findings, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst severity.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine)
    }
}

/// Runs all checks.
pub async fn examine(config: &Config) -> Report {
    examine_within(config, PATIENCE).await
}

/// The same; what does not answer within the `bound` is down.
pub async fn examine_within(config: &Config, bound: Duration) -> Report {
    let mut findings = secrets::examine(config);
    findings.extend(settings::examine(config));
    findings.extend(exposure::examine(config));
    let (database, broker, stripe, twilio, sign_in) = tokio::join!(
        within(bound, "database", database::examine(config)),
        within(bound, "queue", broker::examine(config)),
        within(bound, "stripe", stripe::examine(config)),
        within(bound, "twilio", twilio::examine(config)),
        within(bound, "sign-in", sign_in::examine(config)),
    );
    findings.extend([database, broker, stripe, twilio, sign_in].into_iter().flatten());
    Report { findings }
}

async fn within(
    bound: Duration,
    check: &'static str,
    looking: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    timeout(bound, looking).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", bound.as_secs());
        let fix = "run memberflow doctor, which waits for longer";
        vec![Finding::wrong(check, Level::Down, message, fix)]
    })
}
