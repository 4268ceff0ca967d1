//! Pre-existing payments: they count until Stripe reports them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{MEMBER, OTHER, assert_sound, backfill, populated};
use crate::support::app::{TestApp, paid_invoice, stripe};
use crate::support::dump;

async fn kept(app: &TestApp, id: u128, user: Uuid, amount: i64, rest: &str) {
    app.execute(&format!(
        "insert into public.payment_history (id, user_id, amount, currency, status, stripe_invoice_id, stripe_payment_intent_id, created_at)
         values ('{}', '{user}', {amount}, {rest}, '2025-06-01')",
        Uuid::from_u128(id)
    ))
    .await;
}

async fn with_payments() -> TestApp {
    let app = populated().await;
    kept(&app, 1, MEMBER, 1000, "'usd', 'succeeded', 'in_1', 'pi_1'").await;
    kept(&app, 2, MEMBER, 2000, "'USD', 'succeeded', null, 'pi_2'").await;
    kept(&app, 3, MEMBER, 4000, "'usd', 'failed', 'in_3', null").await;
    kept(&app, 4, MEMBER, 500, "null, 'succeeded', null, null").await;
    kept(&app, 5, MEMBER, 1000, "'usd', 'succeeded', 'in_1', null").await;
    kept(&app, 6, OTHER, 9, "'eur', 'succeeded', 'in_6', null").await;
    app.store.initial_import().await.unwrap();
    app
}

async fn spent(app: &TestApp) -> Vec<Value> {
    app.rows("select currency, total_spent, ltv from public.user_revenue_metrics order by total_spent").await
}

#[tokio::test]
async fn preexisting_payments_count_once_rows_unchanged() {
    let app = populated().await;
    app.store.initial_import().await.unwrap();
    let app = with_payments_on(app).await;
    let rows = app.rows("select * from public.payment_history order by id").await;
    let report = backfill(&app).await;
    assert_eq!(report.imported["payments"], 6);
    let expected = [
        json!({"currency": "eur", "total_spent": 9, "ltv": 9}),
        json!({"currency": "usd", "total_spent": 3500, "ltv": 3500}),
    ];
    assert_eq!(spent(&app).await, expected);
    assert_eq!(app.rows("select * from public.payment_history order by id").await, rows);
    let limitations: Vec<_> = report.limitations.iter().filter_map(|it| it.count).collect();
    assert_eq!(
        limitations,
        [1, 4],
        "one names nothing of Stripe's, four are not confirmed: {:?}",
        report.limitations
    );
    assert_sound(&app, "found").await;
}

async fn with_payments_on(app: TestApp) -> TestApp {
    let other = with_payments().await;
    for row in other.rows("select * from public.payment_history order by id").await {
        app.execute(&format!(
            "insert into public.payment_history select * from jsonb_populate_record(null::public.payment_history, '{row}')"
        ))
        .await;
    }
    app
}

#[tokio::test]
async fn stripe_report_replaces_imported_payment() {
    let app = with_payments().await;
    let mut invoice = paid_invoice("in_1", "cus_1", 1100);
    invoice["customer_email"] = json!("ada@example.com");
    let customer = crate::support::app::customer("cus_1", "ada@example.com");
    let charge = json!({
        "id": "ch_2", "object": "charge", "customer": "cus_1", "amount": 2000, "amount_captured": 2000, "captured": true,
        "status": "succeeded", "currency": "usd", "payment_intent": "pi_2", "created": 1_748_736_000
    });
    let refund = json!({"id": "re_2", "object": "refund", "amount": 300, "currency": "usd", "status": "succeeded", "payment_intent": "pi_2", "created": 1_748_736_000});
    app.apply([
        stripe("evt_0", "customer.created", 0, customer),
        stripe("evt_1", "refund.created", 1, refund),
    ])
    .await;
    assert_eq!(
        spent(&app).await[1],
        json!({"currency": "usd", "total_spent": 3500, "ltv": 3200}),
        "given back"
    );
    app.apply([stripe("evt_2", "invoice.paid", 2, invoice)]).await;
    assert_eq!(spent(&app).await[1], json!({"currency": "usd", "total_spent": 3600, "ltv": 3300}));
    app.apply([stripe("evt_3", "charge.succeeded", 3, charge)]).await;
    assert_eq!(spent(&app).await[1], json!({"currency": "usd", "total_spent": 3600, "ltv": 3300}));
    assert_sound(&app, "reported").await;
    let before = dump::everything(&app.database.pool).await;
    assert_eq!(backfill(&app).await.imported["payments"], 0);
    dump::assert_same(&before, &dump::everything(&app.database.pool).await, "read again");
}

#[tokio::test]
async fn changed_payment_rows_are_imported_again() {
    let app = with_payments().await;
    app.execute("update public.payment_history set amount = 2700 where amount = 2000").await;
    app.execute("delete from public.payment_history where amount = 500").await;
    let report = backfill(&app).await;
    assert_eq!((report.imported["payments"], report.imported["payments gone"]), (1, 1));
    assert_eq!(spent(&app).await[1]["total_spent"], 3700);
    assert_sound(&app, "found again").await;
}
