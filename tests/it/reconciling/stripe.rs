//! Planted drift on either side is found and fixed exactly.

use memberflow::envelope::{Envelope, parse};
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::account::Account;
use super::{FIX, charge, compared, fixed, found, lines, with};
use crate::support::app::{BEGIN, NOW, TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::dump::{assert_same, everything};

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);

fn price() -> Value {
    with(subscription("", "", "")["items"]["data"][0]["price"].clone(), json!({"object": "price"}))
}

fn coupon(id: &str) -> Value {
    json!({"id": id, "object": "coupon", "percent_off": 50, "duration": "forever"})
}

/// An account with events for every object: two or more of each kind, so that lists have pages.
pub(super) async fn in_step() -> (Account, TestApp) {
    let (account, app) = (Account::open().await, TestApp::begin().await);
    app.store.initial_import().await.unwrap();
    app.sign_up(MEMBER, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    let objects = [
        (
            "products",
            "product.created",
            json!({"id": "prod_pro", "object": "product", "name": "Pro", "active": true}),
        ),
        ("prices", "price.created", price()),
        ("coupons", "coupon.created", coupon("half")),
        ("customers", "customer.created", customer("cus_1", "ada@example.com")),
        ("customers", "customer.created", customer("cus_2", "bob@example.com")),
        ("customers", "customer.created", customer("cus_3", "cyd@example.com")),
        ("subscriptions", "customer.subscription.created", subscription("sub_1", "cus_1", "active")),
        ("subscriptions", "customer.subscription.created", subscription("sub_2", "cus_2", "active")),
        ("subscriptions", "customer.subscription.created", subscription("sub_3", "cus_3", "trialing")),
        ("invoices", "invoice.paid", with(paid_invoice("in_1", "cus_1", 1000), json!({"charge": "ch_1"}))),
        ("invoices", "invoice.paid", paid_invoice("in_2", "cus_2", 1000)),
        ("charges", "charge.succeeded", charge("ch_1", "cus_1", 1000)),
        ("charges", "charge.succeeded", charge("ch_2", "cus_2", 500)),
        ("refunds", "refund.created", refund("re_1", "succeeded")),
        ("disputes", "charge.dispute.created", dispute("needs_response")),
    ];
    let mut events = Vec::new();
    for (number, (list, kind, object)) in objects.into_iter().enumerate() {
        events.push(stripe(&format!("evt_{number}"), kind, 0, object.clone()));
        account.has(list, object);
    }
    app.apply(events).await;
    (account, app)
}

fn refund(id: &str, status: &str) -> Value {
    json!({"id": id, "object": "refund", "created": BEGIN, "currency": "usd", "amount": 100, "status": status,
        "charge": "ch_2", "payment_intent": "pi_ch_2"})
}

fn dispute(status: &str) -> Value {
    json!({"id": "dp_1", "object": "dispute", "created": BEGIN, "currency": "usd", "amount": 200, "status": status,
        "charge": "ch_2", "payment_intent": "pi_ch_2", "balance_transactions": []})
}

fn thin(id: &str, kind: &str, object: &str) -> Envelope {
    let event = json!({"id": id, "object": "v2.core.event", "type": kind, "created": "2026-11-19T12:00:00.500Z",
        "related_object": {"id": object, "type": "invoice", "url": "/v1/invoices"}});
    parse::stripe(serde_json::to_vec(&event).unwrap().into(), NOW).unwrap()
}

async fn rebuilds_to_the_same(app: &TestApp) {
    let live = everything(&app.database.pool).await;
    let mut differing = Vec::new();
    let show = |difference| {
        differing.push(difference);
        true
    };
    rebuild::run(&app.store, true, &mut Progress::Silent, show).await.unwrap();
    assert_eq!(differing, []);
    rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert_same(&live, &everything(&app.database.pool).await, "live and rebuilt");
}

#[tokio::test]
async fn consistent_account_shows_no_drift() {
    let (account, app) = in_step().await;
    let before = everything(&app.database.pool).await;
    let (report, drifted) = compared(&account, &app, NOW, FIX).await.unwrap();
    assert_eq!(lines(&drifted), [""; 0]);
    assert_eq!((report.objects.values().sum::<u64>(), report.total(), report.unreadable), (15, 0, 0));
    assert_same(&before, &everything(&app.database.pool).await, "nothing was to be fixed");
    assert!(
        account.asked().iter().any(|uri| uri.starts_with("/v1/subscriptions?") && uri.contains("status=all"))
    );
}

/// Plants drift of every kind; returns what has to be found.
async fn plant(account: &Account, app: &TestApp) -> Vec<&'static str> {
    let ended = json!({"status": "canceled", "ended_at": BEGIN + 86_400, "canceled_at": BEGIN + 86_400});
    account.has("subscriptions", with(subscription("sub_1", "cus_1", "active"), ended));
    account.has("subscriptions", subscription("sub_4", "cus_2", "past_due"));
    account.has("prices", with(price(), json!({"nickname": "Professional"})));
    account.has("refunds", refund("re_1", "failed"));
    account.has("refunds", refund("re_2", "succeeded"));
    account.has("disputes", dispute("won"));
    account.forgets("customers", "cus_3");
    account.shows("customers/cus_3", json!({"id": "cus_3", "object": "customer", "deleted": true}));
    account.forgets("coupons", "half");
    account.forgets("charges", "ch_2");
    account.has(
        "invoices",
        with(paid_invoice("in_3", "cus_1", 700), json!({"status": "open", "amount_paid": 700})),
    );
    app.apply([
        stripe(
            "evt_thin_0",
            "invoice.finalized",
            9,
            with(paid_invoice("in_3", "cus_1", 0), json!({"status": "open"})),
        ),
        thin("evt_thin_1", "v1.invoice.updated", "in_3"),
        stripe(
            "evt_tied_1",
            "customer.updated",
            5,
            with(customer("cus_2", "bob@example.com"), json!({"name": "a"})),
        ),
        stripe(
            "evt_tied_2",
            "customer.updated",
            5,
            with(customer("cus_2", "bob@example.com"), json!({"name": "b"})),
        ),
    ])
    .await;
    vec![
        "charge ch_2 not at Stripe",
        "coupon half deleted at Stripe",
        "customer cus_2 tied",
        "customer cus_3 deleted",
        "dispute dp_1 status",
        "invoice in_3 amount_due,amount_paid,parked",
        "price price_pro nickname",
        "refund re_1 status",
        "refund re_2 missing",
        "subscription sub_1 canceled_at,ended_at,status",
        "subscription sub_4 missing",
    ]
}

#[tokio::test]
async fn planted_drift_is_found_fixed_and_rebuilds() {
    let (account, app) = in_step().await;
    let planted = plant(&account, &app).await;
    // Too many requests, and an outage of three: waited out.
    for (number, status) in [(2, 429), (7, 500), (8, 503), (12, 429)] {
        account.refuses(number, status);
    }
    assert_eq!(found(&account, &app).await, planted);
    let first = account.asked();
    assert!(
        first[0].starts_with("/v1/customers/cus_2") && first[1].starts_with("/v1/invoices/in_3"),
        "{first:?}"
    );
    assert_eq!(found(&account, &app).await, planted, "looking changes nothing");

    let (report, _) = compared(&account, &app, NOW, FIX).await.unwrap();
    assert_eq!((report.fixed, report.left(), report.not_at_stripe, report.deleted_at_stripe), (9, 1, 1, 1));
    let left = ["charge ch_2 not at Stripe", "coupon half deleted at Stripe"];
    assert_eq!(found(&account, &app).await, left);
    // The customer of sub_3 is deleted, and nothing says that sub_3 has ended.
    assert_eq!(app.parked().await, ["cus_2 unknown_user", "cus_3 unknown_user", "sub_3 needs_stripe"]);

    let snapshots = "select 1 from ingest.inbox where source = 'internal' and event_type = 'snapshot'";
    assert_eq!(app.rows(snapshots).await.len(), 9);
    assert_eq!(fixed(&account, &app).await, left);
    let later = compared(&account, &app, NOW + Duration::DAY, FIX).await.unwrap();
    assert_eq!(lines(&later.1), left);
    assert_eq!(app.rows(snapshots).await.len(), 9, "twice adds nothing");
    rebuilds_to_the_same(&app).await;
}

#[tokio::test]
async fn ended_subscription_uses_stripes_end_in_ledger() {
    let (account, app) = in_step().await;
    let ended = json!({"status": "canceled", "ended_at": BEGIN + 86_400});
    account.has("subscriptions", with(subscription("sub_1", "cus_1", "active"), ended));
    fixed(&account, &app).await;
    let movements =
        "select kind, delta, extract(epoch from effective_at)::bigint as at from public.mrr_movements
                     where customer_id = 'cus_1' and superseded_at is null order by effective_at";
    assert_eq!(
        app.rows(movements).await,
        [
            json!({"kind": "new", "delta": 1000, "at": BEGIN}),
            json!({"kind": "churn", "delta": -1000, "at": BEGIN + 86_400})
        ]
    );
}

#[tokio::test]
async fn snapshot_is_ordered_between_events() {
    let (account, app) = in_step().await;
    account.has("subscriptions", subscription("sub_1", "cus_1", "past_due"));
    assert_eq!(fixed(&account, &app).await, ["subscription sub_1 status"]);
    let status =
        "select status::text from public.customer_subscriptions where stripe_subscription_id = 'sub_1'";
    let second = (NOW.unix_timestamp() - BEGIN) - 1;
    let event = |id, second, status| {
        stripe(id, "customer.subscription.updated", second, subscription("sub_1", "cus_1", status))
    };
    app.apply([event("evt_before", second, "unpaid")]).await;
    assert_eq!(app.rows(status).await, [json!({"status": "past_due"})]);
    app.apply([event("evt_after", second + 2, "active")]).await;
    assert_eq!(app.rows(status).await, [json!({"status": "active"})]);

    // Back to the state of the first snapshot, which must not be taken for it.
    let (_, drifted) = compared(&account, &app, NOW + Duration::DAY, FIX).await.unwrap();
    assert_eq!(lines(&drifted), ["subscription sub_1 status"]);
    assert_eq!(app.rows(status).await, [json!({"status": "past_due"})]);
    rebuilds_to_the_same(&app).await;
}

#[tokio::test]
async fn api_resolves_unknown_and_ended_discounts() {
    let (account, app) = in_step().await;
    let discount = json!({"object": "discount", "id": "di_1", "customer": "cus_1", "start": BEGIN, "source": {"coupon": "half"}});
    let by_id = with(subscription("sub_1", "cus_1", "active"), json!({"discounts": ["di_1"]}));
    app.apply([stripe("evt_by_id", "customer.subscription.updated", 5, by_id.clone())]).await;
    assert!(app.parked().await.contains(&"sub_1 unresolved_discount".to_owned()));
    account.has("subscriptions", with(by_id, json!({"discounts": [discount]})));

    let over = json!({"object": "discount", "id": "di_2", "customer": "cus_2", "start": BEGIN, "source": {"coupon": "half"}});
    app.apply([stripe("evt_over", "customer.discount.created", 5, over)]).await;
    let mrr = "select customer_id, mrr from ingest.customer_revenue where mrr <> 0 order by 1";
    let rows = |ada: i64, bob: i64| {
        [json!({"customer_id": "cus_1", "mrr": ada}), json!({"customer_id": "cus_2", "mrr": bob})]
    };
    assert_eq!(app.rows(mrr).await, rows(1000, 500));
    let differing = [
        "discount di_2 deleted",
        "subscription sub_1 discounts[0].coupon_id,discounts[0].customer,discounts[0].start",
    ];
    assert_eq!(fixed(&account, &app).await, differing);
    assert_eq!(app.rows(mrr).await, rows(500, 1000));
    assert_eq!(found(&account, &app).await, [""; 0]);
    rebuilds_to_the_same(&app).await;
}

#[tokio::test]
async fn api_resolves_coupon_currencies_and_cancellation() {
    let (account, app) = in_step().await;
    let coupon = json!({"object": "coupon", "id": "five", "amount_off": 500, "currency": "eur", "duration": "forever"});
    let discount = json!({"object": "discount", "id": "di_1", "customer": "cus_1", "start": BEGIN, "source": {"coupon": "five"}});
    let discounted = with(subscription("sub_1", "cus_1", "active"), json!({"discounts": [discount]}));
    app.apply([
        stripe("evt_five", "coupon.created", 5, coupon.clone()),
        stripe("evt_off", "customer.subscription.updated", 5, discounted.clone()),
    ])
    .await;
    assert!(app.parked().await.contains(&"sub_1 estimated_mrr".to_owned()));
    account.has(
        "coupons",
        with(coupon, json!({"currency_options": {"eur": {"amount_off": 500}, "usd": {"amount_off": 550}}})),
    );
    let canceling = json!({"cancel_at": BEGIN + 9, "canceled_at": BEGIN + 6,
        "cancellation_details": {"reason": "cancellation_requested", "feedback": "unused"}});
    account.has("subscriptions", with(discounted, canceling));

    let differing = [
        "coupon five currency_options",
        "subscription sub_1 canceled_at,cancel_at,cancellation_feedback,cancellation_reason",
    ];
    assert_eq!(fixed(&account, &app).await, differing);
    let mrr = "select mrr from ingest.customer_revenue where customer_id = 'cus_1' and currency = 'usd'";
    assert_eq!(app.rows(mrr).await, [json!({"mrr": 450})]);
    assert!(!app.parked().await.contains(&"sub_1 estimated_mrr".to_owned()));
    assert_eq!(found(&account, &app).await, [""; 0]);
    rebuilds_to_the_same(&app).await;
}

#[tokio::test]
async fn preexisting_subscriptions_get_their_value() {
    let (account, app) = (Account::open().await, TestApp::begin().await);
    app.sign_up(MEMBER, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app.execute(&format!(
        "insert into public.customer_subscriptions
             (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status, created_at)
         select '{MEMBER}', id, 'cus_1', 'sub_1', 'price_pro', 'active', '2026-01-01' from public.membership_tiers"
    ))
    .await;
    account.has("customers", customer("cus_1", "elsewhere@example.com"));
    account.has("subscriptions", subscription("sub_1", "cus_1", "active"));
    account.has("invoices", paid_invoice("in_1", "cus_1", 1000));
    // The first run on this database: what stands there is read in before.
    let differing = fixed(&account, &app).await;
    assert_eq!(differing.len(), 3, "{differing:?}");
    let metrics = app.rows("select user_id, mrr, total_spent from public.user_revenue_metrics").await;
    assert_eq!(metrics, [json!({"user_id": MEMBER, "mrr": 1000, "total_spent": 1000})]);
    assert_eq!(app.parked().await, [""; 0]);
    assert_eq!(fixed(&account, &app).await, [""; 0]);
    rebuilds_to_the_same(&app).await;
}

#[tokio::test]
async fn ended_here_but_not_at_stripe_is_reported() {
    let (account, app) = in_step().await;
    app.apply([stripe(
        "evt_end",
        "customer.subscription.deleted",
        5,
        subscription("sub_1", "cus_1", "canceled"),
    )])
    .await;
    let (report, drifted) = compared(&account, &app, NOW, FIX).await.unwrap();
    assert_eq!(lines(&drifted), ["subscription sub_1 status"]);
    assert_eq!((report.fixed, report.left(), drifted[0].is_fixed), (0, 1, false));
}

#[tokio::test]
async fn objects_of_a_forgotten_person_stay_forgotten() {
    let (account, app) = in_step().await;
    let described = with(
        charge("ch_9", "cus_1", 700),
        json!({"description": "A session for Ada Archer", "billing_details": {"name": "Ada Archer"}}),
    );
    app.apply([stripe("evt_described", "charge.succeeded", 5, described.clone())]).await;
    account.has("charges", described);
    account.has("customers", with(customer("cus_1", "ada@example.com"), json!({"name": "Ada Archer"})));
    assert_eq!(found(&account, &app).await, [""; 0]);
    let plan = app.store.plan_forget("ada@example.com").await.unwrap().unwrap();
    app.store.forget(&plan, "test").await.unwrap();
    assert_eq!(found(&account, &app).await, [""; 0]);

    // Other differences are shown, and nothing is stored: an invoice that was never reported has the name, too.
    account.has("invoices", with(paid_invoice("in_9", "cus_1", 700), json!({"customer_name": "Ada Archer"})));
    account.has("subscriptions", subscription("sub_1", "cus_1", "past_due"));
    let (report, drifted) = compared(&account, &app, NOW, FIX).await.unwrap();
    assert_eq!(lines(&drifted), ["invoice in_9 missing", "subscription sub_1 status"]);
    assert_eq!((report.fixed, report.left(), report.forgotten), (0, 2, 6));

    // Of a deleted customer Stripe shows only the id.
    account.forgets("customers", "cus_1");
    account.shows("customers/cus_1", json!({"id": "cus_1", "object": "customer", "deleted": true}));
    assert_eq!(compared(&account, &app, NOW, FIX).await.unwrap().0.fixed, 1);
    let traces = "select event_id as it from ingest.events where encode(body, 'escape') ~ 'Archer|ada@'
        union all select name from ingest.last_checks where differences::text ~ 'Archer|ada@'
        union all select id from ingest.stripe_facts where state::text ~ 'Archer|ada@'";
    assert_eq!(app.rows(traces).await, [] as [Value; 0]);
}
