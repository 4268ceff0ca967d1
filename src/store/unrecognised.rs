//! What events say in words that we do not know: counted, so that somebody notices.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::events::Read;
use crate::envelope::Source;
use crate::project::Meaning;
use crate::project::order::Stage;
use crate::project::stripe::Oddity;
use crate::telemetry::{KEPT_UNREAD, UNRECOGNISED};

/// What a batch said that was not recognised.
#[derive(Debug, Default)]
pub(super) struct Unrecognised {
    /// How many events said each, and the first of them by id.
    oddities: BTreeMap<Oddity, (i64, String)>,
    /// Events that no table depends on, by type.
    kept_unread: BTreeMap<String, u64>,
}

impl Unrecognised {
    pub fn of(events: &[Read<'_>]) -> Self {
        let mut unrecognised = Self::default();
        for Read { envelope, meaning } in events {
            match meaning {
                // What is gone is often shown without its fields.
                Meaning::Stripe(report) if report.stage != Stage::Deleted => {
                    for oddity in report.state.oddities() {
                        unrecognised.note(oddity, &envelope.event_id);
                    }
                }
                Meaning::Nothing if envelope.source == Source::Stripe => {
                    *unrecognised.kept_unread.entry(envelope.event_type.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        unrecognised
    }

    fn note(&mut self, oddity: Oddity, event_id: &str) {
        let (events, example) = self.oddities.entry(oddity).or_insert_with(|| (0, event_id.to_owned()));
        *events += 1;
        if event_id < example.as_str() {
            event_id.clone_into(example);
        }
    }

    /// Adds it to what was counted before. Costs nothing where all is as it should be.
    pub async fn write(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.oddities.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into ingest.unrecognised as u (what, value, events, example)
             select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
             on conflict (what, value) do update set
                 events = u.events + excluded.events, example = least(u.example, excluded.example)",
        )
        .bind(self.oddities.keys().map(|it| it.what).collect::<Vec<_>>())
        .bind(self.oddities.keys().map(|it| it.value.as_str()).collect::<Vec<_>>())
        .bind(self.oddities.values().map(|it| it.0).collect::<Vec<_>>())
        .bind(self.oddities.values().map(|it| it.1.as_str()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Shows it to whoever watches, once it is certain.
    pub fn count(self) {
        for (oddity, (events, _)) in self.oddities {
            metrics::counter!(UNRECOGNISED, "what" => oddity.what).increment(events.unsigned_abs());
        }
        for (event_type, events) in self.kept_unread {
            metrics::counter!(KEPT_UNREAD, "event_type" => event_type).increment(events);
        }
    }
}
