//! Events of another mode or account (`not_counted`): their metrics, and their flags in a rebuild.

use std::collections::BTreeMap;

use sqlx::{Executor as _, PgConnection};

use super::DecodedEvent;
use crate::envelope::{Envelope, Source};
use crate::project::stripe::NotCounted;
use crate::telemetry::NOT_COUNTED;

/// The table with the flags, as a rebuild's differences name it.
pub(in crate::store) const FLAGGED: &str = "ingest.events";

/// How many events of a batch are not counted, by the kind of reason.
#[derive(Debug, Default)]
pub(in crate::store) struct NotCountedTotals(BTreeMap<&'static str, u64>);

impl NotCountedTotals {
    /// Takes those that are not counted out of `events`.
    pub fn take_from(events: &mut Vec<DecodedEvent<'_>>) -> Self {
        let mut totals = Self::default();
        events.retain(|event| match event.payload.not_counted() {
            Some(reason) => {
                *totals.0.entry(reason.kind()).or_default() += 1;
                false
            }
            None => true,
        });
        totals
    }

    /// Updates the metrics, after the commit.
    pub fn record_metrics(self) {
        for (reason, events) in self.0 {
            metrics::counter!(NOT_COUNTED, "reason" => reason).increment(events);
        }
    }
}

/// Records the events whose flag in a rebuild differs from the stored one. `undecodable` events have none.
pub(in crate::store) async fn record_flags(
    tx: &mut PgConnection,
    events: &[DecodedEvent<'_>],
    undecodable: &[(&Envelope, String)],
) -> Result<(), sqlx::Error> {
    let decoded =
        events.iter().map(|event| (event.envelope, event.payload.not_counted().map(NotCounted::code)));
    let flags: Vec<_> = decoded
        .chain(undecodable.iter().map(|(envelope, _)| (*envelope, None)))
        .filter(|(envelope, _)| matches!(envelope.source, Source::Stripe | Source::Twilio | Source::Internal))
        .collect();
    if flags.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into flags (source, event_id, not_counted)
         select f.source, f.event_id, f.not_counted
         from unnest($1::text[], $2::text[], $3::text[]) as f (source, event_id, not_counted)
         join ingest.events i using (source, event_id)
         where i.not_counted is distinct from f.not_counted
         on conflict (source, event_id) do update set not_counted = excluded.not_counted",
    )
    .bind(flags.iter().map(|(envelope, _)| envelope.source.as_str()).collect::<Vec<_>>())
    .bind(flags.iter().map(|(envelope, _)| envelope.event_id.as_str()).collect::<Vec<_>>())
    .bind(flags.iter().map(|(_, code)| code.as_deref()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds the flags that differ to a rebuild's differences.
pub(in crate::store) async fn compare_flags(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into differences (relation, key, before, after)
         select $1, jsonb_build_object('source', source, 'event_id', event_id, 'subject', i.subject),
                jsonb_build_object('not_counted', i.not_counted), jsonb_build_object('not_counted', f.not_counted)
         from flags f join ingest.events i using (source, event_id)
         where i.not_counted is distinct from f.not_counted",
    )
    .bind(FLAGGED)
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets the flags among a rebuild's differences.
pub(in crate::store) async fn repair_flags(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(
        "update ingest.events i set not_counted = d.after ->> 'not_counted' from differences d
         where d.relation = 'ingest.events' and i.source = d.key ->> 'source' and i.event_id = d.key ->> 'event_id'",
    )
    .await?;
    Ok(())
}
