//! The doctor's latest findings, cached for pages: each run queries the database, the broker and the providers' APIs.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Finding, examine_within};
use crate::config::Config;

/// How long findings are served from the cache.
const FRESH_FOR: Duration = Duration::from_secs(30);
/// The time limit of the checks.
const BOUND: Duration = Duration::from_secs(8);

/// What was found, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DoctorReport)]
pub struct Examined {
    /// When it was checked.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

/// The doctor of one process.
#[derive(Debug)]
pub struct Doctor {
    config: Config,
    last: Mutex<Option<(Instant, Examined)>>,
}

impl Doctor {
    /// A doctor with these settings and an empty cache.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), last: Mutex::default() }
    }

    /// Findings at most half a minute old. Concurrent callers wait for the same run.
    pub async fn examined(&self, now: OffsetDateTime) -> Examined {
        let mut last = self.last.lock().await;
        if let Some((_, examined)) = last.as_ref().filter(|(since, _)| since.elapsed() < FRESH_FOR) {
            return examined.clone();
        }
        let findings = examine_within(&self.config, BOUND).await.findings;
        let examined = Examined { at: now, findings };
        *last = Some((Instant::now(), examined.clone()));
        examined
    }
}
