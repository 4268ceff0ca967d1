//! The same ledger in any order, batches and repetition of events.

use fastrand::Rng;

use super::*;
use crate::support::dump;

/// Histories, each in three orders, and the sums compared after each batch. `make soak` compares the ledger after ten
/// thousand orders.
const HISTORIES: u64 = 4;

/// The length of a history in days: some discounts end while events still arrive.
const DAYS: i64 = 40;

/// The histories of two customers, with several events in one second, discounts on every level, unknown
/// statuses and late events.
fn life(rng: &mut Rng) -> Vec<Envelope> {
    (0..rng.usize(10..40)).map(|number| event(rng, number)).collect()
}

fn event(rng: &mut Rng, number: usize) -> Envelope {
    let id = format!("evt_{number:02}");
    let second = rng.i64(0..DAYS) * DAY;
    let customer = if rng.bool() { "cus_1" } else { "cus_2" };
    match rng.u8(0..10) {
        0 => {
            let kind = ["customer.discount.created", "customer.discount.deleted"][rng.usize(0..2)];
            let mut object = half_off(&format!("di_{customer}"), rng.i64(0..DAYS + 20));
            object["customer"] = json!(customer);
            object["start"] = json!(BEGIN + rng.i64(0..=second / DAY) * DAY);
            stripe(&id, kind, second, object)
        }
        1 => {
            let kind = ["customer.discount.created", "customer.discount.deleted"][rng.usize(0..2)];
            let mut object = half_off(&format!("di_of_{customer}"), rng.i64(0..DAYS + 20));
            (object["customer"], object["subscription"]) =
                (json!(customer), json!(format!("sub_{customer}_0")));
            stripe(&id, kind, second, object)
        }
        2 => {
            let mut object = json!({"id": customer, "object": "customer", "created": BEGIN, "metadata": {}});
            if rng.bool() {
                object["discount"] = half_off("di_shown", rng.i64(0..DAYS + 20));
            }
            stripe(&id, "customer.updated", second, object)
        }
        _ => {
            let statuses =
                ["trialing", "active", "active", "active", "past_due", "paused", "canceled", "on_holiday"];
            let status = statuses[rng.usize(..statuses.len())];
            let subscription = format!("sub_{customer}_{}", rng.u8(0..2));
            let cents = [0, 900, 2900, 4900][rng.usize(0..4)];
            let mut object = of(&subscription, customer, status, cents);
            object["discounts"] = match rng.u8(0..4) {
                0 => json!([half_off("di_own", rng.i64(0..DAYS + 20))]),
                1 => json!([format!("di_of_{customer}")]),
                _ => json!([]),
            };
            stripe(&id, "customer.subscription.updated", second, object)
        }
    }
}

/// Applies `events` in random batches at random, increasing moments; the final moment is fixed.
async fn apply_at_random(app: &TestApp, mut events: Vec<Envelope>, rng: &mut Rng, name: &str) {
    let mut now = rng.i64(0..DAYS);
    while !events.is_empty() {
        let size = rng.usize(1..=6).min(events.len());
        let batch = events.split_off(events.len() - size);
        app.store_at(day(now)).apply(&batch).await.unwrap();
        assert_adds_up(app, name).await;
        now += rng.i64(0..3);
        if rng.u8(..) < 50 {
            app.store_at(day(now)).recompute_due().await.unwrap();
            assert_adds_up(app, name).await;
        }
    }
    while app.store.recompute_due().await.unwrap() > 0 {}
    assert_adds_up(app, name).await;
}

/// Empties everything.
async fn forget(app: &TestApp) {
    app.execute(
        "do $$ begin
             execute (select 'truncate public.mrr_movements, ' || string_agg(format('ingest.%I', table_name), ', ')
                      from information_schema.tables
                      where table_schema = 'ingest' and table_type = 'BASE TABLE' and table_name <> 'schema_migrations');
         end $$",
    )
    .await;
}

#[tokio::test]
async fn ledger_does_not_depend_on_order() {
    let app = TestApp::begin().await;
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let events = life(&mut rng);
        forget(&app).await;
        app.apply(events.clone()).await;
        assert_adds_up(&app, &format!("seed {seed} at once")).await;
        let expected = dump::everything(&app.database.pool).await;
        for order in 0..3 {
            forget(&app).await;
            let mut shuffled = events.clone();
            shuffled.extend(events.iter().filter(|_| rng.u8(..) < 50).cloned());
            rng.shuffle(&mut shuffled);
            let name = format!("seed {seed} order {order}");
            apply_at_random(&app, shuffled, &mut rng, &name).await;
            let actual = dump::everything(&app.database.pool).await;
            for table in ["public.mrr_movements", "ingest.stripe_versions", "ingest.customer_revenue"] {
                assert_eq!(actual[table], expected[table], "{name} {table}");
            }
        }
    }
}
