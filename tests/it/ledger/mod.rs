//! The MRR ledger: movements with effective and recorded time.

mod movements;
mod orders;
mod questions;
mod totals;

use memberflow::envelope::Envelope;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::support::app::{BEGIN, NOW, TestApp, stripe, subscription};

const DAY: i64 = 86_400;

/// The moment `days` after [`BEGIN`].
fn day(days: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(BEGIN).unwrap() + Duration::days(days)
}

/// A subscription of `cents` a month.
fn of(id: &str, customer: &str, status: &str, cents: i64) -> Value {
    let mut it = subscription(id, customer, status);
    it["items"]["data"][0]["price"]["unit_amount"] = json!(cents);
    it["items"]["data"][0]["price"]["unit_amount_decimal"] = json!(cents.to_string());
    it
}

/// The event of day `days` that `object`, a subscription, was so from then on.
fn on(days: i64, object: Value) -> Envelope {
    let id = format!("evt_{}_{days}", object["id"].as_str().unwrap());
    stripe(&id, "customer.subscription.updated", days * DAY, object)
}

/// Half off until day `days`.
fn half_off(id: &str, days: i64) -> Value {
    json!({
        "id": id, "object": "discount", "start": BEGIN, "end": BEGIN + days * DAY,
        "coupon": {"id": "half", "object": "coupon", "percent_off": 50, "duration": "repeating", "duration_in_months": 3}
    })
}

/// The current movements: `customer day kind delta after cause`, with `clock` for no cause.
async fn current_movements(app: &TestApp) -> Vec<String> {
    let rows = app
        .rows(
            "select customer_id, extract(epoch from effective_at)::bigint as at, kind, delta, mrr_after,
                    coalesce(cause_event_id, 'evt_clock') as cause
             from public.mrr_movements where superseded_at is null
             order by effective_at, customer_id, currency",
        )
        .await;
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| {
            let day = (row["at"].as_i64().unwrap() - BEGIN) / DAY;
            let (customer, kind) = (text(row, "customer_id"), text(row, "kind"));
            let cause = text(row, "cause").replacen("evt_", "", 1);
            format!("{customer} {day} {kind} {} {} {cause}", row["delta"], row["mrr_after"])
        })
        .collect()
}

/// Fails where the current movements do not add up to the present MRR of every customer and currency, or
/// do not follow from each other.
async fn assert_adds_up(app: &TestApp, when: &str) {
    let differing = app
        .rows(
            "select * from
                 (select customer_id, currency, sum(delta) as mrr from public.mrr_movements
                  where superseded_at is null group by 1, 2 having sum(delta) <> 0) m
             full join (select customer_id, currency, mrr from ingest.customer_revenue where mrr <> 0) r
                 using (customer_id, currency)
             where m.mrr is distinct from r.mrr",
        )
        .await;
    assert!(differing.is_empty(), "{when}: {differing:?}");
    let broken = app
        .rows(
            "select * from (
                 select *, lag(mrr_after, 1, 0::bigint) over (partition by customer_id, currency order by effective_at) as ended
                 from public.mrr_movements where superseded_at is null) m
             where ended <> mrr_before",
        )
        .await;
    assert!(broken.is_empty(), "{when}: {broken:?}");
    assert_totals_are_sums(app, when).await;
}

/// Fails where the totals are not what the ledger believes.
async fn assert_totals_are_sums(app: &TestApp, when: &str) {
    let differing = app
        .rows(
            "select * from (select * from ingest.mrr_totals where (movements, amount) <> (0, 0)) t
             full join (
                 select currency, (effective_at at time zone 'UTC')::date as day, kind, count(*) as counted,
                        sum(delta)::bigint as summed
                 from public.mrr_movements where superseded_at is null group by 1, 2, 3
             ) l using (currency, day, kind)
             where (t.movements, t.amount) is distinct from (l.counted, l.summed)",
        )
        .await;
    assert!(differing.is_empty(), "{when}: {differing:?}");
    let revisions = app
        .rows(
            "select * from (select * from ingest.mrr_revisions where (movements, amount) <> (0, 0)) t
             full join (select known_on, currency, day, kind, movements as counted, amount as summed
                        from ingest.summed_revisions) l using (known_on, currency, day, kind)
             where (t.movements, t.amount) is distinct from (l.counted, l.summed)",
        )
        .await;
    assert!(revisions.is_empty(), "{when}: {revisions:?}");
    let cohorts = app
        .rows(
            "select * from (select * from ingest.mrr_cohorts where (customers, amount) <> (0, 0)) t
             full join (select currency, cohort, month, customers as counted, amount as summed
                        from ingest.summed_cohorts) l using (currency, cohort, month)
             where (t.customers, t.amount) is distinct from (l.counted, l.summed)",
        )
        .await;
    assert!(cohorts.is_empty(), "{when}: {cohorts:?}");
}
