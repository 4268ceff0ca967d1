//! Queries of the ledger, by the functions shared by API and CLI, and over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use memberflow::api::{ApiState, routes};
use memberflow::clock::Clock;
use memberflow::ops::doctor::Doctor;
use memberflow::ops::ledger::{self, About, Cell, Counts, Question, Row};
use secrecy::SecretString;
use time::macros::datetime;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;

const ANN: Uuid = Uuid::from_u128(0xa);

/// Ann pays from January on, more from March on; somebody unknown pays in April alone.
async fn app() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ANN, "ann@example.com").await;
    let mut of_ann = of("sub_1", "cus_1", "active", 1000);
    of_ann["metadata"]["user_id"] = json!(ANN.to_string());
    app.store_at(day(100))
        .apply(&[on(0, of_ann), on(65, of("sub_1", "cus_1", "active", 2500))])
        .await
        .unwrap();
    let unknown =
        vec![on(92, of("sub_2", "cus_2", "active", 700)), on(110, of("sub_2", "cus_2", "canceled", 700))];
    app.store_at(day(120)).apply(&unknown).await.unwrap();
    app
}

async fn total(app: &TestApp, question: Question) -> Vec<(String, i64, i64)> {
    let answer = ledger::mrr_at(&app.database.pool, &question, NOW).await.unwrap();
    answer.totals.into_iter().map(|it| (it.currency, it.mrr, it.customers)).collect()
}

#[tokio::test]
async fn the_mrr_at_any_date_as_known_at_any_date() {
    let app = app().await;
    let at = |days, known| Question { at: Some(day(days)), known_at: known, user_id: None };
    let usd = |mrr, customers| vec![("usd".to_owned(), mrr, customers)];
    assert_eq!(total(&app, at(-1, None)).await, []);
    assert_eq!(total(&app, at(0, None)).await, usd(1000, 1));
    assert_eq!(total(&app, at(92, None)).await, usd(3200, 2));
    assert_eq!(total(&app, at(92, Some(day(119)))).await, usd(2500, 1));
    assert_eq!(total(&app, at(92, Some(day(99)))).await, []);
    assert_eq!(total(&app, Question::default()).await, usd(2500, 1));
    let of_ann = Question { user_id: Some(ANN), ..at(92, None) };
    assert_eq!(total(&app, of_ann).await, usd(2500, 1));

    // A late event reports that Ann paid less in between: the belief of before can still be asked for.
    app.store_at(day(200)).apply(&[on(30, of("sub_1", "cus_1", "active", 400))]).await.unwrap();
    assert_eq!(total(&app, at(40, None)).await, usd(400, 1));
    assert_eq!(total(&app, at(40, Some(day(200)))).await, usd(400, 1));
    assert_eq!(total(&app, at(40, Some(day(199)))).await, usd(1000, 1));
    assert_eq!(total(&app, at(70, None)).await, usd(2500, 1));
    assert_adds_up(&app, "rewritten").await;
}

#[tokio::test]
async fn the_waterfall_adds_up_month_by_month() {
    let app = app().await;
    let months = ledger::months("2026-02".parse().ok(), "2026-05".parse().ok(), NOW).unwrap();
    let rows = ledger::waterfall(&app.database.pool, &months, None).await.unwrap().rows;
    let summary_of = |row: &Row| {
        assert_eq!(
            row.opening + row.new + row.expansion + row.contraction + row.churn + row.reactivation,
            row.closing
        );
        format!(
            "{} {}: {} {} {} {} -> {} of {}",
            row.currency,
            row.month,
            row.opening,
            row.new,
            row.expansion,
            row.churn,
            row.closing,
            row.customers
        )
    };
    assert!(rows.windows(2).all(|pair| pair[0].closing == pair[1].opening));
    assert_eq!(
        rows.iter().map(summary_of).collect::<Vec<_>>(),
        [
            "usd 2026-02: 1000 0 0 0 -> 1000 of 1",
            "usd 2026-03: 1000 0 1500 0 -> 2500 of 1",
            "usd 2026-04: 2500 700 0 -700 -> 2500 of 1",
            "usd 2026-05: 2500 0 0 0 -> 2500 of 1",
        ]
    );
    assert_eq!(rows[2].movements, Counts { new: 1, churn: 1, ..Counts::default() });
    let then = ledger::waterfall(&app.database.pool, &months, Some(day(100))).await.unwrap().rows;
    assert_eq!(summary_of(&then[2]), "usd 2026-04: 2500 0 0 0 -> 2500 of 1");
}

#[tokio::test]
async fn the_movements_of_a_sum_come_page_by_page() {
    let app = app().await;
    let more = (0..3).map(|n| on(93, of(&format!("sub_1{n}"), &format!("cus_1{n}"), "active", 900)));
    app.store_at(day(130)).apply(&more.collect::<Vec<_>>()).await.unwrap();
    let cell = |kind: &str, known_at| {
        let month = "2026-04".parse().unwrap();
        Cell { currency: "usd".to_owned(), month, kind: kind.to_owned(), known_at }
    };
    let pool = &app.database.pool;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = ledger::movements(pool, &cell("new", None), cursor.as_deref(), 2).await.unwrap();
        seen.extend(page.movements.into_iter().map(|it| (it.movement.customer_id, it.movement.delta)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.pop(), Some(("cus_2".to_owned(), 700)), "the oldest");
    seen.sort();
    assert_eq!(seen, [10, 11, 12].map(|n| (format!("cus_{n}"), 900)));
    let then = ledger::movements(pool, &cell("new", Some(day(125))), None, 50).await.unwrap().movements;
    assert_eq!(then.len(), 1);
    assert_eq!((then[0].user_id, then[0].cause_source.as_deref()), (None, Some("stripe")));
    let march = Cell { month: "2026-03".parse().unwrap(), ..cell("expansion", None) };
    let of_ann = ledger::movements(pool, &march, None, 50).await.unwrap().movements;
    assert_eq!((of_ann[0].user_id, of_ann[0].email.as_deref()), (Some(ANN), Some("ann@example.com")));
    assert!(ledger::movements(pool, &march, Some("x"), 50).await.is_err());
}

#[tokio::test]
async fn explanations_of_a_date_add_up_to_its_mrr() {
    let app = app().await;
    let pool = &app.database.pool;
    app.apply([on(130, of("sub_3", "cus_1", "active", 700)), on(140, of("sub_3", "cus_1", "canceled", 700))])
        .await;
    for (days, subscriptions) in [(-1, 0), (0, 1), (64, 1), (65, 1), (130, 2), (139, 2), (140, 2)] {
        let at = Some(day(days));
        let explained = ledger::explain_at(pool, &About::User(ANN), at, NOW).await.unwrap().unwrap();
        let question = Question { at, known_at: None, user_id: Some(ANN) };
        let totals = total(&app, question).await;
        let mrr: BTreeMap<String, i64> =
            totals.into_iter().map(|(currency, mrr, _)| (currency, mrr)).collect();
        assert_eq!(explained.mrr, mrr, "day {days}");
        assert_eq!(explained.subscriptions.len(), subscriptions, "day {days}");
        assert!(explained.movements.iter().all(|it| it.effective_at <= day(days)), "day {days}");
    }
}

#[tokio::test]
async fn an_mrr_is_explained_step_by_step() {
    let app = app().await;
    let mut more = of("sub_3", "cus_1", "active", 9900);
    more["discounts"] = json!([half_off("di_1", 900)]);
    let price = &mut more["items"]["data"][0]["price"];
    price["recurring"] = json!({"interval": "day", "interval_count": 28, "usage_type": "licensed"});
    app.apply([on(130, more), on(131, of("sub_4", "cus_1", "paused", 100))]).await;
    let explained = ledger::explain(&app.database.pool, &About::User(ANN), NOW).await.unwrap().unwrap();
    assert_eq!(explained.customers, ["cus_1"]);
    assert_eq!(explained.mrr, [("usd".to_owned(), 2500 + 5377)].into());
    let three = explained.subscriptions.iter().find(|it| it.subscription == "sub_3").unwrap();
    let item = &three.items[0];
    assert_eq!((item.factor.as_deref(), item.interval.as_deref()), (Some("365/336"), Some("28 days")));
    assert_eq!((item.per_interval.as_deref(), item.monthly.as_str()), (Some("9900"), "301125/28"));
    assert_eq!(three.discounts, ["half: 50 %"]);
    assert_eq!((three.exact.as_str(), three.mrr), ("301125/56", 5377));
    let four = explained.subscriptions.iter().find(|it| it.subscription == "sub_4").unwrap();
    assert_eq!((four.mrr, four.worth_nothing.as_deref()), (0, Some("paused subscriptions bring nothing")));
    assert_eq!(explained.movements[0].cause_event_id.as_deref(), Some("evt_sub_3_130"));
    assert_eq!(explained.movements.iter().map(|it| it.delta).sum::<i64>(), 2500 + 5377);

    let of_nobody =
        ledger::explain(&app.database.pool, &About::Customer("cus_2".to_owned()), NOW).await.unwrap();
    assert_eq!(of_nobody.map(|it| (it.user_id, it.movements.len())), Some((None, 2)));
    let none = ledger::explain(&app.database.pool, &About::Customer("cus_9".to_owned()), NOW).await.unwrap();
    assert!(none.is_none());
}

async fn get(app: &TestApp, path: &str) -> (StatusCode, Value) {
    let admin_token = Some(SecretString::from("a-long-random-token".to_owned()));
    let clock = Clock::fixed(datetime!(2026-05-15 12:00 UTC));
    let doctor = Arc::new(Doctor::new(&crate::support::config(String::new())));
    let api = routes(ApiState { store: app.store.clone(), clock, admin_token, doctor });
    let request = Request::get(path).header("authorization", "Bearer a-long-random-token");
    let response = api.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn dates_out_of_range_are_bad_requests() {
    let app = app().await;
    for query in [
        "mrr?date=9999-12-31T23:59:59-23:59",
        "mrr?known_at=9999-12-31T23:59:59-23:59",
        "mrr?date=-9999-01-01",
        "mrr/waterfall?from=9999-11&to=9999-12",
        "mrr/waterfall?known_at=-9999-01-01",
    ] {
        let (status, body) = get(&app, &format!("/api/{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
        assert!(body["detail"].as_str().unwrap().contains("out of range"), "{query}: {body}");
    }
}

#[tokio::test]
async fn api_returns_definition_with_the_number() {
    let app = app().await;
    let (status, body) = get(&app, "/api/mrr?date=2026-04-05").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["totals"], json!([{"currency": "usd", "mrr": 3200, "customers": 2}]));
    assert_eq!(body["definition"], ledger::DEFINITION);

    let (_, body) = get(&app, "/api/mrr?date=2026-04-05&known_at=2026-04-15").await;
    assert_eq!(body["totals"][0]["mrr"], 2500);
    let (_, body) = get(&app, &format!("/api/mrr?user_id={ANN}")).await;
    assert_eq!(body["totals"][0]["mrr"], 2500);
    let (_, body) = get(&app, "/api/mrr/waterfall?from=2026-03").await;
    assert_eq!(body["rows"].as_array().unwrap().len(), 3);
    assert_eq!((&body["rows"][0]["month"], &body["rows"][0]["expansion"]), (&json!("2026-03"), &json!(1500)));
    let (_, body) =
        get(&app, "/api/mrr/movements?currency=USD&month=2026-03&kind=expansion&count=true").await;
    assert_eq!(body["count"], json!({"rows": 1, "is_capped": false}));
    assert_eq!(
        (&body["movements"][0]["email"], &body["movements"][0]["delta"]),
        (&json!("ann@example.com"), &json!(1500))
    );
    let (_, body) = get(&app, "/api/mrr/cohorts?from=2026-01").await;
    assert_eq!(body["cohorts"][0]["months"][3], json!({"month": "2026-04", "customers": 1, "mrr": 2500}));
    let (_, body) = get(&app, &format!("/api/members/{ANN}/mrr")).await;
    assert_eq!(
        (&body["mrr"]["usd"], &body["subscriptions"][0]["items"][0]["factor"]),
        (&json!(2500), &json!("1"))
    );
}

#[tokio::test]
async fn api_explains_invalid_queries() {
    let app = TestApp::begin().await;
    for (path, expected, says) in [
        ("/api/mrr?date=yesterday", StatusCode::BAD_REQUEST, "invalid date \"yesterday\""),
        ("/api/mrr?dat=2026-01-01", StatusCode::BAD_REQUEST, "dat"),
        ("/api/mrr?user_id=ann", StatusCode::BAD_REQUEST, "user_id"),
        ("/api/mrr/waterfall?from=2026", StatusCode::BAD_REQUEST, "invalid month"),
        ("/api/mrr/waterfall?from=2026-06", StatusCode::BAD_REQUEST, "before the first"),
        ("/api/mrr/waterfall?from=1990-01", StatusCode::BAD_REQUEST, "more than 120 months"),
        ("/api/mrr/movements?currency=usd&month=2026-03", StatusCode::BAD_REQUEST, "kind"),
        (
            "/api/mrr/movements?currency=usd&month=2026-03&kind=gift",
            StatusCode::BAD_REQUEST,
            r#"invalid kind "gift": expected one of"#,
        ),
        ("/api/mrr/movements?currency=%00&month=2026-03&kind=new", StatusCode::BAD_REQUEST, "NUL"),
        ("/api/mrr/movements?currency=usd&month=march&kind=new", StatusCode::BAD_REQUEST, "invalid month"),
        ("/api/mrr/cohorts?from=2026", StatusCode::BAD_REQUEST, "invalid month"),
        ("/api/mrr/cohorts?from=2026-06", StatusCode::BAD_REQUEST, "before the first"),
        ("/api/members/ann/mrr", StatusCode::BAD_REQUEST, "UUID"),
        ("/api/members/00000000-0000-0000-0000-00000000000f/mrr", StatusCode::NOT_FOUND, "no account"),
    ] {
        let (status, body) = get(&app, path).await;
        assert_eq!(status, expected, "{path}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(says), "{path}: {body}");
    }
}
