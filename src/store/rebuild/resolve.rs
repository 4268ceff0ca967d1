//! The first step: the facts of all events that were applied, page by page, in the order of the events' keys.

use std::collections::{BTreeSet, HashSet};

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Rebuild, RebuildError, begin_shadow, shadow};
use crate::envelope::{Envelope, Source};
use crate::store::StoreSettings;
use crate::store::affected::Affected;
use crate::store::apply;
use crate::store::decoded_batch::{Decoded, DecodedBatch, decode_all};
use crate::store::derive::customer_revenue;
use crate::store::events::{self, AppliedEvent, EventKey, not_counted};
use crate::store::parked::{self, Checked};

/// Events in a page. Their bodies are in memory at once.
const PAGE: i64 = 1000;
/// Internal events in a page: each may report a thousand rows.
const INTERNAL_PAGE: usize = 20;

/// The outcome of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Events in it.
    pub events: usize,
    /// Events that can't be decoded (any more): skipped.
    pub unreadable: usize,
}

impl Rebuild {
    /// How many events there are to resolve, and how many whose bodies were pruned: their facts are used as they are.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn count_events(&mut self) -> Result<(u64, u64), RebuildError> {
        let (events, pruned): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where pruned_at is null), count(*) filter (where pruned_at is not null)
             from ingest.events where state = 'applied'",
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok((events.unsigned_abs(), pruned.unsigned_abs()))
    }

    /// Resolves the next page of events; an empty one is the end.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn resolve_page(&mut self) -> Result<Resolved, RebuildError> {
        let (now, since) = (self.clock().now(), self.since);
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let page = events::page(&mut tx, &self.last_event, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Resolved::default()) };
        self.last_event = EventKey::from(&last.envelope);
        record_recent(&mut tx, &page, since).await?;
        let page: Vec<Envelope> = page.into_iter().map(|event| event.envelope).collect();
        let resolved = resolve_and_park(&mut tx, &page, None, &self.store.settings, now).await?;
        tx.commit().await?;
        self.pages += 1;
        // As the tables grow, not as often as they do.
        if self.pages.is_power_of_two() {
            shadow::analyze(&mut self.connection).await?;
        }
        Ok(resolved)
    }

    /// Computes what depends on all events, after the last page.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn finish_resolving(&mut self) -> Result<(), RebuildError> {
        shadow::analyze(&mut self.connection).await?;
        let now = self.clock().now();
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        finish_resolving_in(&mut tx, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Resolves `events` and parks the objects that they leave without a state. `ids`: only what is about these.
pub(super) async fn resolve_and_park(
    tx: &mut PgConnection,
    events: &[Envelope],
    ids: Option<&HashSet<String>>,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Resolved, sqlx::Error> {
    let (affected, unreadable) = resolve_events(tx, events, ids, settings, now).await?;
    let thin: BTreeSet<String> =
        affected.revenue.parked.iter().map(|parked| parked.subject.clone()).collect();
    let checked = Checked { thin_event_objects: thin, ..Checked::default() };
    parked::replace(tx, &checked, &affected.revenue.parked, now).await?;
    Ok(Resolved { events: events.len(), unreadable })
}

/// Computes what depends on all resolved events: the customers' sums, and which objects are parked without a state.
pub(super) async fn finish_resolving_in(
    tx: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    customer_revenue::sum_payments(tx).await?;
    // An object that came without its state was checked before all events about it were resolved.
    let objects: BTreeSet<String> =
        sqlx::query_scalar("select subject from parked").fetch_all(&mut *tx).await?.into_iter().collect();
    let thin = parked::thin_objects(tx, &objects, &BTreeSet::new()).await?;
    let checked = Checked { thin_event_objects: objects, ..Checked::default() };
    parked::replace(tx, &checked, &thin, now).await
}

/// Splits events into pages that are in memory at once: smaller ones of internal events.
pub(super) fn in_pages(events: &[EventKey]) -> Vec<Vec<EventKey>> {
    let (internal, others): (Vec<_>, Vec<_>) =
        events.iter().cloned().partition(|key| key.source == Source::Internal.as_str());
    #[expect(clippy::cast_possible_truncation, reason = "a constant")]
    let others = others.chunks(PAGE as usize).map(<[_]>::to_vec);
    internal.chunks(INTERNAL_PAGE).map(<[_]>::to_vec).chain(others).collect()
}

/// Resolves `events` in the shadow tables. Those that were resolved before change nothing. Returns what they affect, and
/// how many could not be decoded. `ids`: only what is about these.
pub(super) async fn resolve_events(
    tx: &mut PgConnection,
    events: &[Envelope],
    ids: Option<&HashSet<String>>,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<(Affected, usize), sqlx::Error> {
    let Decoded { events, dead } = decode_all(events, settings);
    not_counted::record_flags(tx, &events, &dead).await?;
    let unreadable = dead.len();
    let mut batch = DecodedBatch::group(events);
    if let Some(ids) = ids {
        batch.retain(ids);
    }
    sqlx::query("insert into seen_users (id) select unnest($1::uuid[]) on conflict do nothing")
        .bind(batch.named_users().into_iter().collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    Ok((apply::resolve(tx, batch, settings, now).await?, unreadable))
}

/// Records the events of the page that were applied since the rebuild began: catching up skips them.
async fn record_recent(
    tx: &mut PgConnection,
    page: &[AppliedEvent],
    since: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let recent = || page.iter().filter(|event| event.applied_at >= since).map(|event| &event.envelope);
    sqlx::query(
        "insert into resolved (source, event_id) select * from unnest($1::text[], $2::text[])
         on conflict do nothing",
    )
    .bind(recent().map(|envelope| envelope.source.as_str()).collect::<Vec<_>>())
    .bind(recent().map(|envelope| envelope.event_id.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
