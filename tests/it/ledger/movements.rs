//! Histories with expected movements.

use uuid::Uuid;

use super::*;
use crate::support::app::customer;

const ANN: Uuid = Uuid::from_u128(0xa);
const BOB: Uuid = Uuid::from_u128(0xb);

/// The event of day 0 that says whose the customer is.
fn belongs_to(event: &str, second: i64, id: &str, user: Uuid) -> Envelope {
    let mut it = customer(id, "nobody@example.com");
    it["metadata"]["user_id"] = json!(user.to_string());
    stripe(event, "customer.updated", second, it)
}

async fn users(app: &TestApp) -> Vec<Value> {
    app.rows("select distinct user_id from public.mrr_movements order by 1").await
}

#[tokio::test]
async fn movements_are_recorded_without_a_user() {
    let app = TestApp::begin().await;
    app.apply([on(0, of("sub_1", "cus_1", "trialing", 1000))]).await;
    assert_eq!(current_movements(&app).await, Vec::<String>::new());
    app.apply([on(14, of("sub_1", "cus_1", "active", 1000))]).await;
    app.apply([on(20, of("sub_1", "cus_1", "active", 3000)), on(25, of("sub_2", "cus_1", "active", 500))])
        .await;
    app.apply([on(30, of("sub_1", "cus_1", "canceled", 3000))]).await;
    app.apply([on(31, of("sub_2", "cus_1", "paused", 500))]).await;
    app.apply([on(32, of("sub_2", "cus_1", "active", 500))]).await;
    assert_eq!(
        current_movements(&app).await,
        [
            "cus_1 14 new 1000 1000 sub_1_14",
            "cus_1 20 expansion 2000 3000 sub_1_20",
            "cus_1 25 expansion 500 3500 sub_2_25",
            "cus_1 30 contraction -3000 500 sub_1_30",
            "cus_1 31 churn -500 0 sub_2_31",
            "cus_1 32 reactivation 500 500 sub_2_32",
        ]
    );
    assert_adds_up(&app, "at the end").await;
    assert_eq!(users(&app).await, [json!({"user_id": null})]);
}

#[tokio::test]
async fn late_event_rewrites_only_later_movements() {
    let app = TestApp::begin().await;
    app.apply([on(1, of("sub_1", "cus_1", "active", 1000)), on(9, of("sub_1", "cus_1", "active", 3000))])
        .await;
    app.apply([on(5, of("sub_1", "cus_1", "active", 2000))]).await;
    assert_eq!(
        current_movements(&app).await,
        [
            "cus_1 1 new 1000 1000 sub_1_1",
            "cus_1 5 expansion 1000 2000 sub_1_5",
            "cus_1 9 expansion 1000 3000 sub_1_9",
        ]
    );
    app.apply([on(0, of("sub_1", "cus_1", "active", 1000))]).await;
    assert_eq!(
        current_movements(&app).await,
        [
            "cus_1 0 new 1000 1000 sub_1_0",
            "cus_1 5 expansion 1000 2000 sub_1_5",
            "cus_1 9 expansion 1000 3000 sub_1_9",
        ]
    );
    let superseded = app
        .rows("select cause_event_id as cause from public.mrr_movements where superseded_at is not null order by id")
        .await;
    assert_eq!(superseded, [json!({"cause": "evt_sub_1_1"}), json!({"cause": "evt_sub_1_9"})]);
    assert_adds_up(&app, "at the end").await;
}

#[tokio::test]
async fn an_event_that_changes_nothing_writes_nothing() {
    let app = TestApp::begin().await;
    app.apply([on(1, of("sub_1", "cus_1", "active", 1000))]).await;
    let before = app.rows("select * from public.mrr_movements").await;
    app.apply([
        on(31, of("sub_1", "cus_1", "active", 1000)),
        on(0, of("sub_1", "cus_1", "incomplete", 1000)),
    ])
    .await;
    assert_eq!(app.rows("select * from public.mrr_movements").await, before);
}

#[tokio::test]
async fn ending_discount_moves_by_clock() {
    let app = TestApp::begin().await;
    let mut discounted = of("sub_1", "cus_1", "active", 1000);
    discounted["discounts"] = json!([half_off("di_1", 60)]);
    app.store_at(day(1)).apply(&[on(0, discounted)]).await.unwrap();
    assert_eq!(app.store_at(day(59)).recompute_due().await.unwrap(), 0);
    assert_eq!(current_movements(&app).await, ["cus_1 0 new 500 500 sub_1_0"]);

    assert_eq!(app.store_at(day(70)).recompute_due().await.unwrap(), 1);
    let both = ["cus_1 0 new 500 500 sub_1_0", "cus_1 60 expansion 500 1000 clock"];
    assert_eq!(current_movements(&app).await, both);
    assert_adds_up(&app, "after the end").await;
    assert_eq!(app.store_at(day(71)).recompute_due().await.unwrap(), 0);
}

#[tokio::test]
async fn clock_movement_is_not_attributed_to_event() {
    let app = TestApp::begin().await;
    let mut discounted = of("sub_1", "cus_1", "active", 1000);
    discounted["discounts"] = json!([half_off("di_1", 60)]);
    app.store_at(day(1)).apply(&[on(0, discounted)]).await.unwrap();
    // Nobody looked when the discount ended.
    app.apply([on(80, of("sub_1", "cus_1", "active", 1500))]).await;
    assert_eq!(
        current_movements(&app).await,
        [
            "cus_1 0 new 500 500 sub_1_0",
            "cus_1 60 expansion 500 1000 clock",
            "cus_1 80 expansion 500 1500 sub_1_80",
        ]
    );
}

#[tokio::test]
async fn late_terms_are_applied_to_history() {
    let app = TestApp::begin().await;
    let mut discounted = of("sub_1", "cus_1", "active", 1000);
    discounted["discounts"] = json!(["di_1"]);
    app.apply([on(1, discounted), on(9, of("sub_1", "cus_1", "active", 1000))]).await;
    assert_eq!(current_movements(&app).await, ["cus_1 1 new 1000 1000 sub_1_1"]);

    let mut terms = half_off("di_1", 90);
    terms["customer"] = json!("cus_1");
    terms["subscription"] = json!("sub_1");
    app.apply([stripe("evt_terms", "customer.discount.created", DAY, terms)]).await;
    assert_eq!(
        current_movements(&app).await,
        ["cus_1 1 new 500 500 sub_1_1", "cus_1 9 expansion 500 1000 sub_1_9"]
    );
    assert_adds_up(&app, "with the terms").await;
}

/// A subscription whose price does not say what it costs.
fn of_hidden_price() -> Value {
    let mut hidden = of("sub_1", "cus_1", "active", 0);
    let price = &mut hidden["items"]["data"][0]["price"];
    (price["unit_amount"], price["unit_amount_decimal"]) = (Value::Null, Value::Null);
    (price["billing_scheme"], price["tiers_mode"]) = (json!("tiered"), json!("graduated"));
    hidden
}

/// An event, some seconds after day `day`, about the invoice of that day for [`of_hidden_price`].
fn invoiced(event: &str, seconds: i64, id: &str, day: i64, amount: i64) -> Envelope {
    let object = json!({
        "id": id, "object": "invoice", "customer": "cus_1", "status": "paid", "currency": "usd",
        "created": BEGIN + day * DAY, "amount_paid": amount, "amount_due": amount, "attempt_count": 1,
        "subscription": "sub_1",
        "lines": {"data": [{
            "id": format!("il_{id}"), "object": "line_item", "amount": amount, "currency": "usd",
            "type": "subscription", "proration": false, "subscription_item": "si_1",
            "price": {"id": "price_pro"}, "quantity": 1,
            "period": {"start": BEGIN + day * DAY, "end": BEGIN + (day + 30) * DAY}
        }]}
    });
    stripe(event, "invoice.paid", day * DAY + seconds, object)
}

#[tokio::test]
async fn without_price_invoices_make_movements() {
    let app = TestApp::begin().await;
    app.apply([on(0, of_hidden_price())]).await;
    app.apply([invoiced("evt_in_2", 5, "in_2", 31, 6000)]).await;
    app.apply([on(40, of_hidden_price())]).await;
    app.apply([invoiced("evt_in_1", 5, "in_1", 0, 4500)]).await;
    assert_eq!(
        current_movements(&app).await,
        ["cus_1 0 new 4500 4500 sub_1_0", "cus_1 31 expansion 1500 6000 in_2"]
    );
    assert_adds_up(&app, "with the invoices").await;
}

#[tokio::test]
async fn movement_names_its_invoices_last_event_in_any_order() {
    let events = [
        on(0, of_hidden_price()),
        invoiced("evt_first", 5, "in_1", 0, 4500),
        invoiced("evt_open", 5, "in_2", 31, 6000),
        invoiced("evt_paid", 9, "in_2", 31, 6000),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let app = TestApp::begin().await;
        for nth in order {
            app.apply([events[nth].clone()]).await;
        }
        let expected = ["cus_1 0 new 4500 4500 sub_1_0", "cus_1 31 expansion 1500 6000 paid"];
        assert_eq!(current_movements(&app).await, expected, "{order:?}");
    }
}

#[tokio::test]
async fn movements_follow_customer_and_outlive_user() {
    let app = TestApp::begin().await;
    app.apply([on(1, of("sub_1", "cus_1", "active", 1000))]).await;
    app.apply([on(0, of("sub_1", "cus_1", "active", 500))]).await;
    app.sign_up(ANN, "ann@example.com").await;
    app.sign_up(BOB, "bob@example.com").await;
    app.apply([belongs_to("evt_ann", 0, "cus_1", ANN)]).await;
    assert_eq!(users(&app).await, [json!({"user_id": ANN})]);
    app.apply([belongs_to("evt_bob", 5, "cus_1", BOB)]).await;
    assert_eq!(users(&app).await, [json!({"user_id": BOB})], "those superseded too");
    app.apply([on(2, of("sub_1", "cus_1", "active", 2000))]).await;
    assert_eq!(users(&app).await, [json!({"user_id": BOB})], "the next one from the start");

    app.execute(&format!("delete from auth.users where id = '{BOB}'")).await;
    assert_eq!(users(&app).await, [json!({"user_id": null})]);
    app.apply([on(3, of("sub_1", "cus_1", "canceled", 2000))]).await;
    assert_eq!(users(&app).await, [json!({"user_id": null})]);
    assert_eq!(current_movements(&app).await.len(), 4);
    assert_adds_up(&app, "without the person").await;

    app.sign_up(BOB, "bob@example.com").await;
    app.store.recompute_due().await.unwrap();
    assert_eq!(users(&app).await, [json!({"user_id": BOB})], "who comes back has them again");
}
