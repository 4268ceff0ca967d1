//! What is silent, what drifted and what the doctor finds, on the pages.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::console::session::Session;
use memberflow::console::signing_in::links;
use memberflow::envelope::Envelope;
use memberflow::ops::overview::overview;
use memberflow::ops::progress::Progress;
use memberflow::ops::{rebuild, sources};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Browser, TOKEN, config};
use crate::support::app::{NOW, TestApp, customer, stripe, subscription};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

#[tokio::test]
async fn applied_events_are_counted_by_day_once_with_their_longest_gap() {
    let app = TestApp::begin().await;
    app.apply(
        ["evt_1", "evt_2"].map(|id| stripe(id, "customer.created", 0, customer("cus_1", "a@example.com"))),
    )
    .await;
    let pool = &app.database.pool;
    let days = "select source, events, longest_gap_s, day::text as day from ingest.source_days order by day";
    for _ in 0..2 {
        sources::count(pool, NOW + Duration::minutes(1)).await.unwrap();
        let day = json!({"source": "stripe", "events": 2, "longest_gap_s": 0, "day": "2026-11-20"});
        assert_eq!(app.rows(days).await, [day]);
    }
    let later = NOW + Duration::hours(3);
    app.store_at(later).apply(&[received_at(later)]).await.unwrap();
    sources::count(pool, later + Duration::minutes(1)).await.unwrap();
    let day = json!({"source": "stripe", "events": 3, "longest_gap_s": 10800, "day": "2026-11-20"});
    assert_eq!(app.rows(days).await, [day]);
}

#[tokio::test]
async fn freshness_is_measured_from_receipt_to_commit() {
    let metrics = memberflow::telemetry::metrics().unwrap();
    let app = TestApp::begin().await;
    let event = received_at(NOW);
    for _ in 0..2 {
        app.store_at(NOW + Duration::seconds(90)).apply(std::slice::from_ref(&event)).await.unwrap();
    }
    let shown = metrics.render();
    for line in [
        "memberflow_freshness_seconds_bucket{source=\"stripe\",le=\"60\"} 0",
        "memberflow_freshness_seconds_bucket{source=\"stripe\",le=\"300\"} 1",
        "memberflow_freshness_seconds_sum{source=\"stripe\"} 90",
        "memberflow_freshness_seconds_count{source=\"stripe\"} 1",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

fn received_at(moment: OffsetDateTime) -> Envelope {
    let event = stripe("evt_3", "customer.updated", 1, customer("cus_1", "a@example.com"));
    Envelope { received_at: moment, ..event }
}

#[tokio::test]
async fn members_are_counted_unless_postgres_knows_of_far_more() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    for (known, count, is_estimate) in [(-1, 1, false), (20_000, 1, false), (30_000, 30_000, true)] {
        app.execute(&format!(
            "update pg_catalog.pg_class set reltuples = {known} where oid = 'auth.users'::regclass"
        ))
        .await;
        let members = overview(&app.database.pool, NOW).await.unwrap().members;
        assert_eq!((members.count, members.is_estimate), (count, is_estimate));
    }
}

#[tokio::test]
async fn a_silent_source_is_shown_until_it_is_heard_of_again() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.source_days (source, day, events, longest_gap_s, last_received_at) values
             ('stripe', '2026-11-15', 500, 120, '2026-11-15 12:00Z'), ('stripe', '2026-11-20', 10, 60, '2026-11-20 11:00Z'),
             ('twilio', '2026-11-15', 500, 99999, '2026-11-15 12:00Z'), ('twilio', '2026-11-20', 9, 60, '2026-11-20 11:00Z')",
    )
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let overview = browser.get("/console").await;
    overview.assert_shows(&["<span class=\"bad\">silent</span>", "as usual", "2 min"]);
    let attention = browser.get("/console/attention").await;
    attention.assert_shows(&["source=stripe\" data-row>stripe</a>"]);
    assert!(!attention.body.contains("source=twilio"));
    let event = stripe("evt_1", "customer.created", 0, customer("cus_1", "a@example.com"));
    app.apply([Envelope { received_at: NOW, ..event }]).await;
    browser.get("/console/attention").await.assert_shows(&["No source has been silent"]);
}

#[tokio::test]
async fn overview_shows_rate_and_freshness_and_each_number_leads_to_its_list() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    let at = |id: &str, second: i64, object| {
        let event = stripe(id, "customer.subscription.created", second, object);
        Envelope { received_at: NOW - Duration::milliseconds(250), ..event }
    };
    app.apply([at("evt_1", 0, subscription("sub_1", "cus_1", "active"))]).await;
    let poison = stripe("evt_2", "customer.created", 1, customer("cus_2", "b@example.com"));
    app.store.dead_letter(&[(poison, "too often".to_owned())]).await.unwrap();
    let failing = stripe("evt_3", "customer.created", 2, customer("cus_3", "c@example.com"));
    app.store.schedule_retry(&failing, "deadlock detected").await.unwrap();
    let source = overview(&app.database.pool, NOW).await.unwrap().sources.remove(0);
    assert_eq!(source.source, "stripe");
    assert!((source.per_second - 1.0 / 300.0).abs() < 1e-9, "{source:?}");
    assert_eq!((source.freshness_p50_s, source.freshness_p99_s), (Some(0.25), Some(0.25)));

    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console").await.assert_shows(&[
        "<a href=\"/console/members\">1</a>",
        "<a href=\"/console/revenue\">",
        "<a href=\"/console/events?state=waiting\">",
        "<a href=\"/console/events?state=failing\" class=\"bad\">1 failing</a>",
        "<a href=\"/console/events?state=dead\" class=\"bad\">1</a>",
        "<a href=\"/console/parked?reason=unknown_user\"",
        "<a href=\"/console/events?source=stripe\"",
        "250 ms",
        concat!("memberflow ", env!("CARGO_PKG_VERSION")),
    ]);
    browser.get("/console/attention").await.assert_shows(&[
        "<a href=\"/console/events/stripe/evt_3\" data-row>evt_3</a>",
        "attempts: 1; deadlock detected",
        "<a href=\"/console/events?state=failing\">",
    ]);
}

#[tokio::test]
async fn drift_is_shown_with_both_values_until_it_is_fixed() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
    ])
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console").await.assert_shows(&["Nothing was compared yet"]);
    app.execute("update public.user_revenue_metrics set mrr = 4711").await;
    for (check, says) in [(true, "differ</span>"), (false, "differed and are fixed")] {
        let report = rebuild::run(&app.store, check, &mut Progress::Silent, |_| true).await.unwrap();
        assert!(report.differing_rows() > 0);
        let page = browser.get("/console/attention").await;
        page.assert_shows(&["rebuild", says, "public.user_revenue_metrics", "<td>mrr</td>", "4711"]);
    }
    rebuild::run(&app.store, true, &mut Progress::Silent, |_| true).await.unwrap();
    browser.get("/console/attention").await.assert_shows(&["no drift"]);
    browser.get("/console").await.assert_shows(&["data-row>rebuild</a>"]);
}

#[tokio::test]
async fn settings_show_findings_to_admins_and_no_secret() {
    let app = TestApp::begin().await;
    let mut config = config();
    config.database_url = app.database.url().into();
    config.stripe_webhook_secrets = memberflow::verify::secrets::split_stripe("whsec_a_secret_of_stripes");
    let sign_in = async |role: ConsoleRole| {
        let session = Session { actor: "bob".to_owned(), role };
        let code = links::make(&app.database.pool, &TOKEN.into(), &session, NOW).await.unwrap();
        let mut browser = Browser::at(&app.database.pool, &config, NOW);
        browser.post("/console/sign-in/link", &[("code", &code)]).await;
        browser
    };
    let mut operator = sign_in(ConsoleRole::Operator).await;
    let page = operator.get("/console/settings").await;
    page.assert_shows(&["<h1>Settings</h1>", "the queue is in Postgres", "migrations"]);
    for secret in ["whsec_a_secret_of_stripes", TOKEN] {
        assert!(!page.body.contains(secret), "{secret}");
    }
    let mut viewer = sign_in(ConsoleRole::Viewer).await;
    viewer.get("/console/settings").await.assert_is(StatusCode::FORBIDDEN, "Ask an admin");
    assert!(!viewer.get("/console").await.body.contains("/console/settings"));
}
