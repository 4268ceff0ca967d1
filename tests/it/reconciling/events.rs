//! Events that never reached us are fetched from where Stripe keeps them.

use memberflow::clock::Clock;
use memberflow::ops::backfill::stripe_events::{self, Options, Report};
use memberflow::ops::progress::Progress;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::account::Account;
use super::{api, with};
use crate::support::app::{BEGIN, NOW, TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::dump::{assert_same, everything};

fn events() -> Vec<Value> {
    let event = |id: &str, kind: &str, second: i64, pending: i64, object: Value| {
        json!({"id": id, "object": "event", "type": kind, "created": BEGIN + second, "pending_webhooks": pending,
            "api_version": "2025-09-30.clover", "data": {"object": object}})
    };
    vec![
        event("evt_1", "customer.subscription.created", 0, 0, subscription("sub_1", "cus_1", "active")),
        event("evt_2", "invoice.paid", 1, 1, paid_invoice("in_1", "cus_1", 1000)),
        event("evt_3", "payment_intent.created", 2, 1, json!({"id": "pi_1", "object": "payment_intent"})),
        event("evt_4", "customer.subscription.updated", 3, 1, subscription("sub_1", "cus_1", "past_due")),
        event("evt_5", "customer.subscription.updated", 4, 1, json!({"object": "subscription"})),
    ]
}

async fn fetched(account: &Account, app: &TestApp, options: Options) -> Report {
    let (api, clock) = (api(account, app), Clock::fixed(NOW));
    stripe_events::run(&app.store, &api, &clock, options, &mut Progress::Silent).await.unwrap()
}

#[tokio::test]
async fn missed_events_are_filled_late_ones_deduplicated() {
    let (account, app) = (Account::open().await, TestApp::begin().await);
    events().into_iter().for_each(|event| account.has("events", event));
    app.apply([stripe(
        "evt_1",
        "customer.subscription.created",
        0,
        subscription("sub_1", "cus_1", "active"),
    )])
    .await;

    let report = fetched(&account, &app, Options::default()).await;
    assert_eq!(report, Report { listed: 5, new: 3, dead: 1, ..Report::default() });
    let inbox = "select source, event_id from ingest.events where state = 'applied' order by 2";
    let kept: Vec<Value> =
        (1..=4).map(|number| json!({"source": "stripe", "event_id": format!("evt_{number}")})).collect();
    assert_eq!(app.rows(inbox).await, kept);

    let late =
        stripe("evt_4", "customer.subscription.updated", 3, subscription("sub_1", "cus_1", "past_due"));
    assert_eq!(app.apply([late]).await.repeated, 1);
    let before = everything(&app.database.pool).await;
    assert_eq!(fetched(&account, &app, Options::default()).await.new, 0);
    assert_same(&before, &everything(&app.database.pool).await, "twice adds nothing");
}

#[tokio::test]
async fn backfill_filters_undelivered_and_since() {
    let (account, app) = (Account::open().await, TestApp::begin().await);
    events().into_iter().take(4).for_each(|event| account.has("events", event));
    let quick = Options { undelivered: true, since: None };
    assert_eq!(fetched(&account, &app, quick).await.listed, 3);
    let since = OffsetDateTime::from_unix_timestamp(BEGIN + 3).ok();
    assert_eq!(fetched(&account, &app, Options { undelivered: false, since }).await.listed, 1);
    account.has("events", with(events()[0].clone(), json!({"id": null})));
    assert_eq!(fetched(&account, &app, Options::default()).await.unreadable, 1);
}

#[tokio::test]
async fn missed_events_of_a_forgotten_person_are_left_out() {
    let (account, app) = (Account::open().await, TestApp::begin().await);
    app.sign_up(Uuid::from_u128(1), "ada@example.com").await;
    app.apply([stripe("evt_0", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    let plan = app.store.plan_forget("ada@example.com").await.unwrap().unwrap();
    app.store.forget(&plan, "test").await.unwrap();
    events().into_iter().take(2).for_each(|event| account.has("events", event));
    let report = fetched(&account, &app, Options::default()).await;
    assert_eq!(report, Report { listed: 2, forgotten: 2, ..Report::default() });

    // What happened after the person was forgotten is applied as a webhook would be.
    let later = json!({"id": "evt_later", "created": NOW.unix_timestamp() + 60});
    account.has("events", with(events()[1].clone(), later));
    let report = fetched(&account, &app, Options::default()).await;
    assert_eq!(report, Report { listed: 3, new: 1, forgotten: 2, ..Report::default() });
}
