//! The only place that reads the wall clock, so that tests can set the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;

/// The source of the present time. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that does not move until it is set: nanoseconds since the Unix epoch.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock set to `moment`.
    ///
    /// # Panics
    /// If `moment` lies outside the years 1677 to 2262, which nanoseconds in 64 bits can't hold.
    #[must_use]
    pub fn fixed(moment: OffsetDateTime) -> Self {
        let nanos = i64::try_from(moment.unix_timestamp_nanos()).expect("a moment between 1677 and 2262");
        Self::Fixed(Arc::new(AtomicI64::new(nanos)))
    }

    /// The present moment, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may read the wall clock")]
    pub fn now(&self) -> OffsetDateTime {
        match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Fixed(nanos) => {
                OffsetDateTime::UNIX_EPOCH + time::Duration::nanoseconds(nanos.load(Ordering::Relaxed))
            }
        }
    }
}
