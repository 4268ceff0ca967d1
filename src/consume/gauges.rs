//! The present state in `/metrics`: set once a minute from counts that are kept or end at a limit, so that no scrape
//! reads a table.

use std::collections::BTreeSet;

use metrics::{Unit, describe_gauge, gauge};
use time::OffsetDateTime;

use super::in_flight::InFlight;
use crate::ops::overview::{Overview, overview};
use crate::ops::{sources, throughput};
use crate::store::Store;

/// The age of the event that waits longest, in seconds, by `stage`; 0 where none waits.
const OLDEST_PENDING: &str = "memberflow_oldest_pending_event_seconds";
/// Dead letters; counting stops at 10,001.
const DEAD: &str = "memberflow_dead_letters";
/// What is parked, by `reason`; counting stops at 10,001.
const PARKED: &str = "memberflow_parked";
/// When the latest event of each `source` was received, in Unix seconds.
const LAST_EVENT: &str = "memberflow_source_last_event_timestamp_seconds";
/// The mean interval between events of each `source` over a week, in seconds.
const USUAL_GAP: &str = "memberflow_source_usual_gap_seconds";
/// 1 if a `source` has been silent for more than 1.5 times its longest gap of the last week, and for five minutes.
const SILENT: &str = "memberflow_source_silent";
/// What the last comparison, by `check`, left differing.
const DRIFT: &str = "memberflow_drift";
/// When that was, in Unix seconds.
const DRIFT_CHECKED: &str = "memberflow_drift_checked_timestamp_seconds";

/// The gauges, and the reasons that are shown: one for which nothing waits any more is 0.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    reasons: BTreeSet<String>,
}

impl Gauges {
    /// Describes each to the recorder.
    pub(super) fn described() -> Self {
        describe_gauge!(OLDEST_PENDING, Unit::Seconds, "Age of the event that waits longest, by stage.");
        describe_gauge!(DEAD, Unit::Count, "Dead letters; counting stops at 10,001.");
        describe_gauge!(PARKED, Unit::Count, "What is parked, by reason; counting stops at 10,001.");
        describe_gauge!(LAST_EVENT, Unit::Seconds, "When the latest event of each source was received.");
        describe_gauge!(USUAL_GAP, Unit::Seconds, "Mean interval between events of a source over a week.");
        describe_gauge!(
            SILENT,
            "1 if a source has been silent for more than 1.5 times its longest gap of the last week."
        );
        describe_gauge!(DRIFT, Unit::Count, "What the last comparison left differing, by check.");
        describe_gauge!(DRIFT_CHECKED, Unit::Seconds, "When the last comparison ended, by check.");
        Self::default()
    }

    /// Counts what has come of each source, measures, and notes the backlog.
    pub(super) async fn measure(&mut self, store: &Store, in_flight: &InFlight) -> Result<(), sqlx::Error> {
        let now = store.now();
        let received = in_flight.oldest();
        set_oldest("received", received, now);
        sources::count(store.pool(), now).await?;
        let overview = overview(store.pool(), now).await?;
        let (waiting, oldest) = (overview.pending.count, overview.pending.oldest);
        self.set(overview, now);
        throughput::note_backlog(store.pool(), waiting, oldest.into_iter().chain(received).min(), now).await
    }

    fn set(&mut self, overview: Overview, now: OffsetDateTime) {
        set_oldest("waiting", overview.pending.oldest, now);
        set_oldest("failing", overview.pending.oldest_failing, now);
        gauge!(DEAD).set(overview.dead as f64);
        for reason in &self.reasons {
            gauge!(PARKED, "reason" => reason.clone()).set(0.0);
        }
        for parked in overview.parked {
            gauge!(PARKED, "reason" => parked.reason.clone()).set(parked.count as f64);
            self.reasons.insert(parked.reason);
        }
        for source in overview.sources {
            let name = source.source;
            gauge!(LAST_EVENT, "source" => name.clone()).set(source.last_received_at.unix_timestamp() as f64);
            if let Some(gap) = source.usual_gap_s {
                gauge!(USUAL_GAP, "source" => name.clone()).set(gap);
            }
            gauge!(SILENT, "source" => name).set(f64::from(u8::from(source.is_silent)));
        }
        for check in overview.checks {
            gauge!(DRIFT, "check" => check.name.clone()).set(check.remaining as f64);
            gauge!(DRIFT_CHECKED, "check" => check.name).set(check.at.unix_timestamp() as f64);
        }
    }
}

fn set_oldest(stage: &'static str, oldest: Option<OffsetDateTime>, now: OffsetDateTime) {
    let age_s = oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64());
    gauge!(OLDEST_PENDING, "stage" => stage).set(age_s.max(0.0));
}
