//! Counts unknown values in events and ignored events, so that operators notice them.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::DecodedEvent;
use crate::envelope::Source;
use crate::project::Payload;
use crate::project::order::ChangeKind;
use crate::project::stripe::UnknownValue;
use crate::telemetry::{IGNORED_EVENTS, UNRECOGNISED};

/// The unknown values and the ignored events of a batch. The metric and the table of the former are called
/// `unrecognised`.
#[derive(Debug, Default)]
pub(in crate::store) struct UnknownAndIgnored {
    /// Each with its number of events and the first of them by id.
    values: BTreeMap<UnknownValue, (i64, String)>,
    /// Events that no table depends on, by type.
    ignored_by_type: BTreeMap<String, u64>,
}

impl UnknownAndIgnored {
    pub fn of(events: &[DecodedEvent<'_>]) -> Self {
        let mut counts = Self::default();
        for DecodedEvent { envelope, payload } in events {
            match payload {
                // Deleted objects are often shown without their fields.
                Payload::Stripe(report) if report.change_kind != ChangeKind::Deleted => {
                    for unknown_value in report.state.unknown_values() {
                        counts.note(unknown_value, &envelope.event_id);
                    }
                }
                Payload::Ignored if envelope.source == Source::Stripe => {
                    *counts.ignored_by_type.entry(envelope.event_type.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        counts
    }

    fn note(&mut self, unknown_value: UnknownValue, event_id: &str) {
        let (events, example) = self.values.entry(unknown_value).or_insert_with(|| (0, event_id.to_owned()));
        *events += 1;
        if event_id < example.as_str() {
            event_id.clone_into(example);
        }
    }

    /// Adds them to the stored counts. Free if there are none.
    pub async fn write(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.values.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into ingest.unrecognised as u (what, value, events, example)
             select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
             on conflict (what, value) do update set
                 events = u.events + excluded.events, example = least(u.example, excluded.example)",
        )
        .bind(self.values.keys().map(|it| it.what).collect::<Vec<_>>())
        .bind(self.values.keys().map(|it| it.value.as_str()).collect::<Vec<_>>())
        .bind(self.values.values().map(|it| it.0).collect::<Vec<_>>())
        .bind(self.values.values().map(|it| it.1.as_str()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Updates the metrics, after the commit.
    pub fn record_metrics(self) {
        for (unknown_value, (events, _)) in self.values {
            metrics::counter!(UNRECOGNISED, "what" => unknown_value.what).increment(events.unsigned_abs());
        }
        for (event_type, events) in self.ignored_by_type {
            metrics::counter!(IGNORED_EVENTS, "event_type" => event_type).increment(events);
        }
    }
}
