//! What the doctor found lately, for pages: each look asks the database, the broker and the providers' APIs.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Finding, examine_within};
use crate::config::Config;

/// How old what is shown may be.
const FRESH_FOR: Duration = Duration::from_secs(30);
/// How long a page waits for what is looked at.
const BOUND: Duration = Duration::from_secs(8);

/// What was found, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DoctorReport)]
pub struct Examined {
    /// When it was looked at.
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
    /// Of these settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), last: Mutex::default() }
    }

    /// What was found, at most half a minute ago. Who asks while it is looked at waits for that.
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
