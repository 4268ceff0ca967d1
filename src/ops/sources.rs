//! How busy each source is, how soon its events are visible, and whether one has fallen silent: derived from counts by
//! day, to which events applied since then are added once a minute, by index, and from the latest applied events.

use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use time::{Duration, OffsetDateTime};

use super::throughput;
use crate::database;

/// Events applied this recently are not counted yet: a transaction that began earlier may still commit.
const LAG: Duration = Duration::seconds(10);
/// The most events that are counted at once: the latest. At full load a minute brings some 300,000.
const COUNTED_MAX: i64 = 500_000;
/// The period whose gaps are compared with.
const HABIT: Duration = Duration::days(7);
/// How long the counts by day are kept.
const KEPT: Duration = Duration::days(30);
/// The period over which events a second and their freshness are measured.
const RECENT: Duration = Duration::minutes(5);
/// The most events that these are measured by: the latest. If there are more, the period is shorter.
const RECENT_MAX: i64 = 5_000;
/// With fewer events in this period, no source is called silent.
const HABIT_EVENTS_MIN: i64 = 20;
/// A shorter gap is never called silence.
const SILENCE_MIN_S: f64 = 300.0;
/// A source is silent once its gap is this many times its longest.
const SILENCE_FACTOR: f64 = 1.5;

/// A source of events.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = EventSource)]
pub struct Source {
    /// The provider's endpoint.
    pub source: String,
    /// When its latest event was received, of those that are applied.
    #[serde(with = "time::serde::rfc3339")]
    pub last_received_at: OffsetDateTime,
    /// Events of the last seven days.
    pub events: i64,
    /// From one event to the next, on average over those days, in seconds; null where there are too few.
    pub usual_gap_s: Option<f64>,
    /// The longest gap of those days, in seconds.
    pub longest_gap_s: Option<f64>,
    /// Silent for more than 1.5 times the longest gap of those days, and for five minutes at least.
    pub is_silent: bool,
    /// Events a second, of those applied in the last five minutes, or of the latest 5,000 events.
    pub per_second: f64,
    /// From their receipt until they were applied, in seconds: the median; null where there are none.
    pub freshness_p50_s: Option<f64>,
    /// The same of the slowest in a hundred.
    pub freshness_p99_s: Option<f64>,
}

#[derive(FromRow)]
struct Counted {
    source: String,
    last_received_at: OffsetDateTime,
    since: Option<OffsetDateTime>,
    events: i64,
    longest_gap_s: Option<f64>,
    recent: i64,
    recent_since: Option<OffsetDateTime>,
    freshness_p50_s: Option<f64>,
    freshness_p99_s: Option<f64>,
}

impl Counted {
    fn at(self, now: OffsetDateTime) -> Source {
        let Self { source, last_received_at, since, events, longest_gap_s, .. } = self;
        let watched = since.map(|since| last_received_at - since).unwrap_or_default();
        let has_habit = events >= HABIT_EVENTS_MIN && watched >= Duration::days(1);
        let silence_s = (now - last_received_at).as_seconds_f64();
        let bound_s = longest_gap_s.map(|gap| (gap * SILENCE_FACTOR).max(SILENCE_MIN_S));
        Source {
            usual_gap_s: has_habit.then(|| watched.as_seconds_f64() / events as f64),
            is_silent: has_habit && bound_s.is_some_and(|bound| silence_s > bound),
            source,
            last_received_at,
            events,
            longest_gap_s,
            per_second: per_second(self.recent, self.recent_since, now),
            freshness_p50_s: self.freshness_p50_s,
            freshness_p99_s: self.freshness_p99_s,
        }
    }
}

/// `since`: when the first of the events was applied, if there may have been others before it.
fn per_second(events: i64, since: Option<OffsetDateTime>, now: OffsetDateTime) -> f64 {
    let period = since.map_or(RECENT, |since| now - since);
    events as f64 / period.as_seconds_f64().max(1.0)
}

/// The sources that events came from.
pub async fn list(connection: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<Source>, sqlx::Error> {
    let query = sqlx::query_as(LIST).bind((now - HABIT).date()).bind(now - RECENT).bind(RECENT_MAX);
    let counted: Vec<Counted> = query.fetch_all(connection).await?;
    Ok(counted.into_iter().map(|counted| counted.at(now)).collect())
}

/// By day, and what has come since these were counted: among the last thousand that were applied.
const LIST: &str = "
with recent as materialized (
    select source, received_at, applied_at, count(*) over () = $3 as is_cut, min(applied_at) over () as since from (
        select source, received_at, applied_at from ingest.events
        where applied_at > $2 order by applied_at desc limit $3
    ) latest
), measured as (
    select source, count(*) as events, min(since) filter (where is_cut) as since,
           percentile_cont(array[0.5, 0.99]::float8[]) within group (
               order by greatest(extract(epoch from applied_at - received_at), 0)::float8) as freshness_s
    from recent group by source
)
select d.source, d.last_received_at, d.since, d.events, d.longest_gap_s, coalesce(m.events, 0) as recent,
       m.since as recent_since, m.freshness_s[1] as freshness_p50_s, m.freshness_s[2] as freshness_p99_s
from (
    select source, max(last_received_at) as last_received_at,
           min(day) filter (where day >= $1)::timestamp at time zone 'UTC' as since,
           coalesce(sum(events) filter (where day >= $1), 0)::bigint as events,
           max(longest_gap_s) filter (where day >= $1) as longest_gap_s
    from (
        select source, day, events, longest_gap_s, last_received_at from ingest.source_days
        union all
        select source, null, 0, null, max(received_at) from (
            select source, received_at from ingest.events where applied_at is not null
            order by applied_at desc limit 1000
        ) applied where source <> 'internal' group by source
    ) days group by source
) d left join measured m using (source) order by d.source";

/// Counts what was applied since the last time, by day and by minute, unless another process is at it.
///
/// # Errors
/// Nothing is counted then.
pub async fn count(pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let mut tx = database::begin(pool).await?;
    let since = "select until from ingest.sources_counted for update skip locked";
    let since: Option<OffsetDateTime> = sqlx::query_scalar(since).fetch_optional(&mut *tx).await?;
    let until = now - LAG;
    let Some(since) = since.filter(|since| *since < until) else { return Ok(()) };
    sqlx::query(COUNT).bind(since).bind(until).bind(COUNTED_MAX).execute(&mut *tx).await?;
    throughput::count(&mut tx, since, until, COUNTED_MAX).await?;
    throughput::prune(&mut tx, now).await?;
    sqlx::query("delete from ingest.source_days where day < $1")
        .bind((now - KEPT).date())
        .execute(&mut *tx)
        .await?;
    sqlx::query("update ingest.sources_counted set until = $1").bind(until).execute(&mut *tx).await?;
    tx.commit().await
}

/// A gap belongs to the day on which it ended.
const COUNT: &str = "
with applied as (
    select source, received_at from ingest.events
    where applied_at > $1 and applied_at <= $2 order by applied_at desc limit $3
), spaced as (
    select source, received_at, received_at - coalesce(
               lag(received_at) over (partition by source order by received_at),
               (select max(d.last_received_at) from ingest.source_days d where d.source = a.source)) as gap
    from applied a where source <> 'internal'
)
insert into ingest.source_days as d (source, day, events, longest_gap_s, last_received_at)
select source, (received_at at time zone 'UTC')::date, count(*), greatest(max(extract(epoch from gap)), 0)::float8,
       max(received_at)
from spaced group by 1, 2
on conflict (source, day) do update set
    events = d.events + excluded.events,
    longest_gap_s = greatest(d.longest_gap_s, excluded.longest_gap_s),
    last_received_at = greatest(d.last_received_at, excluded.last_received_at)";

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_source_is_silent_when_nothing_came_for_longer_than_ever_of_late() {
        let last = datetime!(2026-11-20 12:00 UTC);
        let silent = |events: i64, days: i64, longest_gap_s: f64, minutes: i64| {
            let since = Some(last - Duration::days(days));
            let counted = Counted {
                source: "stripe".to_owned(),
                last_received_at: last,
                since,
                events,
                longest_gap_s: Some(longest_gap_s),
                recent: 0,
                recent_since: None,
                freshness_p50_s: None,
                freshness_p99_s: None,
            };
            counted.at(last + Duration::minutes(minutes)).is_silent
        };
        assert!(silent(1000, 7, 600.0, 16), "longer than the longest gap by half");
        assert!(!silent(1000, 7, 600.0, 14));
        assert!(!silent(1000, 7, 1.0, 4), "five minutes at least");
        assert!(silent(1000, 7, 1.0, 6));
        assert!(!silent(19, 7, 600.0, 1000), "too few");
        assert!(!silent(1000, 0, 600.0, 1000), "too new");
    }

    #[test]
    fn events_a_second_are_measured_over_five_minutes_or_since_the_first_that_was_read() {
        let now = datetime!(2026-11-20 12:00 UTC);
        let rate = |events, seconds: Option<i64>| {
            per_second(events, seconds.map(|seconds| now - Duration::seconds(seconds)), now)
        };
        assert!((rate(600, None) - 2.0).abs() < 1e-9);
        assert!((rate(5_000, Some(10)) - 500.0).abs() < 1e-9);
        assert!((rate(5_000, Some(0)) - 5_000.0).abs() < 1e-9);
    }
}
