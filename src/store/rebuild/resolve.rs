//! The first part: the facts of all events that were applied, page by page, in the order of the events' names.

use std::collections::{BTreeSet, HashSet};

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Rebuild, RebuildError, begin_shadow, shadow};
use crate::envelope::{Envelope, Source};
use crate::store::Rules;
use crate::store::affected::Affected;
use crate::store::apply;
use crate::store::decoded_batch::{Decoded, DecodedBatch, decode_all};
use crate::store::derive::money;
use crate::store::events::{self, AppliedEvent, uncounted};
use crate::store::parked::{self, Checked};

/// Events in a page. Their bodies are in memory at once.
const PAGE: i64 = 1000;
/// The same of events of our own.
const PAGE_OF_OUR_OWN: usize = 20;

/// The source and the id of an event.
pub(super) type EventName = (String, String);

/// What became of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Events in it.
    pub events: usize,
    /// Events that can't be read (any more): passed over, as at a delivery.
    pub unreadable: usize,
}

impl Rebuild {
    /// How many events there are to resolve, and how many whose bodies were pruned: their facts stand.
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
        let page = events::page(&mut tx, &self.position, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Resolved::default()) };
        self.position = (last.envelope.source.as_str().to_owned(), last.envelope.event_id.clone());
        note(&mut tx, &page, since).await?;
        let page: Vec<Envelope> = page.into_iter().map(|event| event.envelope).collect();
        let resolved = page_of(&mut tx, &page, None, &self.store.rules, now).await?;
        tx.commit().await?;
        self.pages += 1;
        // As the tables grow, not as often as they do.
        if self.pages.is_power_of_two() {
            shadow::analyze(&mut self.connection).await?;
        }
        Ok(resolved)
    }

    /// After the last page: what depends on all of them.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn add_up(&mut self) -> Result<(), RebuildError> {
        shadow::analyze(&mut self.connection).await?;
        let now = self.clock().now();
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        add_up_in(&mut tx, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Resolves `events` as a page, and of their reports only those about these `names`, if there are any.
pub(super) async fn page_of(
    tx: &mut PgConnection,
    events: &[Envelope],
    names: Option<&HashSet<String>>,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<Resolved, sqlx::Error> {
    let (affected, unreadable) = events_of(tx, events, names, rules, now).await?;
    let thin: BTreeSet<String> =
        affected.revenue.parked.iter().map(|parked| parked.subject.clone()).collect();
    let checked = Checked { objects: thin, ..Checked::default() };
    parked::replace(tx, &checked, &affected.revenue.parked, now).await?;
    Ok(Resolved { events: events.len(), unreadable })
}

/// What depends on all events that were resolved.
pub(super) async fn add_up_in(tx: &mut PgConnection, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    money::add_up(tx).await?;
    // An object that came without its state was checked before all events about it were resolved.
    let objects: BTreeSet<String> =
        sqlx::query_scalar("select subject from parked").fetch_all(&mut *tx).await?.into_iter().collect();
    let thin = parked::thin_objects(tx, &objects, &BTreeSet::new()).await?;
    let checked = Checked { objects, ..Checked::default() };
    parked::replace(tx, &checked, &thin, now).await
}

/// These events in pages of as many as are in memory at once: few of our own, each of which may report a thousand rows.
pub(super) fn in_pages(names: &[EventName]) -> Vec<Vec<EventName>> {
    let (own, others): (Vec<_>, Vec<_>) =
        names.iter().cloned().partition(|(source, _)| source == Source::Internal.as_str());
    #[expect(clippy::cast_possible_truncation, reason = "a constant")]
    let others = others.chunks(PAGE as usize).map(<[_]>::to_vec);
    own.chunks(PAGE_OF_OUR_OWN).map(<[_]>::to_vec).chain(others).collect()
}

/// Resolves `events` in the shadow tables. Those that were resolved before change nothing.
pub(super) async fn events_of(
    tx: &mut PgConnection,
    events: &[Envelope],
    names: Option<&HashSet<String>>,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(Affected, usize), sqlx::Error> {
    let Decoded { events, dead } = decode_all(events, rules);
    uncounted::record_flags(tx, &events, &dead).await?;
    let unreadable = dead.len();
    let mut batch = DecodedBatch::sort(events);
    if let Some(names) = names {
        batch.retain(names);
    }
    sqlx::query("insert into seen_users (id) select unnest($1::uuid[]) on conflict do nothing")
        .bind(batch.named().into_iter().collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    Ok((apply::resolve(tx, batch, rules, now).await?, unreadable))
}

/// Notes the newest events of the page: among those applied as late there are others still to come.
async fn note(
    tx: &mut PgConnection,
    page: &[AppliedEvent],
    since: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let new = || page.iter().filter(|event| event.applied_at >= since).map(|event| &event.envelope);
    sqlx::query(
        "insert into resolved (source, event_id) select * from unnest($1::text[], $2::text[])
         on conflict do nothing",
    )
    .bind(new().map(|envelope| envelope.source.as_str()).collect::<Vec<_>>())
    .bind(new().map(|envelope| envelope.event_id.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
