//! The owner of a customer by each kind of evidence; everything moves with the customer.

use memberflow::envelope::Envelope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, customer, paid_invoice, row, stripe, subscription};

const ADA: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);
const BEA: Uuid = Uuid::from_u128(0xbbbb_bbbb_bbbb_4bbb_8bbb_bbbb_bbbb_bbbb);
const NOBODY: Uuid = Uuid::from_u128(0xcccc_cccc_cccc_4ccc_8ccc_cccc_cccc_cccc);

async fn with_two_users() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.sign_up(BEA, "bea@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app
}

fn named(mut object: Value, user: &str) -> Value {
    object["metadata"]["user_id"] = json!(user);
    object
}

fn checkout(id: &str, customer: Option<&str>, reference: Option<Uuid>) -> Value {
    json!({
        "id": id, "object": "checkout.session", "created": 1_767_225_600, "customer": customer,
        "client_reference_id": reference, "metadata": {}, "payment_status": "paid", "mode": "payment"
    })
}

/// A customer with a subscription and a payment, known by the address of Ada.
fn of_ada() -> [Envelope; 3] {
    [
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ADA@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
    ]
}

/// Whose each row is, in every table that shows one.
async fn owners(app: &TestApp) -> Vec<Value> {
    app.rows(
        "select user_id, 'subscription' as of from public.customer_subscriptions
         union all select user_id, 'payment' from public.payment_history
         union all select user_id, 'revenue' from public.user_revenue_metrics
         union all select user_id, 'currency' from public.user_revenue_by_currency
         union all select user_id, 'movement' from public.mrr_movements where superseded_at is null
         order by 2",
    )
    .await
}

fn all_of(user: Value) -> Vec<Value> {
    let tables = ["currency", "movement", "payment", "revenue", "subscription"];
    tables.map(|table| json!({"user_id": user, "of": table})).to_vec()
}

#[tokio::test]
async fn stronger_evidence_moves_weaker_does_not() {
    let app = with_two_users().await;
    app.apply(of_ada()).await;
    assert_eq!(owners(&app).await, all_of(json!(ADA)), "by e-mail address");

    let reference = checkout("cs_1", Some("cus_1"), Some(BEA));
    app.apply([stripe("evt_4", "checkout.session.completed", 3, reference)]).await;
    assert_eq!(owners(&app).await, all_of(json!(BEA)), "by client_reference_id");

    let explicit = named(subscription("sub_1", "cus_1", "active"), &ADA.to_string().to_uppercase());
    app.apply([stripe("evt_5", "customer.subscription.updated", 4, explicit)]).await;
    assert_eq!(owners(&app).await, all_of(json!(ADA)), "by metadata");

    let other = checkout("cs_2", Some("cus_1"), Some(BEA));
    app.apply([stripe("evt_6", "checkout.session.completed", 5, other)]).await;
    assert_eq!(owners(&app).await, all_of(json!(ADA)), "weaker evidence came later");
    assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
}

#[tokio::test]
async fn upper_case_user_id_matches_later_user() {
    for by_event in [false, true] {
        let app = TestApp::begin().await;
        let explicit = named(subscription("sub_1", "cus_1", "active"), &ADA.to_string().to_uppercase());
        app.apply([stripe("evt_1", "customer.subscription.created", 1, explicit)]).await;
        app.sign_up(ADA, "ada@example.com").await;
        if by_event {
            app.apply([row("msg_1", "INSERT", "auth.users", json!({"id": ADA}), json!(null))]).await;
        } else {
            app.store.recompute_due().await.unwrap();
        }
        assert_eq!(app.parked().await, ["sub_1 no_tier"], "by event: {by_event}");
    }
}

#[tokio::test]
async fn customer_of_deleted_user_leaves_present_user() {
    for deleted_first in [false, true] {
        let app = with_two_users().await;
        let leave = [row("msg_1", "DELETE", "auth.users", json!(null), json!({"id": NOBODY}))];
        app.apply(leave).await;
        let explicit = named(customer("cus_1", "ada@example.com"), &NOBODY.to_string());
        let report = [stripe("evt_4", "customer.updated", 3, explicit)];
        let batches = if deleted_first {
            [report.to_vec(), of_ada().to_vec()]
        } else {
            [of_ada().to_vec(), report.to_vec()]
        };
        for batch in batches {
            app.apply(batch).await;
        }
        let left = owners(&app).await;
        assert_eq!(left, [json!({"user_id": null, "of": "movement"})], "deleted first: {deleted_first}");
        assert_eq!(app.parked().await, ["cus_1 user_gone"], "deleted first: {deleted_first}");
    }
}

#[tokio::test]
async fn shared_address_matches_when_one_user_is_left() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "shared@example.com").await;
    app.execute(&format!(
        "insert into auth.users (instance_id, id, email, email_confirmed_at, is_sso_user, created_at, updated_at)
         values (null, '{BEA}', 'Shared@example.com', now(), false, now(), now())"
    ))
    .await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "shared@example.com"))]).await;
    assert_eq!(app.parked().await, ["cus_1 ambiguous_email"]);

    app.execute(&format!("delete from auth.users where id = '{BEA}'")).await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, [""; 0]);
    let matched = app.rows("select user_id, matched_by from ingest.customers").await;
    assert_eq!(matched, [json!({"user_id": ADA, "matched_by": "email"})]);
}

#[tokio::test]
async fn address_match_stays_until_user_is_deleted() {
    let app = with_two_users().await;
    app.apply(of_ada()).await;
    app.execute(&format!("update auth.users set email = 'new@example.com' where id = '{ADA}'")).await;
    app.execute(&format!("update auth.users set email = 'ada@example.com' where id = '{BEA}'")).await;
    app.apply([stripe("evt_4", "customer.updated", 3, customer("cus_1", "ada@example.com"))]).await;
    assert_eq!(owners(&app).await, all_of(json!(ADA)));

    app.execute(&format!("delete from auth.users where id = '{ADA}'")).await;
    app.apply([row("msg_1", "DELETE", "auth.users", json!(null), json!({"id": ADA}))]).await;
    assert_eq!(owners(&app).await, all_of(json!(BEA)), "the address is somebody else's by now");
}

#[tokio::test]
async fn unconfirmed_address_is_not_evidence() {
    let app = with_two_users().await;
    app.execute("update auth.users set email_confirmed_at = null").await;
    app.apply(of_ada()).await;
    assert_eq!(app.parked().await, ["cus_1 unknown_user"]);
    app.execute("update auth.users set email_confirmed_at = now()").await;
    app.store.recompute_due().await.unwrap();
    assert_eq!(owners(&app).await, all_of(json!(ADA)));
}

#[tokio::test]
async fn conflicting_explicit_ids_newest_wins_and_is_flagged() {
    let app = with_two_users().await;
    let mut newer = named(subscription("sub_2", "cus_1", "active"), &BEA.to_string());
    newer["created"] = json!(1_767_225_700);
    let mut events = vec![
        stripe("evt_1", "customer.created", 0, named(customer("cus_1", "x@example.com"), &ADA.to_string())),
        stripe("evt_2", "customer.subscription.created", 5, newer),
    ];
    for _ in 0..2 {
        events.reverse();
        let app = with_two_users().await;
        for event in events.clone() {
            app.apply([event]).await;
        }
        let owner = app.rows("select user_id, matched_by from ingest.customers").await;
        assert_eq!(owner, [json!({"user_id": BEA, "matched_by": "metadata"})]);
        assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
        // Both have rows of their own, whoever was named first.
        let members = app.rows("select user_id from public.user_activity_metrics order by 1").await;
        assert_eq!(members.len(), 2);
    }
    drop(app);
}

#[tokio::test]
async fn unknown_user_id_counts_once_user_appears() {
    let app = with_two_users().await;
    let explicit = named(customer("cus_1", "ada@example.com"), &NOBODY.to_string());
    app.apply([stripe("evt_1", "customer.created", 0, explicit)]).await;
    assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
    assert_eq!(app.rows("select user_id from ingest.customers").await, [json!({"user_id": ADA})]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0, "nothing has changed");

    app.sign_up(NOBODY, "late@example.com").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.rows("select user_id from ingest.customers").await, [json!({"user_id": NOBODY})]);
    // The address is still Ada's.
    assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0);
}

#[tokio::test]
async fn guest_payment_matches_confirmed_checkout_address() {
    let app = with_two_users().await;
    let mut session = checkout("cs_1", None, None);
    session["payment_intent"] = json!("pi_1");
    session["customer_details"] = json!({"email": "Bea@example.com"});
    let charge = json!({
        "id": "ch_1", "object": "charge", "created": 1_767_225_610, "customer": null, "currency": "usd",
        "amount": 500, "amount_captured": 500, "captured": true, "status": "succeeded", "payment_intent": "pi_1"
    });
    app.apply([stripe("evt_1", "charge.succeeded", 1, charge)]).await;
    assert_eq!(app.parked().await, ["pi_1 unknown_user"]);
    app.apply([stripe("evt_2", "checkout.session.completed", 2, session)]).await;
    assert_eq!(app.parked().await, [""; 0]);
    let payments =
        app.rows("select user_id, amount, stripe_payment_intent_id from public.payment_history").await;
    assert_eq!(payments, [json!({"user_id": BEA, "amount": 500, "stripe_payment_intent_id": "pi_1"})]);
}

#[tokio::test]
async fn several_customers_of_one_user_add_up() {
    let app = with_two_users().await;
    for (number, status) in [(1, "active"), (2, "past_due")] {
        let (customer_id, subscription_id) = (format!("cus_{number}"), format!("sub_{number}"));
        app.apply([
            stripe(
                &format!("evt_{number}a"),
                "customer.created",
                0,
                customer(&customer_id, "ada@example.com"),
            ),
            stripe(
                &format!("evt_{number}b"),
                "customer.subscription.created",
                1,
                subscription(&subscription_id, &customer_id, status),
            ),
            stripe(
                &format!("evt_{number}c"),
                "invoice.paid",
                2,
                paid_invoice(&format!("in_{number}"), &customer_id, 1000),
            ),
        ])
        .await;
    }
    let metrics = "select mrr, total_spent, ltv, subscription_status from public.user_revenue_metrics";
    let both = json!({"mrr": 2000, "total_spent": 2000, "ltv": 2000, "subscription_status": "active"});
    assert_eq!(app.rows(metrics).await, [both]);
    let health = app.rows("select health_status from public.user_activity_metrics").await;
    assert_eq!(health, [json!({"health_status": "needs_attention"})]);
}

#[tokio::test]
async fn final_event_decides_owner_within_its_second() {
    let updated = named(subscription("sub_1", "cus_1", "active"), &BEA.to_string());
    let deleted = named(subscription("sub_1", "cus_1", "canceled"), &ADA.to_string());
    let updated = stripe("evt_9", "customer.subscription.updated", 5, updated);
    let deleted = stripe("evt_4", "customer.subscription.deleted", 5, deleted);
    for batches in [[updated.clone(), deleted.clone()], [deleted, updated]] {
        let app = with_two_users().await;
        app.apply([stripe(
            "evt_2",
            "customer.subscription.created",
            1,
            subscription("sub_1", "cus_1", "active"),
        )])
        .await;
        for batch in batches {
            app.apply([batch]).await;
        }
        let owner = app.rows("select user_id from public.customer_subscriptions").await;
        assert_eq!(owner, [json!({"user_id": ADA})]);
    }
}
