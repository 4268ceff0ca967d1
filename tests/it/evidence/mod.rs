//! Evidence of whose a customer is, in any order, and flagged contradictions.

mod addresses;
mod identity;

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::{Store, StoreSettings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{BEGIN, NOW, TestApp, customer, paid_invoice, row, stripe, subscription};

const ADA: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);
const BEA: Uuid = Uuid::from_u128(0xbbbb_bbbb_bbbb_4bbb_8bbb_bbbb_bbbb_bbbb);

async fn with_ada_and_bea() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.sign_up(BEA, "bea@example.com").await;
    app
}

/// The owner of the only customer, and by what.
async fn owner(app: &TestApp) -> (Value, Value) {
    let rows = app.rows("select user_id, matched_by from ingest.customers").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    (rows[0]["user_id"].clone(), rows[0]["matched_by"].clone())
}

fn by(user: Uuid, evidence: &str) -> (Value, Value) {
    (json!(user), json!(evidence))
}

async fn assert_rebuilt_alike(store: &Store) {
    let mut progress = Progress::Silent;
    let show = |difference| {
        eprintln!("{difference:?}");
        true
    };
    let report = rebuild::run(store, true, &mut progress, show).await.unwrap();
    assert_eq!(report.differing_rows(), 0);
}

/// A store on the same database with other settings.
fn with(app: &TestApp, change: impl Fn(&mut Config)) -> Store {
    let mut config = crate::support::config(app.database.url());
    change(&mut config);
    Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config))
}

fn session(id: &str, status: &str, payment: &str, reference: Option<Uuid>, email: &str) -> Value {
    json!({
        "id": id, "object": "checkout.session", "created": BEGIN, "customer": "cus_1", "status": status,
        "payment_status": payment, "client_reference_id": reference, "metadata": {}, "mode": "payment",
        "customer_details": {"email": email}
    })
}

#[tokio::test]
async fn unpaid_checkout_is_not_evidence() {
    for (kind, status, payment) in [
        ("checkout.session.expired", "expired", "unpaid"),
        ("checkout.session.completed", "complete", "unpaid"),
        ("checkout.session.async_payment_failed", "complete", "unpaid"),
    ] {
        let app = with_ada_and_bea().await;
        app.apply([
            stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
            stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
            stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
            stripe("evt_4", kind, 3, session("cs_1", status, payment, Some(BEA), "bea@example.com")),
        ])
        .await;
        assert_eq!(owner(&app).await, by(ADA, "email"), "{kind}");
        assert_eq!(app.parked().await, ["sub_1 no_tier"], "{kind}");
        let members = app.rows("select user_id from public.user_revenue_metrics").await;
        assert_eq!(members, [json!({"user_id": ADA})], "{kind}");

        let paid = session("cs_1", "complete", "paid", Some(BEA), "bea@example.com");
        app.apply([stripe("evt_5", "checkout.session.async_payment_succeeded", 4, paid)]).await;
        assert_eq!(owner(&app).await, by(BEA, "client_reference_id"), "{kind}");
        assert_eq!(app.parked().await, ["cus_1 disputed_user", "sub_1 no_tier"], "never silent: {kind}");
        assert_rebuilt_alike(&app.store).await;
    }
}

#[tokio::test]
async fn contradicting_reference_is_flagged_until_resolved() {
    for by_event in [false, true] {
        let app = with_ada_and_bea().await;
        // Bea pays through a link on which she put Ada's id.
        let link = session("cs_1", "complete", "paid", Some(ADA), "BEA@example.com");
        app.apply([stripe("evt_1", "checkout.session.completed", 1, link)]).await;
        assert_eq!(owner(&app).await, by(ADA, "client_reference_id"));
        assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
        let detail = app.rows("select detail from ingest.parked").await[0]["detail"].to_string();
        assert!(detail.contains(&format!("belongs to {ADA}; also named: email {BEA}")), "{detail}");
        assert_eq!(app.store.recompute_due().await.unwrap(), 0, "nothing has changed");

        app.execute(&format!("update auth.users set email = 'moved@example.com' where id = '{BEA}'")).await;
        if by_event {
            let row_of = |email: &str| json!({"id": BEA, "email": email});
            let (now, before) = (row_of("moved@example.com"), row_of("bea@example.com"));
            app.apply([row("msg_1", "UPDATE", "auth.users", now, before)]).await;
        } else {
            assert_eq!(app.store.recompute_due().await.unwrap(), 1);
        }
        assert_eq!(app.parked().await, [""; 0], "by event: {by_event}");
        assert_rebuilt_alike(&app.store).await;
    }
}

#[tokio::test]
async fn weaker_contradiction_is_flagged_in_any_order() {
    let mut explicit = customer("cus_1", "bea@example.com");
    explicit["metadata"]["user_id"] = json!(ADA);
    let events = [
        stripe("evt_1", "customer.created", 0, customer("cus_1", "bea@example.com")),
        stripe("evt_2", "customer.updated", 1, explicit),
    ];
    for order in [[0, 1], [1, 0]] {
        let app = with_ada_and_bea().await;
        for at in order {
            app.apply([events[at].clone()]).await;
        }
        assert_eq!(owner(&app).await, by(ADA, "metadata"));
        assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
        assert_rebuilt_alike(&app.store).await;
    }
}

#[tokio::test]
async fn sso_users_match_only_if_configured() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "shared@example.com").await;
    app.execute(&format!(
        "insert into auth.users (instance_id, id, email, email_confirmed_at, is_sso_user)
         values ('00000000-0000-0000-0000-000000000000', '{BEA}', 'shared@example.com', now(), true),
                ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'alone@example.com', now(), true)"
    ))
    .await;
    let (shared, alone) = (customer("cus_1", "shared@example.com"), customer("cus_2", "alone@example.com"));
    app.apply([
        stripe("evt_1", "customer.created", 0, shared),
        stripe("evt_2", "customer.created", 0, alone),
    ])
    .await;
    let owners = "select id, user_id from ingest.customers order by id";
    let expected = [json!({"id": "cus_1", "user_id": ADA}), json!({"id": "cus_2", "user_id": null})];
    assert_eq!(app.rows(owners).await, expected);
    assert_eq!(app.parked().await, ["cus_2 unknown_user"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0);

    let trusting = with(&app, |config| config.matching.sso_email = true);
    assert_eq!(trusting.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, [""; 0]);
}

#[tokio::test]
async fn disabled_evidence_does_not_count_after_rebuild() {
    let app = with_ada_and_bea().await;
    let mut explicit = customer("cus_1", "bea@example.com");
    explicit["metadata"]["user_id"] = json!(ADA);
    let link = session("cs_1", "complete", "paid", Some(BEA), "bea@example.com");
    app.apply([
        stripe("evt_1", "customer.created", 0, explicit),
        stripe("evt_2", "checkout.session.completed", 1, link),
    ])
    .await;
    assert_eq!(owner(&app).await, by(ADA, "metadata"));
    for (words, expected, parked) in [
        ("reference,email", by(BEA, "client_reference_id"), ""),
        ("email", by(BEA, "email"), ""),
        ("metadata", by(ADA, "metadata"), ""),
        ("none", (json!(null), json!(null)), "cus_1 unknown_user"),
        ("metadata,reference,email", by(ADA, "metadata"), "cus_1 disputed_user"),
    ] {
        let store = with(&app, |config| config.matching = config.matching.by(words.split(',')).unwrap());
        rebuild::run(&store, false, &mut Progress::Silent, |_| true).await.unwrap();
        assert_eq!(owner(&app).await, expected, "{words}");
        let parked: Vec<&str> = Some(parked).filter(|it| !it.is_empty()).into_iter().collect();
        assert_eq!(app.parked().await, parked, "{words}");
        assert_eq!(store.recompute_due().await.unwrap(), 0, "{words}");
        assert_rebuilt_alike(&store).await;
    }
}
