//! Throughput, freshness and backlog: counted by minute and by hour, read over a period, and drawn on the overview.

use axum::http::StatusCode;
use memberflow::ops::sources;
use memberflow::ops::throughput::{self, Period, Point};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::Browser;
use crate::support::app::{NOW, TestApp, customer, stripe};

/// What was counted, as `seconds start source: events p50 p99`.
const COUNTED: &str = "
    select span_s || ' ' || to_char(at at time zone 'UTC', 'HH24:MI') || ' ' || source || ': ' || events || ' '
               || freshness_p50_s || ' ' || freshness_p99_s as line
    from ingest.throughput order by span_s, at, source";

/// The same for the backlog, as `seconds start: waiting oldest`.
const NOTED: &str = "
    select span_s || ' ' || to_char(at at time zone 'UTC', 'HH24:MI') || ': ' || waiting || ' ' || oldest_s as line
    from ingest.backlog order by span_s, at";

async fn rows(app: &TestApp, query: &str) -> Vec<String> {
    app.rows(query).await.iter().map(|row| row["line"].as_str().unwrap().to_owned()).collect()
}

/// Applies an event at `moment` that was received so many seconds before.
async fn apply(app: &TestApp, id: &str, moment: OffsetDateTime, seconds: i64) {
    let mut event = stripe(id, "customer.created", 0, customer("cus_1", "a@example.com"));
    event.received_at = moment - Duration::seconds(seconds);
    let applied = app.store_at(moment).apply(&[event]).await.unwrap();
    assert_eq!(applied.new, 1, "{id}");
}

/// Before [`NOW`].
fn ago(minutes: i64, seconds: i64) -> OffsetDateTime {
    NOW - Duration::minutes(minutes) - Duration::seconds(seconds)
}

/// The points at which something was applied, as minutes before [`NOW`].
fn busy(points: &[Point]) -> Vec<(i64, i64)> {
    let busy = points.iter().filter(|point| point.events > 0);
    busy.map(|point| ((NOW - point.at).whole_minutes(), point.events)).collect()
}

#[tokio::test]
async fn applied_events_are_counted_once_by_minute_and_by_hour() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    // At 11:49:05 and :10, and at 11:49:40 once these are counted.
    apply(&app, "evt_1", ago(10, 55), 1).await;
    apply(&app, "evt_2", ago(10, 50), 1).await;
    sources::count(pool, ago(10, 30)).await.unwrap();
    assert_eq!(rows(&app, COUNTED).await, ["60 11:49 stripe: 2 1 1", "3600 11:00 stripe: 2 1 1"]);
    apply(&app, "evt_3", ago(10, 20), 4).await;
    apply(&app, "evt_4", ago(2, 0), 8).await;
    let expected =
        ["60 11:49 stripe: 3 2 4", "60 11:58 stripe: 1 8 8", "3600 11:00 stripe: 4 3.5 8"].map(str::to_owned);
    for _ in 0..2 {
        let (one, another) = tokio::join!(sources::count(pool, NOW), sources::count(pool, NOW));
        one.and(another).unwrap();
        assert_eq!(rows(&app, COUNTED).await, expected);
    }
}

#[tokio::test]
async fn events_of_memberflow_itself_are_not_counted() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, applied_at, body, state)
         values ('internal', 'x', 'x', now(), now(), '2026-11-20 11:00Z', '{}', 'applied')",
    )
    .await;
    apply(&app, "evt_1", ago(10, 0), 1).await;
    sources::count(&app.database.pool, NOW).await.unwrap();
    assert_eq!(rows(&app, COUNTED).await, ["60 11:50 stripe: 1 1 1", "3600 11:00 stripe: 1 1 1"]);
}

#[tokio::test]
async fn minutes_are_kept_for_two_days_and_hours_for_a_month() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.throughput
         select span_s, '2026-11-20 12:00Z'::timestamptz - make_interval(hours => hours), 'twilio', hours, 0, 0
         from (values (60, 47), (60, 49), (3600, 49), (3600, 743), (3600, 745)) kept (span_s, hours)",
    )
    .await;
    app.execute(
        "insert into ingest.backlog
         select span_s, '2026-11-20 12:00Z'::timestamptz - make_interval(hours => hours), hours, 0
         from (values (60, 47), (60, 49), (3600, 49), (3600, 743), (3600, 745)) kept (span_s, hours)",
    )
    .await;
    sources::count(&app.database.pool, NOW).await.unwrap();
    for (table, number) in [("throughput", "events"), ("backlog", "waiting")] {
        let left = format!("select span_s, {number} as hours from ingest.{table} order by span_s, {number}");
        let expected = [(60, 47), (3600, 49), (3600, 743)];
        assert_eq!(
            app.rows(&left).await,
            expected.map(|(span_s, hours)| json!({"span_s": span_s, "hours": hours})),
            "{table}"
        );
    }
}

#[tokio::test]
async fn the_largest_backlog_that_a_process_noted_counts() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    for (waiting, oldest, at) in [
        (3, Some(ago(4, 0)), ago(2, 0)),
        (2, Some(ago(5, 0)), ago(2, 0)),
        (0, None, ago(1, 0)),
        // From another process, whose clock is ahead.
        (1, Some(NOW), ago(1, 0)),
    ] {
        throughput::note_backlog(pool, waiting, oldest, at).await.unwrap();
    }
    assert_eq!(rows(&app, NOTED).await, ["60 11:58: 3 180", "60 11:59: 1 0", "3600 11:00: 3 180"]);
}

#[tokio::test]
async fn a_period_has_all_of_its_points_and_zero_where_nothing_was_applied() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    apply(&app, "evt_1", ago(50, 0), 1).await;
    apply(&app, "evt_2", ago(10, 0), 1).await;
    apply(&app, "evt_3", ago(10, 0), 3).await;
    sources::count(pool, NOW).await.unwrap();
    throughput::note_backlog(pool, 3, Some(ago(12, 0)), ago(10, 0)).await.unwrap();

    let hour = throughput::read(pool, Period::Hour, None, NOW).await.unwrap();
    assert_eq!((hour.until, hour.points.len()), (ago(1, 0), 60), "the last whole minute that is counted");
    assert_eq!(busy(&hour.points), [(50, 1), (10, 2)]);
    let expected = Point {
        at: ago(10, 0),
        events: 2,
        per_minute: 2.0,
        freshness_p50_s: Some(2.0),
        freshness_p99_s: Some(2.98),
        waiting: Some(3),
        oldest_s: Some(120.0),
    };
    let at = hour.points.iter().position(|point| point.at == expected.at).unwrap();
    assert_eq!(hour.points[at], expected);
    let Point { per_minute, freshness_p99_s, waiting, oldest_s, .. } = hour.points[at + 1].clone();
    assert!(per_minute.abs() < 1e-9);
    assert_eq!((freshness_p99_s, waiting, oldest_s), (None, None, None), "nothing was measured");

    for (period, points, busy_at) in [
        (Period::Day, 96, vec![(60, 1), (15, 2)]),
        (Period::Week, 168, vec![(60, 3)]),
        (Period::Month, 120, vec![(360, 3)]),
    ] {
        let read = throughput::read(pool, period, None, NOW).await.unwrap();
        assert_eq!((read.points.len(), busy(&read.points)), (points, busy_at), "{period:?}");
        let steps = read.points.windows(2).map(|pair| pair[1].at - pair[0].at);
        assert!(steps.eq(vec![Duration::seconds(i64::from(read.step_s)); points - 1]), "{period:?}");
    }
    let week = throughput::read(pool, Period::Week, None, NOW).await.unwrap();
    let so_far = week.points.last().unwrap();
    assert!((so_far.per_minute - 3.0 / 59.0).abs() < 1e-9, "{so_far:?}");

    let of_others = throughput::read(pool, Period::Hour, Some("twilio".to_owned()), NOW).await.unwrap();
    assert!(busy(&of_others.points).is_empty());
    let later = NOW + Duration::minutes(30);
    let without_consumer = throughput::read(pool, Period::Hour, None, later).await.unwrap();
    assert_eq!(without_consumer.until, later - Duration::minutes(5));
    assert_eq!(busy(&without_consumer.points), [(10, 2)]);
}

#[tokio::test]
async fn overview_draws_the_period_and_source_of_its_address() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    apply(&app, "evt_1", ago(90, 0), 3).await;
    apply(&app, "evt_2", ago(10, 0), 1).await;
    sources::count(pool, NOW).await.unwrap();
    throughput::note_backlog(pool, 7, Some(ago(12, 0)), ago(10, 0)).await.unwrap();
    let mut browser = Browser::signed_in(pool).await;

    let page = browser.get("/console").await;
    page.assert_shows(&[
        "<h2>Last hour</h2>",
        "aria-label=\"Events applied a minute: 1 events, at most 1.00 a minute; the table below has the same figures\"",
        "<title>11:50: 1 events, 1.00 a minute</title>",
        "<title>11:50: p50 1.0 s, p99 1.0 s</title>",
        "<title>11:50: 7</title>",
        "<title>11:50: 2 min</title>",
        "<summary>Show the figures</summary>",
    ]);
    assert_eq!(page.link("24h"), "/console?period=24h#charts");
    assert_eq!(page.link("all sources"), "/console?period=1h#charts");
    let bars = |body: &str| body.matches("<rect").count();
    assert_eq!(bars(&page.body), 5, "a minute: p50 and p99 are two");

    let day = browser.get(&page.link("24h").replace("#charts", "")).await;
    day.assert_shows(&["<h2>Last 24 hours</h2>", "2 events", "aria-current=\"true\">24h</a>"]);
    assert_eq!(bars(&day.body), 8, "two quarters of an hour; nothing was measured in one of them");
    assert_eq!(day.link("30d"), "/console?period=30d#charts");

    let of_twilio = browser.get("/console?period=7d&source=twilio").await;
    of_twilio.assert_shows(&["<h2>Last 7 days</h2>", "0 events", "of all sources; at most 7"]);
    assert_eq!(of_twilio.link("1h"), "/console?period=1h&source=twilio#charts");

    let unknown = browser.get("/console?period=2h").await;
    unknown.assert_is(StatusCode::BAD_REQUEST, "expected one of 1h, 24h, 7d, 30d");
}
