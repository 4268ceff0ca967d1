//! How many events were applied, how soon, and how many waited, over an hour up to a month: added to once a minute, by minute
//! and by hour, so that a chart reads only the points it shows.

use std::str::FromStr;

use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use time::{Duration, OffsetDateTime};

/// The lengths of what is added up, in seconds.
const MINUTE_S: i32 = 60;
const HOUR_S: i32 = 3_600;
/// How long minutes are kept.
const MINUTES_KEPT: Duration = Duration::hours(48);
/// How long hours are kept.
const HOURS_KEPT: Duration = Duration::days(31);
/// What is applied is counted within two minutes. After this time it was not: no consumer runs, and nothing is applied.
const COUNTED_WITHIN: Duration = Duration::minutes(5);

/// How far back a chart goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Period {
    /// An hour, by minute.
    #[default]
    Hour,
    /// A day, by quarter of an hour.
    Day,
    /// A week, by hour.
    Week,
    /// Thirty days, by six hours.
    Month,
}

/// What a period is called.
pub const PERIODS: [&str; 4] =
    [Period::Hour.as_str(), Period::Day.as_str(), Period::Week.as_str(), Period::Month.as_str()];

impl Period {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// How many points it has, the seconds from one to the next, and the length of the rows they are read from.
    const fn points(self) -> (i32, i32, i32) {
        match self {
            Self::Hour => (60, MINUTE_S, MINUTE_S),
            Self::Day => (96, 15 * MINUTE_S, MINUTE_S),
            Self::Week => (168, HOUR_S, HOUR_S),
            Self::Month => (120, 6 * HOUR_S, HOUR_S),
        }
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|period| period.as_str() == text);
        named.ok_or_else(|| crate::ops::unknown_value("period", text, &PERIODS))
    }
}

/// Throughput, freshness and backlog over a period.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Throughput {
    /// `1h`, `24h`, `7d` or `30d`.
    pub period: &'static str,
    /// The source whose events are counted; null for all. The backlog is always that of all.
    pub source: Option<String>,
    /// From one point to the next, in seconds.
    pub step_s: i32,
    /// Where the last point ends: the last whole minute that is counted.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// The earliest first.
    pub points: Vec<Point>,
}

/// What happened from a moment until the next point.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = ThroughputPoint)]
pub struct Point {
    /// When it begins.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Events applied, without those that memberflow made itself.
    pub events: i64,
    /// The same by minute, on average.
    pub per_minute: f64,
    /// From their receipt until they were applied, in seconds: the mean of each minute's median; null where there are none.
    pub freshness_p50_s: Option<f64>,
    /// The slowest in a hundred, of the slowest minute.
    pub freshness_p99_s: Option<f64>,
    /// The most events that waited in Postgres; counting stops at 10,001. Null where no consumer measured.
    pub waiting: Option<i64>,
    /// The highest age of an event that waited in Postgres or was taken from the broker, in seconds.
    pub oldest_s: Option<f64>,
}

/// Reads the points of a period. What nobody counted is zero.
pub async fn read(
    pool: &PgPool,
    period: Period,
    source: Option<String>,
    now: OffsetDateTime,
) -> Result<Throughput, sqlx::Error> {
    let counted: OffsetDateTime =
        sqlx::query_scalar("select until from ingest.sources_counted").fetch_one(pool).await?;
    let until = beginning(counted.clamp(now - COUNTED_WITHIN, now), MINUTE_S);
    let (count, step_s, span_s) = period.points();
    let since = first(until, count, step_s);
    let query = sqlx::query_as(READ).bind(f64::from(step_s)).bind(span_s).bind(since).bind(until);
    let points = query.bind(source.as_deref()).fetch_all(pool).await?;
    Ok(Throughput { period: period.as_str(), source, step_s, until, points })
}

/// The first of `count` points, of which the last ends at `until` or a step later.
fn first(until: OffsetDateTime, count: i32, step_s: i32) -> OffsetDateTime {
    let last = beginning(until - Duration::SECOND, step_s);
    last - Duration::seconds(i64::from(count - 1) * i64::from(step_s))
}

/// When the step of `step_s` seconds that `moment` belongs to began.
fn beginning(moment: OffsetDateTime, step_s: i32) -> OffsetDateTime {
    let second = moment.unix_timestamp();
    OffsetDateTime::from_unix_timestamp(second - second.rem_euclid(i64::from(step_s))).unwrap_or(moment)
}

const READ: &str = "
with throughput as (
    select date_bin(make_interval(secs => $1), at, 'epoch') as at, sum(events)::bigint as events,
           sum(freshness_p50_s * events) / sum(events) as freshness_p50_s, max(freshness_p99_s) as freshness_p99_s
    from ingest.throughput
    where span_s = $2 and at >= $3 and at < $4 and ($5::text is null or source = $5::text)
    group by 1
), backlog as (
    select date_bin(make_interval(secs => $1), at, 'epoch') as at, max(waiting) as waiting, max(oldest_s) as oldest_s
    from ingest.backlog where span_s = $2 and at >= $3 and at < $4
    group by 1
)
select at, coalesce(events, 0) as events,
       coalesce(events, 0) * 60
           / extract(epoch from least(at + make_interval(secs => $1), $4::timestamptz) - at)::float8 as per_minute,
       freshness_p50_s, freshness_p99_s, waiting, oldest_s
from generate_series($3::timestamptz, $4::timestamptz - interval '1 second', make_interval(secs => $1)) as points (at)
left join throughput using (at) left join backlog using (at)
order by at";

/// Counts what was applied after `since`, up to `until`: of more than `limit` events, the latest.
pub(super) async fn count(
    tx: &mut PgConnection,
    since: OffsetDateTime,
    until: OffsetDateTime,
    limit: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(COUNT).bind(since).bind(until).bind(limit).execute(tx).await?;
    Ok(())
}

/// A minute that is cut by the moment of counting is added to, and so is an hour by its minutes. Of percentiles there is no
/// exact sum: the median is their mean by number of events, and no slow minute is hidden by quick ones.
const COUNT: &str = "
with applied as (
    select source, received_at, applied_at from ingest.events
    where applied_at > $1 and applied_at <= $2 order by applied_at desc limit $3
), minutes as (
    select date_bin('1 minute', applied_at, 'epoch') as at, source, count(*) as events,
           percentile_cont(0.5) within group (order by freshness_s) as p50_s,
           percentile_cont(0.99) within group (order by freshness_s) as p99_s
    from (
        select source, applied_at,
               greatest(extract(epoch from applied_at - received_at), 0)::float8 as freshness_s
        from applied where source <> 'internal'
    ) measured group by 1, 2
)
insert into ingest.throughput as t (span_s, at, source, events, freshness_p50_s, freshness_p99_s)
select 60, at, source, events, p50_s, p99_s from minutes
union all
select 3600, date_bin('1 hour', at, 'epoch'), source, sum(events)::bigint, sum(p50_s * events) / sum(events), max(p99_s)
from minutes group by 2, 3
on conflict (span_s, at, source) do update set
    events = t.events + excluded.events,
    freshness_p50_s = (t.freshness_p50_s * t.events + excluded.freshness_p50_s * excluded.events)
        / (t.events + excluded.events),
    freshness_p99_s = greatest(t.freshness_p99_s, excluded.freshness_p99_s)";

/// Notes how many events wait and when the oldest was received. Of what several processes note in a minute, the most counts.
pub async fn note_backlog(
    pool: &PgPool,
    waiting: i64,
    oldest: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let oldest_s = oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
    sqlx::query(NOTE_BACKLOG).bind(now).bind(waiting).bind(oldest_s).execute(pool).await?;
    Ok(())
}

const NOTE_BACKLOG: &str = "
insert into ingest.backlog as b (span_s, at, waiting, oldest_s)
select span_s, date_bin(make_interval(secs => span_s), $1::timestamptz, 'epoch'), $2::bigint, $3::float8
from (values (60), (3600)) spans (span_s)
on conflict (span_s, at) do update set
    waiting = greatest(b.waiting, excluded.waiting), oldest_s = greatest(b.oldest_s, excluded.oldest_s)";

/// Deletes what is older than it is kept.
pub(super) async fn prune(tx: &mut PgConnection, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    for delete in [
        "delete from ingest.throughput where span_s = $1 and at < $2",
        "delete from ingest.backlog where span_s = $1 and at < $2",
    ] {
        for (span_s, kept) in [(MINUTE_S, MINUTES_KEPT), (HOUR_S, HOURS_KEPT)] {
            sqlx::query(delete).bind(span_s).bind(now - kept).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn points_begin_at_whole_steps_and_the_last_holds_the_last_whole_minute() {
        for (period, until, since) in [
            (Period::Hour, datetime!(2026-11-20 12:00 UTC), datetime!(2026-11-20 11:00 UTC)),
            (Period::Day, datetime!(2026-11-20 12:00 UTC), datetime!(2026-11-19 12:00 UTC)),
            (Period::Day, datetime!(2026-11-20 12:01 UTC), datetime!(2026-11-19 12:15 UTC)),
            (Period::Week, datetime!(2026-11-20 12:59 UTC), datetime!(2026-11-13 13:00 UTC)),
            (Period::Month, datetime!(2026-11-20 18:00 UTC), datetime!(2026-10-21 18:00 UTC)),
        ] {
            let (count, step_s, _) = period.points();
            assert_eq!(first(until, count, step_s), since, "{period:?} until {until}");
        }
    }

    #[test]
    fn a_period_is_read_from_rows_that_are_kept_as_long() {
        for period in Period::ALL {
            let (count, step_s, span_s) = period.points();
            let kept = if span_s == MINUTE_S { MINUTES_KEPT } else { HOURS_KEPT };
            assert!(Duration::seconds(i64::from(count) * i64::from(step_s)) < kept, "{period:?}");
            assert_eq!(step_s % span_s, 0, "{period:?}");
        }
    }

    #[test]
    fn an_unknown_period_is_refused_with_the_known_ones() {
        for period in Period::ALL {
            assert_eq!(period.as_str().parse::<Period>(), Ok(period));
        }
        let refused = "2h".parse::<Period>().unwrap_err();
        assert_eq!(refused, "invalid period \"2h\": expected one of 1h, 24h, 7d, 30d");
    }
}
