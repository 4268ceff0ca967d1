//! Bounds the rate of log lines: a flood must not fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The lines that one [`LogLimit`] admits in a second.
const LINES_PER_SECOND: u32 = 20;

/// Lets [`LINES_PER_SECOND`] through and counts the others.
#[derive(Default)]
pub(crate) struct LogLimit(Mutex<Second>);

#[derive(Default)]
struct Second {
    started: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

impl LogLimit {
    /// Admits a line, with the number of lines suppressed since the last one; `None` if this one is suppressed too.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.started.is_none_or(|started| now.duration_since(started) >= Duration::from_secs(1)) {
            (second.started, second.logged) = (Some(now), 0);
        }
        if second.logged == LINES_PER_SECOND {
            second.suppressed += 1;
            return None;
        }
        second.logged += 1;
        Some(std::mem::take(&mut second.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_is_logged_at_a_bounded_rate_and_counted() {
        let (limit, started) = (LogLimit::default(), Instant::now());
        let at = |ms| started + Duration::from_millis(ms);
        let logged: Vec<Option<u64>> = (0..1000).map(|ms| limit.admit(at(ms))).collect();
        assert_eq!(logged.iter().filter(|line| **line == Some(0)).count(), 20);
        assert_eq!(logged[20..], [None; 980]);
        assert_eq!(limit.admit(at(1000)), Some(980));
        assert_eq!(limit.admit(at(1001)), Some(0));
    }
}
