//! How long events took from their receipt until they were visible.

use time::OffsetDateTime;

use super::DecodedEvent;
use crate::envelope::Source;
use crate::telemetry::FRESHNESS_SECONDS;

/// When the events of a batch were received, by source; internal ones are not received.
#[derive(Debug)]
pub(in crate::store) struct Freshness(Vec<(Source, OffsetDateTime)>);

impl Freshness {
    /// Those of `events`.
    pub fn of(events: &[DecodedEvent<'_>]) -> Self {
        let received = events.iter().map(|event| (event.envelope.source, event.envelope.received_at));
        Self(received.filter(|(source, _)| *source != Source::Internal).collect())
    }

    /// Records how long they took until `now`, after the commit that made them visible.
    pub fn record(self, now: OffsetDateTime) {
        for (source, received_at) in self.0 {
            let freshness_s = (now - received_at).as_seconds_f64().max(0.0);
            metrics::histogram!(FRESHNESS_SECONDS, "source" => source.as_str()).record(freshness_s);
        }
    }
}
