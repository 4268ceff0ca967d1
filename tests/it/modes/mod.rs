//! Events of the other mode or another account are stored and flagged but change nothing: live, in any order,
//! repeated, rebuilt, and when the settings change.

mod door;
mod keys;
mod settings;

use std::path::Path;

use fastrand::Rng;
use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::{Envelope, parse};
use memberflow::ops::fixture;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild::{self, Report};
use memberflow::project::stripe::StripeMode;
use memberflow::store::{Store, StoreSettings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{NOW, TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::database::TestDatabase;
use crate::support::dump::{Dump, assert_same, everything};
use crate::support::events::envelope;

const MODES_MEMBER: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0005);
const ACCOUNTS_MEMBER: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0006);
const OTHER_ACCOUNT: &str = "acct_1Connected";

/// A store under these settings, on a database with both members and a tier.
async fn app(mode: Option<StripeMode>, account: Option<&str>) -> TestApp {
    let app = store_on(TestDatabase::migrated().await, mode, account);
    app.sign_up(MODES_MEMBER, "modes@example.com").await;
    app.sign_up(ACCOUNTS_MEMBER, "accounts@example.com").await;
    // The same everywhere, so that databases can be compared.
    app.execute("update auth.users set created_at = '2026-01-01', updated_at = '2026-01-01'").await;
    app.execute("delete from ingest.events where state = 'pending'").await;
    app.name_tier("Pro", "price_pro").await;
    app.execute("update public.membership_tiers set id = '00000000-0000-4000-8000-00000000000a'").await;
    app
}

fn store_on(database: TestDatabase, mode: Option<StripeMode>, account: Option<&str>) -> TestApp {
    let store = store(&database, mode, account);
    TestApp { database, store }
}

fn store(database: &TestDatabase, mode: Option<StripeMode>, account: Option<&str>) -> Store {
    let account = account.map(ToOwned::to_owned);
    let config = Config { stripe_mode: mode, stripe_account: account, ..Config::new(database.url()) };
    Store::new(database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config))
}

/// Both cases from their files.
fn cases() -> Vec<Envelope> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/modes");
    let events = fixture::events(&[folder]).map(|event| envelope(&event.unwrap(), NOW));
    events.collect()
}

/// One of our events as if from another mode or account, with the same object ids.
fn elsewhere(event: &Envelope, changes: &Value) -> Envelope {
    let mut body: Value = serde_json::from_slice(&event.body).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        body[field] = value.clone();
    }
    parse::stripe(serde_json::to_vec(&body).unwrap().into(), NOW).unwrap()
}

/// The life of a live member: subscribed, paid.
fn live() -> Vec<Envelope> {
    let owner = json!({"user_id": MODES_MEMBER});
    let mut ada = customer("cus_1", "modes@example.com");
    ada["metadata"] = owner;
    let active = || subscription("sub_1", "cus_1", "active");
    let events = [
        stripe("evt_1", "customer.created", 0, ada),
        stripe("evt_2", "customer.subscription.created", 0, active()),
        stripe("evt_3", "invoice.paid", 10, paid_invoice("in_1", "cus_1", 1000)),
        stripe("evt_4", "customer.subscription.updated", 20, active()),
    ];
    events.iter().map(|event| elsewhere(event, &json!({"livemode": true}))).collect()
}

/// Events of test mode and a connected account for objects with the same ids, in the same seconds and later.
fn disturbances() -> Vec<Envelope> {
    let object = |mut object: Value, status: &str| {
        object["status"] = json!(status);
        json!({"object": object})
    };
    let ended = object(subscription("sub_1", "cus_1", "canceled"), "canceled");
    let refunded = object(paid_invoice("in_1", "cus_1", 77_000), "paid");
    let mut stranger = customer("cus_1", "accounts@example.com");
    stranger["metadata"] = json!({"user_id": ACCOUNTS_MEMBER});
    let test = json!({"livemode": false});
    let connected = json!({"livemode": true, "account": OTHER_ACCOUNT});
    let mut events = Vec::new();
    for (nth, origin) in [test, connected].iter().enumerate() {
        for (at, (kind, second, data)) in [
            ("customer.updated", 0, json!({"object": stranger})),
            ("customer.subscription.deleted", 20, ended.clone()),
            ("customer.subscription.updated", 0, ended.clone()),
            ("invoice.paid", 10, refunded.clone()),
            ("invoice.paid", 99, refunded.clone()),
        ]
        .into_iter()
        .enumerate()
        {
            let event = stripe(&format!("evt_{nth}_{at}"), kind, second, data["object"].clone());
            events.push(elsewhere(&event, origin));
        }
    }
    events
}

async fn apply(store: &Store, mut events: Vec<Envelope>, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    events.extend(events.clone());
    rng.shuffle(&mut events);
    for batch in events.chunks(3) {
        store.apply(batch).await.unwrap();
    }
    while store.recompute_due().await.unwrap() > 0 {}
}

async fn rebuilt(store: &Store, check: bool) -> Report {
    rebuild::run(store, check, &mut Progress::Silent, |difference| {
        if check {
            println!("{difference:?}");
        }
        true
    })
    .await
    .unwrap()
}

async fn flags(app: &TestApp) -> Vec<Value> {
    app.rows("select event_id, not_counted from ingest.inbox where not_counted is not null order by 1").await
}

const REVENUE: &str =
    "select user_id, mrr, total_spent, subscription_status from public.user_revenue_metrics order by 1";

fn spent_5000(user: Uuid) -> Value {
    json!({"user_id": user, "mrr": 0, "total_spent": 5000, "subscription_status": null})
}

#[tokio::test]
async fn other_modes_and_accounts_change_nothing() {
    for seed in 0..4 {
        let app = app(None, None).await;
        apply(&app.store, cases(), seed).await;
        let expected = [spent_5000(MODES_MEMBER), spent_5000(ACCOUNTS_MEMBER)];
        assert_eq!(app.rows(REVENUE).await, expected, "seed {seed}");
        for table in
            ["ingest.stripe_facts", "ingest.claims", "ingest.customers", "ingest.payments", "ingest.parked"]
        {
            let traces = format!("select * from {table} t where t::text ~ 'mode_test|elsewhere'");
            assert_eq!(app.rows(&traces).await, [] as [Value; 0], "{table}");
        }
        let flags = flags(&app).await;
        let with = |code: &str| flags.iter().filter(|row| row["not_counted"] == code).count();
        assert_eq!(
            (flags.len(), with("test_mode"), with("other_account:acct_1Connected")),
            (5, 3, 2),
            "{flags:?}"
        );
        assert_eq!(rebuilt(&app.store, true).await.differing_rows(), 0);
    }
}

#[tokio::test]
async fn same_object_ids_of_another_origin_change_nothing() {
    let alone = app(None, None).await;
    apply(&alone.store, live(), 1).await;
    let expected = without_inbox(everything(&alone.database.pool).await);
    for seed in 0..4 {
        let app = app(None, None).await;
        apply(&app.store, live().into_iter().chain(disturbances()).collect(), seed).await;
        let found = without_inbox(everything(&app.database.pool).await);
        assert_same(&expected, &found, &format!("seed {seed}"));
        assert_eq!(flags(&app).await.len(), disturbances().len());
        assert_eq!(rebuilt(&app.store, true).await.differing_rows(), 0);
    }
}

fn without_inbox(mut dump: Dump) -> Dump {
    dump.remove("ingest.inbox");
    dump
}

#[tokio::test]
async fn state_is_awaited_from_events_that_count_alone() {
    let thin = |id: &str, is_live: bool| {
        let event = json!({
            "id": id, "object": "v2.core.event", "type": "v1.invoice.paid", "created": "2026-01-01T00:00:00Z",
            "livemode": is_live, "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"}
        });
        parse::stripe(serde_json::to_vec(&event).unwrap().into(), NOW).unwrap()
    };
    let events = [thin("evt_a", true), thin("evt_b", false)];
    for order in [[0, 1], [1, 0]] {
        let app = app(None, None).await;
        for nth in order {
            app.apply([events[nth].clone()]).await;
        }
        let awaited = app.rows("select detail from ingest.parked").await;
        assert_eq!(awaited, [json!({"detail": "v1.invoice.paid evt_a carries no state"})], "{order:?}");
    }
}
