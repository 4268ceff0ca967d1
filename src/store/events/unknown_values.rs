//! Counts unknown values in events, so that operators notice them.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::DecodedEvent;
use crate::envelope::Source;
use crate::project::Payload;
use crate::project::order::ChangeKind;
use crate::project::stripe::UnknownValue;
use crate::telemetry::{IGNORED_EVENTS, UNRECOGNISED};

/// The unknown values of a batch.
#[derive(Debug, Default)]
pub(in crate::store) struct UnknownValues {
    /// Each with its number of events and the first of them by id.
    unknown_values: BTreeMap<UnknownValue, (i64, String)>,
    /// Events that no table depends on, by type.
    ignored_by_type: BTreeMap<String, u64>,
}

impl UnknownValues {
    pub fn of(events: &[DecodedEvent<'_>]) -> Self {
        let mut unknown_values = Self::default();
        for DecodedEvent { envelope, payload } in events {
            match payload {
                // Deleted objects are often shown without their fields.
                Payload::Stripe(report) if report.change_kind != ChangeKind::Deleted => {
                    for unknown_value in report.state.unknown_values() {
                        unknown_values.note(unknown_value, &envelope.event_id);
                    }
                }
                Payload::Ignored if envelope.source == Source::Stripe => {
                    *unknown_values.ignored_by_type.entry(envelope.event_type.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        unknown_values
    }

    fn note(&mut self, unknown_value: UnknownValue, event_id: &str) {
        let (events, example) =
            self.unknown_values.entry(unknown_value).or_insert_with(|| (0, event_id.to_owned()));
        *events += 1;
        if event_id < example.as_str() {
            event_id.clone_into(example);
        }
    }

    /// Adds them to the stored counts. Free if there are none.
    pub async fn write(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.unknown_values.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into ingest.unrecognised as u (what, value, events, example)
             select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
             on conflict (what, value) do update set
                 events = u.events + excluded.events, example = least(u.example, excluded.example)",
        )
        .bind(self.unknown_values.keys().map(|it| it.what).collect::<Vec<_>>())
        .bind(self.unknown_values.keys().map(|it| it.value.as_str()).collect::<Vec<_>>())
        .bind(self.unknown_values.values().map(|it| it.0).collect::<Vec<_>>())
        .bind(self.unknown_values.values().map(|it| it.1.as_str()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Updates the metrics, after the commit.
    pub fn record_metrics(self) {
        for (unknown_value, (events, _)) in self.unknown_values {
            metrics::counter!(UNRECOGNISED, "what" => unknown_value.what).increment(events.unsigned_abs());
        }
        for (event_type, events) in self.ignored_by_type {
            metrics::counter!(IGNORED_EVENTS, "event_type" => event_type).increment(events);
        }
    }
}
