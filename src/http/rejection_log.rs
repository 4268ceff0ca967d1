//! Saying in the log what was not taken or does not count, without letting a flood of it fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::problem::Problem;
use crate::envelope::Source;
use crate::project::stripe::NotCounted;

/// Lines in a second, of each source. The counters tell of all.
const LINES_PER_SECOND: u32 = 20;

/// What one source's refused deliveries have said lately.
#[derive(Default)]
pub(crate) struct RejectionLog(LogLimit);

/// Lets so many lines a second through, and counts the others.
#[derive(Default)]
pub(crate) struct LogLimit(Mutex<Second>);

#[derive(Default)]
struct Second {
    begun: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl RejectionLog {
    /// Says what became of a delivery, unless this second has heard enough.
    pub fn say(&self, source: Source, problem: &Problem) {
        let Some(unsaid) = self.0.turn(Instant::now()) else { return };
        if unsaid > 0 {
            tracing::warn!(%source, unsaid, "suppressed rejection logs");
        }
        tracing::info!(%source, kind = problem.kind(), detail = problem.detail(), "delivery rejected");
    }

    /// Says that an event was kept and changes nothing, within the same bounds.
    pub fn say_not_counted(&self, source: Source, event_id: &str, reason: &NotCounted) {
        let Some(unsaid) = self.0.turn(Instant::now()) else { return };
        if unsaid > 0 {
            tracing::warn!(%source, unsaid, "suppressed rejection logs");
        }
        tracing::info!(%source, event_id, of = %reason, fix = reason.setting(), "event stored, not counted");
    }
}

impl LogLimit {
    /// How many have gone unsaid since the last line; none where this one does, too.
    pub(crate) fn turn(&self, now: Instant) -> Option<u64> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.begun.is_none_or(|begun| now.duration_since(begun) >= Duration::from_secs(1)) {
            (second.begun, second.said) = (Some(now), 0);
        }
        if second.said == LINES_PER_SECOND {
            second.unsaid += 1;
            return None;
        }
        second.said += 1;
        Some(std::mem::take(&mut second.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_named_a_few_times_a_second_and_counted() {
        let (limit, begun) = (LogLimit::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let said: Vec<Option<u64>> = (0..1000).map(|ms| limit.turn(at(ms))).collect();
        assert_eq!(said.iter().filter(|turn| **turn == Some(0)).count(), 20);
        assert_eq!(said[20..], [None; 980]);
        assert_eq!(limit.turn(at(1000)), Some(980));
        assert_eq!(limit.turn(at(1001)), Some(0));
    }
}
