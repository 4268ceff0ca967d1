//! Payments that API versions report differently: refunds only as an amount, partial captures, bank debits,
//! out-of-band payments, invoices created by Checkout afterwards. Each in every order, doubled, and after a
//! rebuild.

use memberflow::envelope::Envelope;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{BEGIN, TestApp, customer, paid_invoice, stripe};
use crate::support::orders::orders;

const ADA: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);
const DAY: i64 = 86_400;

/// What the tables must say: invoice, intent, status, amount and refunds of each payment, then the sums.
struct Right {
    payments: &'static [(&'static str, &'static str, &'static str, i64, i64)],
    spent: i64,
    ltv: i64,
}

async fn with_ada() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply([stripe("evt_ada", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    app
}

async fn check(app: &TestApp, right: &Right, order: &str) {
    let rows = app
        .rows(
            "select coalesce(stripe_invoice_id, '') as invoice, coalesce(stripe_payment_intent_id, '') as intent,
                 status, amount, amount_refunded
             from public.payment_history order by 1, 2",
        )
        .await;
    let payment = |(invoice, intent, status, amount, refunded): &(&str, &str, &str, i64, i64)| json!({"invoice": invoice, "intent": intent, "status": status, "amount": amount, "amount_refunded": refunded});
    assert_eq!(rows, right.payments.iter().map(payment).collect::<Vec<_>>(), "{order}");
    let sums = app.rows("select total_spent, ltv from public.user_revenue_metrics").await;
    assert_eq!(sums, [json!({"total_spent": right.spent, "ltv": right.ltv})], "{order}");
}

/// As if nothing but the customer and whose it is had ever been reported.
async fn forget_payments(app: &TestApp) {
    app.empty(&[
        "ingest.payments",
        "ingest.stripe_links",
        "ingest.customer_revenue",
        "public.payment_history",
    ])
    .await;
    for statement in [
        "delete from ingest.stripe_facts where id <> 'cus_1'",
        "delete from ingest.inbox where event_id <> 'evt_ada' and event_type <> 'matched'",
    ] {
        app.execute(statement).await;
    }
}

/// One by one in every order, all at once and twice, and rebuilt.
async fn is_right_in_every_order(app: &TestApp, events: &[Envelope], right: &Right) {
    for order in orders(events) {
        forget_payments(app).await;
        let names: Vec<String> =
            order.iter().map(|it| format!("{} {}", it.event_id, it.event_type)).collect();
        for event in order {
            app.apply([event]).await;
        }
        check(app, right, &names.join(", ")).await;
    }
    forget_payments(app).await;
    app.apply([events, events].concat()).await;
    app.apply(events.to_vec()).await;
    check(app, right, "all at once, and again").await;
    let mut differing = Vec::new();
    let show = |difference| {
        differing.push(difference);
        true
    };
    rebuild::run(&app.store, true, &mut Progress::Silent, show).await.unwrap();
    assert_eq!(differing, []);
    app.execute("update public.payment_history set amount = 1, amount_refunded = 1, status = 'void'").await;
    rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    check(app, right, "rebuilt").await;
}

fn with(mut object: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

fn charge(id: &str, amount: i64, changes: Value) -> Value {
    let whole = json!({
        "id": id, "object": "charge", "created": BEGIN + 5, "customer": "cus_1", "currency": "usd", "amount": amount,
        "amount_captured": amount, "amount_refunded": 0, "captured": true, "status": "succeeded",
        "payment_intent": format!("pi_{id}")
    });
    with(whole, changes)
}

fn refund(id: &str, charge: &str, amount: i64, second: i64, status: &str) -> Value {
    json!({
        "id": id, "object": "refund", "created": BEGIN + second, "currency": "usd", "amount": amount, "charge": charge,
        "payment_intent": format!("pi_{charge}"), "status": status
    })
}

/// An open invoice of which `paid` has been paid in so many attempts.
fn open(attempts: i64, paid: i64) -> Value {
    with(
        paid_invoice("in_1", "cus_1", paid),
        json!({"status": "open", "amount_due": 2900, "attempted": attempts > 0, "attempt_count": attempts,
            "status_transitions": {"paid_at": null}}),
    )
}

/// A refund in versions between 2022-11-15 and 2024-09-30: the charge, without a list.
#[tokio::test]
async fn refund_reported_by_charge_counts_once() {
    let app = with_ada().await;
    let first = charge("ch_1", 5000, json!({"amount_refunded": 2000}));
    let both = charge("ch_1", 5000, json!({"amount_refunded": 2500}));
    let events = [
        stripe("evt_1", "charge.succeeded", 5, charge("ch_1", 5000, json!({}))),
        stripe("evt_2", "charge.refunded", 6 * DAY, first),
        stripe("evt_3", "charge.refunded", 7 * DAY, both),
        // The bank's reference number has come: the same refund, now as an object.
        stripe("evt_4", "charge.refund.updated", 8 * DAY, refund("re_1", "ch_1", 2000, 6 * DAY, "succeeded")),
    ];
    let right = Right { payments: &[("", "pi_ch_1", "succeeded", 5000, 2500)], spent: 5000, ltv: 2500 };
    is_right_in_every_order(&app, &events, &right).await;
}

#[tokio::test]
async fn refund_of_an_invoices_charge_is_the_invoices() {
    let app = with_ada().await;
    let invoice = with(
        paid_invoice("in_1", "cus_1", 2900),
        json!({"payment_intent": "pi_ch_1", "charge": "ch_1", "paid_out_of_band": false}),
    );
    let of_invoice = |refunded| charge("ch_1", 2900, json!({"invoice": "in_1", "amount_refunded": refunded}));
    let events = [
        stripe("evt_1", "invoice.paid", 6, invoice),
        stripe("evt_2", "charge.succeeded", 5, of_invoice(0)),
        stripe("evt_3", "charge.refunded", 6 * DAY, of_invoice(2900)),
    ];
    let right = Right { payments: &[("in_1", "pi_ch_1", "succeeded", 2900, 2900)], spent: 2900, ltv: 0 };
    is_right_in_every_order(&app, &events, &right).await;
}

#[tokio::test]
async fn refund_that_fails_later_does_not_count() {
    let app = with_ada().await;
    let refunded = |amount| charge("ch_1", 5000, json!({"amount_refunded": amount}));
    let events = [
        stripe("evt_1", "charge.refunded", 6 * DAY, refunded(2000)),
        stripe("evt_2", "charge.refund.updated", 9 * DAY, refund("re_1", "ch_1", 2000, 6 * DAY, "failed")),
    ];
    let right = Right { payments: &[("", "pi_ch_1", "succeeded", 5000, 0)], spent: 5000, ltv: 5000 };
    is_right_in_every_order(&app, &events, &right).await;

    // A later report leaves the failed refund out; what it says is not lowered once more.
    let later = stripe("evt_3", "charge.refunded", 12 * DAY, refunded(1500));
    let reminder = refund("re_1", "ch_1", 2000, 6 * DAY, "failed");
    let reminder = stripe("evt_4", "charge.refund.updated", 15 * DAY, reminder);
    let events = [&events[..], &[later, reminder]].concat();
    let right = Right { payments: &[("", "pi_ch_1", "succeeded", 5000, 1500)], spent: 5000, ltv: 3500 };
    is_right_in_every_order(&app, &events, &right).await;
}

#[tokio::test]
async fn uncaptured_part_is_neither_money_nor_refund() {
    let app = with_ada().await;
    let held = charge("ch_1", 12_950, json!({"captured": false, "amount_captured": 0}));
    let captured =
        |refunded| charge("ch_1", 12_950, json!({"amount_captured": 7950, "amount_refunded": refunded}));
    let rest = refund("re_rest", "ch_1", 5000, DAY, "succeeded");
    let events = [
        stripe("evt_1", "charge.succeeded", 5, held),
        stripe("evt_2", "charge.captured", DAY, captured(5000)),
        stripe("evt_3", "charge.refund.updated", DAY + 1, rest.clone()),
    ];
    let right = Right { payments: &[("", "pi_ch_1", "succeeded", 7950, 0)], spent: 7950, ltv: 7950 };
    is_right_in_every_order(&app, &events, &right).await;

    // Listed in the charge, with a real refund of the same size next to it.
    let real = refund("re_1", "ch_1", 5000, 9 * DAY, "succeeded");
    let listed = with(captured(10_000), json!({"refunds": {"data": [real, rest]}}));
    let events = [&events[1..], &[stripe("evt_4", "charge.refunded", 9 * DAY, listed)]].concat();
    let right = Right { payments: &[("", "pi_ch_1", "succeeded", 7950, 5000)], spent: 7950, ltv: 2950 };
    is_right_in_every_order(&app, &events, &right).await;
}

/// Before 2020 no field said how much was captured.
#[tokio::test]
async fn old_partial_capture_is_read_from_capture_event() {
    let app = with_ada().await;
    let of_old = |refunded: i64, refunds: Value| {
        charge(
            "ch_1",
            1000,
            json!({"amount_captured": null, "amount_refunded": refunded, "payment_intent": null,
            "refunds": {"data": refunds}}),
        )
    };
    let rest = json!({"id": "re_rest", "object": "refund", "created": BEGIN + DAY, "currency": "usd", "amount": 400});
    let real = json!({"id": "re_1", "object": "refund", "created": BEGIN + 2 * DAY, "currency": "usd", "amount": 100});
    let events = [
        stripe("evt_1", "charge.captured", DAY, of_old(400, json!([rest]))),
        stripe("evt_2", "charge.refunded", 2 * DAY, of_old(500, json!([real, rest]))),
    ];
    let right = Right { payments: &[("", "", "succeeded", 600, 100)], spent: 600, ltv: 500 };
    is_right_in_every_order(&app, &events, &right).await;
}

#[tokio::test]
async fn bank_debit_is_open_until_it_succeeds_or_fails() {
    let app = with_ada().await;
    let pending = charge("ch_1", 2900, json!({"status": "pending", "created": BEGIN + 10}));
    let under_way = [
        stripe("evt_1", "invoice.finalized", 5, open(0, 0)),
        stripe("evt_2", "charge.pending", 11, pending),
        stripe("evt_3", "invoice.updated", 12, open(1, 0)),
    ];
    let right = Right { payments: &[("in_1", "", "open", 0, 0)], spent: 0, ltv: 0 };
    is_right_in_every_order(&app, &under_way, &right).await;

    let failed = [
        stripe(
            "evt_4",
            "charge.failed",
            4 * DAY,
            charge("ch_1", 2900, json!({"status": "failed", "captured": false})),
        ),
        stripe("evt_5", "invoice.payment_failed", 4 * DAY, open(1, 0)),
    ];
    let right = Right { payments: &[("in_1", "", "failed", 0, 0)], spent: 0, ltv: 0 };
    is_right_in_every_order(&app, &[&under_way[1..], &failed].concat(), &right).await;

    // The second attempt is under way, then it succeeds.
    let again = stripe("evt_6", "invoice.updated", 6 * DAY, open(2, 0));
    let right = Right { payments: &[("in_1", "", "open", 0, 0)], spent: 0, ltv: 0 };
    is_right_in_every_order(&app, &[under_way[2].clone(), failed[1].clone(), again.clone()], &right).await;
    let paid = with(paid_invoice("in_1", "cus_1", 2900), json!({"attempt_count": 2}));
    let linked = json!({"id": "inpay_1", "object": "invoice_payment", "invoice": "in_1", "status": "paid",
        "amount_paid": 2900, "payment": {"type": "payment_intent", "payment_intent": "pi_ch_2"},
        "status_transitions": {"paid_at": BEGIN + 10 * DAY}});
    let events = [
        failed[1].clone(),
        again,
        stripe("evt_7", "invoice.paid", 10 * DAY, paid),
        stripe("evt_8", "invoice_payment.paid", 10 * DAY, linked),
    ];
    let right = Right { payments: &[("in_1", "pi_ch_2", "succeeded", 2900, 0)], spent: 2900, ltv: 2900 };
    is_right_in_every_order(&app, &events, &right).await;
}

#[tokio::test]
async fn one_off_bank_debit_counts_once_it_succeeds() {
    let app = with_ada().await;
    let debit = |status: &str| charge("ch_1", 2900, json!({"status": status}));
    let events = [
        stripe("evt_1", "charge.pending", 5, debit("pending")),
        stripe("evt_2", "charge.succeeded", 4 * DAY, debit("succeeded")),
    ];
    let right = Right { payments: &[("", "pi_ch_1", "succeeded", 2900, 0)], spent: 2900, ltv: 2900 };
    is_right_in_every_order(&app, &events, &right).await;
    let events = [events[0].clone(), stripe("evt_3", "charge.failed", 4 * DAY, debit("failed"))];
    is_right_in_every_order(&app, &events, &Right { payments: &[], spent: 0, ltv: 0 }).await;
}

#[tokio::test]
async fn invoice_paid_in_part_is_open_with_the_part() {
    let app = with_ada().await;
    let part = charge("ch_1", 900, json!({"invoice": "in_1", "created": BEGIN + 6 * DAY}));
    let events = [
        stripe("evt_1", "invoice.payment_failed", 5 * DAY, open(1, 0)),
        stripe("evt_2", "charge.succeeded", 6 * DAY, part),
        stripe("evt_3", "invoice.updated", 6 * DAY, open(1, 900)),
    ];
    let right = Right { payments: &[("in_1", "pi_ch_1", "open", 900, 0)], spent: 900, ltv: 900 };
    is_right_in_every_order(&app, &events, &right).await;
    let rest = stripe("evt_4", "invoice.payment_failed", 8 * DAY, open(2, 900));
    let right = Right { payments: &[("in_1", "pi_ch_1", "failed", 900, 0)], spent: 900, ltv: 900 };
    is_right_in_every_order(&app, &[&events[..], &[rest]].concat(), &right).await;
}

#[tokio::test]
async fn invoice_paid_out_of_band_counts_what_was_due() {
    let app = with_ada().await;
    let by_hand = with(
        paid_invoice("in_1", "cus_1", 0),
        json!({"amount_due": 9900, "paid": true, "paid_out_of_band": true, "payment_intent": "pi_1", "charge": null}),
    );
    // Since 2025-03-31 the amount paid includes it, and nothing says how it was paid.
    let newer = with(paid_invoice("in_1", "cus_1", 9900), json!({"metadata": {"note": "cheque"}}));
    let finalized = with(open(0, 0), json!({"amount_due": 9900, "payment_intent": "pi_1"}));
    let events = [
        stripe("evt_1", "invoice.finalized", 5, finalized),
        stripe("evt_2", "invoice.paid", 3 * DAY, by_hand),
        stripe("evt_3", "invoice.updated", 5 * DAY, newer),
    ];
    let right = Right { payments: &[("in_1", "", "succeeded", 9900, 0)], spent: 9900, ltv: 9900 };
    is_right_in_every_order(&app, &events[..2], &right).await;
    is_right_in_every_order(&app, &events, &right).await;
    is_right_in_every_order(&app, &events[2..], &right).await;
}

#[tokio::test]
async fn invoice_made_by_checkout_has_the_payment() {
    let app = with_ada().await;
    let session = |invoice: Value| {
        json!({"id": "cs_1", "object": "checkout.session", "created": BEGIN, "currency": "usd", "customer": "cus_1",
            "invoice": invoice, "invoice_creation": {"enabled": true}, "mode": "payment", "status": "complete",
            "payment_intent": "pi_ch_1", "payment_status": "paid", "subscription": null, "metadata": {},
            "client_reference_id": ADA, "customer_details": {"email": "ada@example.com"}})
    };
    let invoice = with(paid_invoice("in_1", "cus_1", 49_900), json!({"attempt_count": 0, "parent": null}));
    let refunded = charge("ch_1", 49_900, json!({"amount_refunded": 900}));
    let events = [
        stripe("evt_1", "charge.succeeded", 5, charge("ch_1", 49_900, json!({}))),
        stripe("evt_2", "invoice.paid", 8, invoice),
        stripe("evt_3", "checkout.session.completed", 8, session(json!("in_1"))),
        stripe("evt_4", "charge.refunded", DAY, refunded),
    ];
    let right =
        Right { payments: &[("in_1", "pi_ch_1", "succeeded", 49_900, 900)], spent: 49_900, ltv: 49_000 };
    is_right_in_every_order(&app, &events, &right).await;

    // A session that no longer names the invoice takes nothing back.
    let later = stripe("evt_5", "checkout.session.async_payment_succeeded", DAY, session(Value::Null));
    is_right_in_every_order(&app, &[&events[1..], &[later]].concat(), &right).await;
}
