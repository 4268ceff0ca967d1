//! Reading from Stripe's API: a key of the other mode is rejected, and snapshots have a mode and an account
//! too.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::backfill::stripe_events;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::Options;
use memberflow::ops::reconcile::stripe::{self as reconcile, ReconcileError};
use memberflow::ops::stripe_api::{StripeApi, StripeApiError};
use memberflow::project::stripe::StripeMode;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{NOW, OTHER_ACCOUNT, app, customer, flags, rebuilt, store, stripe, subscription};
use crate::reconciling::account::Account;
use crate::support::app::TestApp;
use crate::support::process::{Settings, memberflow};

fn api(
    account: &Account,
    key: &str,
    mode: Option<StripeMode>,
    of: Option<&str>,
) -> Result<StripeApi, StripeApiError> {
    let config = Config {
        stripe_api_key: Some(SecretString::from(key.to_owned())),
        stripe_api_base: Some(account.base.clone()),
        stripe_requests_per_second: 100,
        stripe_mode: mode,
        stripe_account: of.map(ToOwned::to_owned),
        ..Config::new("postgres://nobody@127.0.0.1:1/none")
    };
    StripeApi::rate_limited(&config).map(Option::unwrap)
}

async fn account_in(livemode: bool) -> Account {
    let account = Account::open().await;
    let mut member = customer("cus_1", "modes@example.com");
    member["metadata"] = json!({"user_id": super::MODES_MEMBER});
    for (list, mut object) in
        [("customers", member), ("subscriptions", subscription("sub_1", "cus_1", "active"))]
    {
        object["livemode"] = json!(livemode);
        account.has(list, object);
    }
    account
}

fn settings(account: &Account, app: &TestApp, key: &str) -> Settings {
    vec![
        ("DATABASE_URL", app.database.url()),
        ("STRIPE_API_KEY", key.to_owned()),
        ("STRIPE_API_BASE", account.base.clone()),
        ("MEMBERFLOW_STRIPE_REQUESTS_PER_SECOND", "100".to_owned()),
        ("MEMBERFLOW_STRIPE_MODE", String::new()),
    ]
}

#[tokio::test]
async fn key_of_other_mode_exits_with_4() {
    let (account, app) = (account_in(false).await, app(None, None).await);
    for command in ["backfill stripe", "backfill stripe-events", "reconcile stripe", "reconcile stripe --fix"]
    {
        for key in ["sk_test_123", "rk_test_123"] {
            let mut process = memberflow(&settings(&account, &app, key));
            process.args(command.split(' '));
            let output = tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(4), "{command}: {said}");
            for part in ["test mode", "sk_live_", "MEMBERFLOW_STRIPE_MODE=test"] {
                assert!(said.contains(part), "{command}: {said}");
            }
        }
    }
    assert_eq!(account.asked(), [] as [String; 0]);
}

#[tokio::test]
async fn key_of_unknown_mode_is_rejected_by_first_object() {
    let (account, app) = (account_in(false).await, app(None, None).await);
    let (clock, options) = (Clock::fixed(NOW), Options { fix: true, since: None });
    let event = json!({"id": "evt_1", "object": "event", "type": "customer.created", "created": 1,
        "livemode": false, "data": {"object": customer("cus_1", "modes@example.com")}});
    account.has("events", event);
    for balance in [None, Some(json!({"object": "balance", "livemode": false}))] {
        if let Some(balance) = balance {
            account.shows("balance", balance);
        }
        let api = api(&account, "sk_123", None, None).unwrap();
        let mut progress = Progress::Silent;
        let walked = reconcile::run(&app.store, &api, &clock, options, &mut progress, |_| {}).await;
        let fetched =
            stripe_events::run(&app.store, &api, &clock, stripe_events::Options::default(), &mut progress)
                .await;
        for error in [walked.unwrap_err(), fetched.unwrap_err()] {
            let is_refused =
                matches!(error, ReconcileError::Api { source: StripeApiError::OtherMode(_), .. });
            assert!(is_refused, "{error}");
        }
    }
    let stripe = "select 1 as one from ingest.inbox where source = 'stripe' or event_type = 'snapshot'";
    assert_eq!(app.rows(stripe).await, [] as [Value; 0]);
}

#[tokio::test]
async fn snapshots_of_other_mode_do_not_count() {
    let (account, app) = (account_in(false).await, app(Some(StripeMode::Test), None).await);
    let clock = Clock::fixed(NOW);
    let api = api(&account, "sk_test_1", Some(StripeMode::Test), None).unwrap();
    // Neither a discount nor a refund says of which mode it is; the key does.
    account.has(
        "refunds",
        json!({"id": "re_1", "object": "refund", "amount": 100, "currency": "usd",
        "charge": "ch_1", "status": "succeeded", "created": 1_767_225_600}),
    );
    let options = Options { fix: true, since: None };
    let report =
        reconcile::run(&app.store, &api, &clock, options, &mut Progress::Silent, |_| {}).await.unwrap();
    assert_eq!(report.fixed, 3, "{report:?}");
    let revenue = "select mrr from public.user_revenue_metrics where mrr > 0";
    assert_eq!(app.rows(revenue).await, [json!({"mrr": 1000})]);
    assert_eq!(flags(&app).await, [] as [Value; 0]);

    let live = store(&app.database, Some(StripeMode::Live), None);
    rebuilt(&live, false).await;
    assert_eq!(app.rows(revenue).await, [] as [Value; 0]);
    assert_eq!(app.rows("select id from ingest.stripe_facts").await, [] as [Value; 0]);
    assert_eq!(flags(&app).await.len(), 3);
}

#[tokio::test]
async fn only_the_configured_account_counts() {
    let account = account_in(true).await;
    let app = app(None, Some(OTHER_ACCOUNT)).await;
    let api = api(&account, "sk_live_1", None, Some(OTHER_ACCOUNT)).unwrap();
    let clock = Clock::fixed(NOW);
    let invoice = crate::support::app::paid_invoice("in_1", "cus_1", 1000);
    let event = stripe("evt_1", "invoice.paid", 10, invoice);
    let mut listed: Value = serde_json::from_slice(&event.body).unwrap();
    listed["livemode"] = json!(true);
    account.has("events", listed.clone());

    let fetched = stripe_events::run(
        &app.store,
        &api,
        &clock,
        stripe_events::Options::default(),
        &mut Progress::Silent,
    )
    .await;
    assert_eq!(fetched.unwrap().new, 1);
    let options = Options { fix: true, since: None };
    reconcile::run(&app.store, &api, &clock, options, &mut Progress::Silent, |_| {}).await.unwrap();
    assert!(
        account.accounts().iter().all(|asked| asked.as_deref() == Some(OTHER_ACCOUNT)),
        "{:?}",
        account.accounts()
    );
    assert_eq!(flags(&app).await, [] as [Value; 0]);
    let revenue = "select mrr, total_spent from public.user_revenue_metrics";
    assert_eq!(app.rows(revenue).await, [json!({"mrr": 1000, "total_spent": 1000})]);
    assert_eq!(rebuilt(&app.store, true).await.differing_rows(), 0);
}
