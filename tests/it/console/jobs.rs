//! Comparisons and fixes that operators request on the pages.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use serde_json::{Value, json};

use super::Browser;
use super::acts::confirm;
use crate::jobs::{ADA, damaged};
use crate::support::app::TestApp;

const COMPARE: [(&str, &str); 2] = [("operation", "reconcile stripe"), ("is_fix", "false")];

#[tokio::test]
async fn operator_requests_a_job_follows_it_and_cancels_it() {
    let app = TestApp::begin().await;
    let mut browser = Browser::with_role(&app.database.pool, "olga", ConsoleRole::Operator).await;
    browser.get("/console/attention").await.assert_shows(&[
        "reconcile stripe: <span class=\"quiet\">not compared yet</span>",
        "aria-label=\"Compare now: reconcile stripe\"",
        "aria-label=\"Fix: rebuild\"",
        "<code>memberflow rebuild --check</code>",
    ]);
    let requested = browser.post("/console/jobs", &COMPARE).await;
    assert_eq!((requested.status, requested.location()), (StatusCode::SEE_OTHER, "/console/jobs/1"));
    let fix = [("operation", "reconcile stripe"), ("is_fix", "true")];
    let refused = browser.post("/console/jobs", &fix).await;
    refused.assert_is(StatusCode::CONFLICT, "job 1 is waiting and only compares");
    let again = browser.post("/console/jobs", &COMPARE).await;
    assert_eq!(again.location(), "/console/jobs/1", "the one that waits");
    let page = browser.get("/console/jobs/1").await;
    page.assert_shows(&[
        "<h1>reconcile stripe: compare</h1>",
        ">waiting</span>",
        "by olga",
        "<code>memberflow reconcile stripe</code>",
        "data-live=\"jobs,job_progress\" data-renew=\"job\"",
        ">Cancel</button>",
    ]);
    let attention = browser.get("/console/attention").await;
    attention.assert_shows(&["<a href=\"/console/jobs/1\">Job 1</a> compares: waiting"]);
    assert!(!attention.body.contains("Compare now: reconcile stripe"));

    let cancelled = browser.post("/console/jobs/1/cancel", &[]).await;
    assert_eq!((cancelled.status, cancelled.location()), (StatusCode::SEE_OTHER, "/console/jobs/1"));
    assert_eq!(browser.post("/console/jobs/1/cancel", &[]).await.status, StatusCode::SEE_OTHER, "once more");
    let page = browser.get("/console/jobs/1").await;
    page.assert_shows(&[">cancelled</span>"]);
    assert!(!page.body.contains("Cancel</button>") && !page.body.contains("data-live"), "{}", page.body);
    browser.get("/console/jobs").await.assert_shows(&["data-row=\"1\"", ">cancelled</span>", "olga"]);
    let acts = app.rows("select actor, act from ingest.audit_log order by id").await;
    let expected = ["jobs request", "jobs cancel"].map(|act| json!({"actor": "olga", "act": act}));
    assert_eq!(acts, expected);
}

#[tokio::test]
async fn progress_result_and_error_are_shown() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.jobs (operation, is_fix, state, requested_by, requested_at, attempts, part, done, total, result, error)
         values ('rebuild', true, 'running', 'ada', now(), 2, 'resolving events', 30, 100, null, null),
                ('reconcile twilio', false, 'running', 'ada', now(), 1, 'messages', 7, 0, null, null),
                ('reconcile supabase', true, 'done', 'ada', now(), 1, null, 0, 0,
                 '{\"mended_members\": 2, \"differing\": {\"memberflow rebuild\": 3}, \"skipped\": []}', null),
                ('reconcile stripe', false, 'failed', 'ada', now(), 1, '/customers', 1, 0, null, 'Stripe answered 401')",
    )
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (job, shows) in [
        (1, &["resolving events, 30 of 100", "<progress max=\"100\" value=\"30\">", ", attempt 2"][..]),
        (2, &["messages, 7 so far", "<progress>"]),
        (3, &["<dt>fixed members</dt><dd>2</dd>", "<dt>differing: memberflow rebuild</dt><dd>3</dd>"]),
        (4, &["Stripe answered 401", "It came to: /customers"]),
    ] {
        browser.get(&format!("/console/jobs/{job}")).await.assert_shows(shows);
    }
    for job in ["99", "x"] {
        let missing = browser.get(&format!("/console/jobs/{job}")).await;
        missing.assert_is(StatusCode::NOT_FOUND, &format!("There is no job {job}."));
    }
}

#[tokio::test]
async fn difference_of_a_member_is_fixed_alone_by_the_members_events() {
    let app = damaged().await;
    rebuild::run(&app.store, true, &mut Progress::Silent, |_| true).await.unwrap();
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let (member, rows) = (ADA.to_string(), "select mrr from public.user_revenue_metrics");
    let page = browser.get("/console/attention").await;
    page.assert_shows(&[&format!("name=\"member\" value=\"{member}\""), "Apply its events again …"]);
    let act = [("act", "replay"), ("all", "yes"), ("member", member.as_str())];
    let preview = browser.post("/console/events/acts", &act).await;
    preview.assert_shows(&["rows would change", "<td>4711</td><td>1000</td>"]);
    confirm(&mut browser, &preview, "").await.assert_shows(&["rows are corrected"]);
    assert_eq!(app.rows(rows).await, [json!({"mrr": 1000})]);
}

#[tokio::test]
async fn difference_of_a_stripe_object_is_fixed_alone_by_a_job() {
    let app = TestApp::begin().await;
    app.execute(
        r#"insert into ingest.last_checks (name, at, actor, is_fix, found, remaining, differences)
         values ('reconcile stripe', now(), 'ada', false, 4, 4, '[
             {"object": "subscription sub_1", "field": "status", "here": "active", "there": "past_due"},
             {"object": "subscription sub_1", "field": "ended_at", "here": null, "there": 1},
             {"object": "charge ch_1", "field": "missing", "here": null, "there": null},
             {"object": "coupon SUMMER", "field": "missing", "here": null, "there": null},
             {"object": "invoice in_1", "field": "not at Stripe", "here": null, "there": null}]')"#,
    )
    .await;
    let mut viewer = Browser::with_role(&app.database.pool, "vera", ConsoleRole::Viewer).await;
    assert!(!viewer.get("/console/attention").await.body.contains("name=\"object\""));
    let mut browser = Browser::with_role(&app.database.pool, "olga", ConsoleRole::Operator).await;
    let page = browser.get("/console/attention").await;
    page.assert_shows(&["aria-label=\"Fix: subscription sub_1\"", "name=\"object\" value=\"ch_1\""]);
    assert_eq!(page.body.matches("name=\"object\"").count(), 2, "one each, where it can be fixed alone");

    let fix = [("operation", "reconcile stripe"), ("is_fix", "true"), ("object", "sub_1")];
    viewer.post("/console/jobs", &fix).await.assert_is(StatusCode::FORBIDDEN, "may read and not change");
    assert_eq!(browser.post("/console/jobs", &fix).await.location(), "/console/jobs/1");
    browser.get("/console/jobs/1").await.assert_shows(&[
        "<h1>reconcile stripe: fix sub_1</h1>",
        "<code>memberflow reconcile stripe --fix --object sub_1</code>",
    ]);
    let page = browser.get("/console/attention").await;
    page.assert_shows(&["<a href=\"/console/jobs/1\">Job 1</a> fixes sub_1: waiting"]);
    assert!(!page.body.contains("name=\"object\""), "one job at a time");
    let other = [("operation", "reconcile stripe"), ("is_fix", "true"), ("object", "ch_1")];
    let refused = browser.post("/console/jobs", &other).await;
    refused.assert_is(StatusCode::CONFLICT, "job 1 is waiting and only about sub_1");
    let wrong = [("operation", "rebuild"), ("is_fix", "true"), ("object", "sub_1")];
    let refused = browser.post("/console/jobs", &wrong).await;
    refused.assert_is(StatusCode::BAD_REQUEST, "only reconcile stripe compares one object");
}

#[tokio::test]
async fn viewer_sees_jobs_and_can_neither_request_nor_cancel_one() {
    let app = TestApp::begin().await;
    Browser::signed_in(&app.database.pool).await.post("/console/jobs", &COMPARE).await;
    let mut browser = Browser::with_role(&app.database.pool, "vera", ConsoleRole::Viewer).await;
    for path in ["/console/attention", "/console/jobs", "/console/jobs/1"] {
        let page = browser.get(path).await;
        page.assert_shows(&["waiting"]);
        assert_eq!(page.body.matches("method=\"post\"").count(), 1, "only to sign out: {}", page.body);
    }
    let rebuild = [("operation", "rebuild"), ("is_fix", "true")];
    browser.post("/console/jobs", &rebuild).await.assert_is(StatusCode::FORBIDDEN, "may read and not change");
    browser.post("/console/jobs/1/cancel", &[]).await.assert_is(StatusCode::FORBIDDEN, "may read and not");
    let jobs = app.rows("select state, requested_by from ingest.jobs").await;
    assert_eq!(jobs, [json!({"state": "waiting", "requested_by": "console"})]);
}

#[tokio::test]
async fn request_that_makes_no_sense_is_refused() {
    let app = TestApp::begin().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (operation, is_fix, says) in [
        ("backfill", "true", "expected one of reconcile stripe"),
        ("rebuild", "perhaps", "provided string was not"),
    ] {
        let refused = browser.post("/console/jobs", &[("operation", operation), ("is_fix", is_fix)]).await;
        refused.assert_is(StatusCode::BAD_REQUEST, says);
    }
    assert_eq!(app.rows("select from ingest.jobs").await, [] as [Value; 0]);
}
