//! Payments in every order of events, with pre-existing rows of the application.

use memberflow::money::decimals;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use crate::support::app::{BEGIN, NOW, TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::orders::orders;

const ADA: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);

async fn with_ada() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply([stripe("evt_ada", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    app
}

fn charge(id: &str, customer: Option<&str>, intent: &str, amount: i64) -> Value {
    json!({
        "id": id, "object": "charge", "created": BEGIN + 5, "customer": customer, "currency": "usd",
        "amount": amount, "amount_captured": amount, "captured": true, "status": "succeeded",
        "payment_intent": intent
    })
}

fn paid_by(invoice: &str, intent: &str) -> Value {
    json!({
        "id": format!("inpay_{invoice}_{intent}"), "object": "invoice_payment", "invoice": invoice, "status": "paid",
        "amount_paid": 1000, "payment": {"type": "payment_intent", "payment_intent": intent},
        "status_transitions": {"paid_at": BEGIN + 10}
    })
}

fn refund(id: &str, charge: &str, amount: i64, status: &str) -> Value {
    json!({
        "id": id, "object": "refund", "created": BEGIN + 50, "currency": "usd", "amount": amount, "charge": charge,
        "status": status
    })
}

fn dispute(status: &str, movements: &[i64]) -> Value {
    let movement = |(number, amount): (usize, &i64)| json!({"id": format!("txn_{number}"), "amount": amount, "currency": "usd", "fee": 1500});
    json!({
        "id": "dp_1", "object": "dispute", "created": BEGIN + 60, "charge": "ch_1", "currency": "usd", "amount": 1000,
        "status": status, "balance_transactions": movements.iter().enumerate().map(movement).collect::<Vec<_>>()
    })
}

async fn revenue(app: &TestApp) -> Vec<Value> {
    app.rows("select total_spent, ltv from public.user_revenue_metrics").await
}

/// Empties everything except the customer.
async fn forget_payments(app: &TestApp) {
    app.empty(&[
        "ingest.inbox",
        "ingest.stripe_facts",
        "ingest.payments",
        "ingest.stripe_links",
        "ingest.customer_revenue",
        "public.payment_history",
    ])
    .await;
}

#[tokio::test]
async fn invoice_payment_counts_once_in_any_order() {
    let events = [
        stripe("evt_1", "charge.succeeded", 1, charge("ch_1", Some("cus_1"), "pi_1", 1000)),
        stripe("evt_2", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
        stripe("evt_3", "invoice_payment.paid", 3, paid_by("in_1", "pi_1")),
        stripe("evt_4", "refund.created", 4, refund("re_1", "ch_1", 300, "pending")),
    ];
    let app = with_ada().await;
    let mut id = None;
    for order in orders(&events) {
        forget_payments(&app).await;
        for event in order {
            app.apply([event]).await;
        }
        let rows = app
            .rows(
                "select id, stripe_invoice_id, stripe_payment_intent_id, amount, amount_refunded
                 from public.payment_history",
            )
            .await;
        let expected = json!({
            "id": rows[0]["id"], "stripe_invoice_id": "in_1", "stripe_payment_intent_id": "pi_1", "amount": 1000,
            "amount_refunded": 300
        });
        assert_eq!(rows, [expected]);
        assert_eq!(id.get_or_insert(rows[0]["id"].clone()), &rows[0]["id"], "the same id in every order");
        assert_eq!(revenue(&app).await, [json!({"total_spent": 1000, "ltv": 700})]);
    }
}

#[tokio::test]
async fn preexisting_row_is_adopted_in_any_order() {
    let events = [
        stripe("evt_1", "charge.succeeded", 1, charge("ch_1", Some("cus_1"), "pi_1", 1000)),
        stripe("evt_2", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
        stripe("evt_3", "invoice_payment.paid", 3, paid_by("in_1", "pi_1")),
    ];
    let app = with_ada().await;
    for order in orders(&events) {
        forget_payments(&app).await;
        // Written by the application's own code: it knew the payment intent alone.
        let row = Uuid::from_u128(77);
        app.execute(&format!(
            "insert into public.payment_history (id, user_id, stripe_payment_intent_id, amount, status, metadata)
             values ('{row}', '{ADA}', 'pi_1', 999, 'succeeded', '{{\"cart\": 5}}')"
        ))
        .await;
        let kinds: Vec<String> = order.iter().map(|event| event.event_type.clone()).collect();
        for event in order {
            app.apply([event]).await;
        }
        let rows = app
            .rows("select id, stripe_invoice_id, stripe_payment_intent_id, amount, metadata from public.payment_history")
            .await;
        let expected = json!({
            "id": row, "stripe_invoice_id": "in_1", "stripe_payment_intent_id": "pi_1", "amount": 1000,
            "metadata": {"cart": 5}
        });
        assert_eq!(rows, [expected], "{kinds:?}");
    }
}

#[tokio::test]
async fn two_preexisting_rows_of_a_payment_are_merged() {
    let app = with_ada().await;
    app.execute(&format!(
        "insert into public.payment_history (user_id, stripe_payment_intent_id, stripe_invoice_id, amount, status)
         values ('{ADA}', 'pi_1', null, 1000, 'succeeded'), ('{ADA}', null, 'in_1', 1000, 'succeeded')"
    ))
    .await;
    app.apply([stripe("evt_2", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000))]).await;
    app.apply([stripe("evt_3", "invoice_payment.paid", 3, paid_by("in_1", "pi_1"))]).await;
    let rows = app
        .rows("select stripe_invoice_id, stripe_payment_intent_id, amount from public.payment_history")
        .await;
    let one = json!({"stripe_invoice_id": "in_1", "stripe_payment_intent_id": "pi_1", "amount": 1000});
    assert_eq!(rows, [one]);
}

#[tokio::test]
async fn referenced_row_does_not_block_others() {
    let app = with_ada().await;
    app.execute("create table public.receipts (payment uuid references public.payment_history (id))").await;
    app.apply([stripe("evt_1", "charge.succeeded", 1, charge("ch_1", Some("cus_1"), "pi_1", 1000))]).await;
    app.execute("insert into public.receipts select id from public.payment_history").await;
    app.apply([
        stripe("evt_2", "invoice_payment.paid", 3, paid_by("in_1", "pi_1")),
        stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    assert_eq!(revenue(&app).await, [json!({"total_spent": 1000, "ltv": 1000})]);
    let invoiced = app
        .rows("select stripe_payment_intent_id from public.payment_history where stripe_invoice_id = 'in_1'")
        .await;
    assert_eq!(invoiced, [json!({"stripe_payment_intent_id": "pi_1"})]);
}

#[tokio::test]
async fn invoices_can_swap_payment_intents_in_a_batch() {
    let app = with_ada().await;
    let old_shape = |invoice: &str, intent: &str| {
        let mut object = paid_invoice(invoice, "cus_1", 1000);
        object["payment_intent"] = json!(intent);
        object
    };
    app.apply([
        stripe("evt_1", "invoice.paid", 1, old_shape("in_1", "pi_1")),
        stripe("evt_2", "invoice.paid", 1, old_shape("in_2", "pi_2")),
    ])
    .await;
    app.apply([
        stripe("evt_3", "invoice.updated", 2, old_shape("in_1", "pi_2")),
        stripe("evt_4", "invoice.updated", 2, old_shape("in_2", "pi_1")),
    ])
    .await;
    let rows = app
        .rows("select stripe_invoice_id as i, stripe_payment_intent_id as p from public.payment_history order by 1")
        .await;
    assert_eq!(rows, [json!({"i": "in_1", "p": "pi_2"}), json!({"i": "in_2", "p": "pi_1"})]);
}

#[tokio::test]
async fn guest_payment_of_a_customer_counts_once() {
    let guest = stripe("evt_1", "charge.succeeded", 1, charge("ch_1", None, "pi_1", 1000));
    let known = stripe("evt_2", "charge.updated", 2, charge("ch_1", Some("cus_1"), "pi_1", 1000));
    for order in [[guest.clone(), known.clone()], [known, guest]] {
        let app = with_ada().await;
        for event in order {
            app.apply([event]).await;
        }
        let sums = app.rows("select customer_id, collected from ingest.customer_revenue").await;
        assert_eq!(sums, [json!({"customer_id": "cus_1", "collected": 1000})]);
        assert_eq!(revenue(&app).await, [json!({"total_spent": 1000, "ltv": 1000})]);
        assert_eq!(app.parked().await, [""; 0], "the guest is forgotten");
        assert_eq!(app.rows("select id from ingest.customers").await, [json!({"id": "cus_1"})]);
    }
}

#[tokio::test]
async fn disputed_amount_counts_until_dispute_is_won() {
    let app = with_ada().await;
    app.apply([stripe("evt_1", "charge.succeeded", 1, charge("ch_1", Some("cus_1"), "pi_1", 1000))]).await;
    let steps = [
        ("warning_needs_response", &[][..], 1000),
        ("needs_response", &[][..], 0),
        ("under_review", &[-1000][..], 0),
        ("under_review", &[-1000, 400][..], 400),
        ("lost", &[-1000][..], 0),
        ("won", &[-1000][..], 1000),
    ];
    for (second, (status, movements, ltv)) in (10_i64..).zip(steps) {
        let id = format!("evt_{second}");
        app.apply([stripe(&id, "charge.dispute.updated", second, dispute(status, movements))]).await;
        assert_eq!(revenue(&app).await, [json!({"total_spent": 1000, "ltv": ltv})], "{status} {movements:?}");
    }
}

#[tokio::test]
async fn refunds_count_in_any_order_with_their_charge() {
    let app = with_ada().await;
    app.apply([
        stripe("evt_1", "refund.created", 3, refund("re_1", "ch_1", 300, "pending")),
        stripe("evt_2", "refund.created", 3, refund("re_2", "ch_1", 200, "succeeded")),
    ])
    .await;
    app.apply([stripe("evt_3", "charge.succeeded", 1, charge("ch_1", Some("cus_1"), "pi_1", 1000))]).await;
    assert_eq!(revenue(&app).await, [json!({"total_spent": 1000, "ltv": 500})]);
    app.apply([stripe("evt_4", "refund.failed", 4, refund("re_1", "ch_1", 300, "failed"))]).await;
    assert_eq!(revenue(&app).await, [json!({"total_spent": 1000, "ltv": 800})]);
    let row = app.rows("select amount, amount_refunded from public.payment_history").await;
    assert_eq!(row, [json!({"amount": 1000, "amount_refunded": 200})]);
}

#[tokio::test]
async fn currencies_are_never_added_up() {
    let app = with_ada().await;
    let mut yen = paid_invoice("in_jpy", "cus_1", 5000);
    yen["currency"] = json!("jpy");
    app.apply([
        stripe("evt_1", "invoice.paid", 1, paid_invoice("in_usd", "cus_1", 1000)),
        stripe("evt_2", "invoice.paid", 2, yen),
    ])
    .await;
    let each = app.rows("select currency, total_spent from public.user_revenue_by_currency order by 1").await;
    assert_eq!(
        each,
        [json!({"currency": "jpy", "total_spent": 5000}), json!({"currency": "usd", "total_spent": 1000})]
    );
    let main = app.rows("select currency, total_spent from public.user_revenue_metrics").await;
    assert_eq!(main, [json!({"currency": "jpy", "total_spent": 5000})]);
}

#[tokio::test]
async fn invoice_status_follows_last_attempt_and_end() {
    let app = with_ada().await;
    let invoice = |status: &str, attempts: i64, paid: i64| {
        let mut object = paid_invoice("in_1", "cus_1", paid);
        object["status"] = json!(status);
        object["amount_due"] = json!(1000);
        object["attempted"] = json!(attempts > 0);
        object["attempt_count"] = json!(attempts);
        object
    };
    let steps = [
        ("invoice.created", invoice("draft", 0, 0), None),
        ("invoice.finalized", invoice("open", 0, 0), Some(("open", 0))),
        ("invoice.payment_failed", invoice("open", 1, 0), Some(("failed", 0))),
        ("invoice.marked_uncollectible", invoice("uncollectible", 1, 0), Some(("uncollectible", 0))),
        ("invoice.paid", invoice("paid", 2, 1000), Some(("succeeded", 1000))),
        ("invoice.voided", invoice("void", 2, 0), Some(("void", 0))),
    ];
    for (second, (kind, object, expected)) in (1_i64..).zip(steps) {
        app.apply([stripe(&format!("evt_{second}"), kind, second, object)]).await;
        let rows = app.rows("select status, amount from public.payment_history").await;
        let expected: Vec<Value> =
            expected.iter().map(|(status, amount)| json!({"status": status, "amount": amount})).collect();
        assert_eq!(rows, expected, "{kind}");
    }
}

#[tokio::test]
async fn too_large_payment_is_shown_after_widening() {
    let app = with_ada().await;
    app.execute("alter table public.payment_history alter column amount type int4").await;
    app.apply([stripe("evt_1", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 3_000_000_000))]).await;
    assert_eq!(app.parked().await, ["in_1 amount_out_of_range"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0);

    app.execute("alter table public.payment_history alter column amount type int8").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, [""; 0]);
    let rows = app.rows("select amount from public.payment_history").await;
    assert_eq!(rows, [json!({"amount": 3_000_000_000_i64})]);
}

#[tokio::test]
async fn sql_and_program_know_the_same_minor_units_of_every_currency() {
    let app = TestApp::begin().await;
    let letters = || ('a'..='z').map(String::from);
    let codes: Vec<String> = letters()
        .flat_map(|first| {
            letters().flat_map(move |second| {
                letters().map({
                    let first = first.clone();
                    move |third| format!("{first}{second}{third}")
                })
            })
        })
        .collect();
    let in_sql: Vec<i32> = sqlx::query_scalar(
        "select ingest.minor_units_in(code, 'numeric')::integer from unnest($1::text[]) with ordinality as c (code, n) order by n",
    )
    .bind(&codes)
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    for (code, units) in codes.iter().zip(in_sql) {
        assert_eq!(units, 10_i32.pow(u32::try_from(decimals(code)).unwrap()), "{code}");
    }
}

#[tokio::test]
async fn member_without_any_sum_is_derived_completely() {
    let app = TestApp::begin().await;
    let user = Uuid::from_u128(1);
    app.sign_up(user, "ann@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    let mut trying = customer("cus_1", "ann@example.com");
    trying["metadata"] = json!({"user_id": user});
    let trial = subscription("sub_1", "cus_1", "trialing");
    app.apply([
        stripe("evt_1", "customer.created", 1, trying),
        stripe("evt_2", "customer.subscription.created", 2, trial),
    ])
    .await;
    let mut open = paid_invoice("in_1", "cus_1", 0);
    open["status"] = json!("open");
    let later = app.store_at(NOW + Duration::days(40));
    assert_eq!(later.apply(&[stripe("evt_3", "invoice.finalized", 3, open)]).await.unwrap().new, 1);
    let derived = app
        .rows(
            "select r.currency, r.last_calculated_at = a.last_calculated_at as is_as_of_one_moment,
                    a.last_calculated_at = '2026-12-30 12:00Z' as is_of_now
             from user_revenue_metrics r join user_activity_metrics a using (user_id)",
        )
        .await;
    assert_eq!(derived, [json!({"currency": "usd", "is_as_of_one_moment": true, "is_of_now": true})]);
}
