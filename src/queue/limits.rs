//! How large a batch may be, and how long it may wait.

use std::time::Duration;

use crate::config::Config;

/// The bytes of one batch, whatever the number of its events.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// When a batch is full, and when it has waited enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub max_events: usize,
    /// The last event may reach past this: a batch holds at least one.
    pub max_bytes: usize,
    /// How long at most to wait for more after the first event, while an earlier batch is being applied.
    pub wait: Duration,
}

impl BatchLimits {
    pub fn of(config: &Config) -> Self {
        Self { max_events: config.batch_max_events.max(1), max_bytes: MAX_BYTES, wait: config.batch_wait }
    }
}
