//! Customers are matched to users by their e-mail addresses, in any order.

use memberflow::envelope::{Envelope, parse};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::json;
use uuid::Uuid;

use super::{ADA, BEA, assert_rebuilt_alike, by, owner, with_ada_and_bea};
use crate::support::app::{BEGIN, NOW, TestApp, customer, row, stripe};

/// Empties everything except the users.
async fn forget_events(app: &TestApp) {
    app.execute(
        "truncate ingest.inbox, ingest.claims, ingest.customer_emails, ingest.customers, ingest.parked,
                  ingest.stripe_facts, ingest.stripe_versions, ingest.stripe_links",
    )
    .await;
}

/// A customer whose address changes, each time reported with the one before, or without.
fn address_changes(emails: &[&str], with_previous: bool) -> Vec<Envelope> {
    let mut events = Vec::new();
    for (at, email) in emails.iter().enumerate() {
        let kind = if at == 0 { "customer.created" } else { "customer.updated" };
        let mut event = json!({
            "id": format!("evt_{at}"), "object": "event", "type": kind, "created": BEGIN + at as i64,
            "livemode": false, "api_version": "2025-09-30.clover", "data": {"object": customer("cus_1", email)}
        });
        if with_previous && at > 0 {
            event["data"]["previous_attributes"] = json!({"email": emails[at - 1]});
        }
        events.push(parse::stripe(serde_json::to_vec(&event).unwrap().into(), NOW).unwrap());
    }
    events
}

#[tokio::test]
async fn address_changes_in_any_order_match_earliest_user() {
    let emails = ["nobody@example.com", "ADA@example.com", "bea@example.com"];
    let app = with_ada_and_bea().await;
    for with_previous in [false, true] {
        let events = address_changes(&emails, with_previous);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            forget_events(&app).await;
            for at in order {
                app.apply([events[at].clone()]).await;
            }
            assert_eq!(owner(&app).await, by(ADA, "email"), "{order:?}");
            assert_eq!(app.parked().await, [""; 0], "{order:?}");
        }
        // The last order recorded a match that another report then overtook.
        assert_rebuilt_alike(&app.store).await;
    }
}

#[tokio::test]
async fn previous_address_counts_if_its_event_is_missing() {
    let app = with_ada_and_bea().await;
    let [_, last] =
        <[Envelope; 2]>::try_from(address_changes(&["ada@example.com", "bea@example.com"], true)).unwrap();
    app.apply([last]).await;
    assert_eq!(owner(&app).await, by(ADA, "email"));
}

#[tokio::test]
async fn addresses_shuffled_anyhow_match_the_same_user() {
    let names = ["ada@example.com", "bea@example.com", "two@example.com", "x@example.com", "y@example.com"];
    let mut runner = TestRunner::new(Cases { failure_persistence: None, ..Cases::default() });
    let app = with_ada_and_bea().await;
    app.sign_up(Uuid::from_u128(7), "two@example.com").await;
    app.sign_up(Uuid::from_u128(8), "TWO@example.com").await;
    for round in 0..12 {
        let emails = proptest::collection::vec(proptest::sample::select(names.to_vec()), 1..6);
        let emails = emails.new_tree(&mut runner).unwrap().current();
        let events = address_changes(&emails, round % 2 == 0);
        let order = Just(events.clone()).prop_shuffle().new_tree(&mut runner).unwrap().current();
        let mut seen = Vec::new();
        for events in [events, order] {
            forget_events(&app).await;
            for event in events {
                app.apply([event]).await;
            }
            let decided =
                "select user_id, matched_by, (select min(reason) from ingest.parked) from ingest.customers";
            seen.push(app.rows(decided).await);
        }
        let first = emails.iter().find(|email| !["x@example.com", "y@example.com"].contains(email));
        let expected = match first {
            Some(&"ada@example.com") => json!(ADA),
            Some(&"bea@example.com") => json!(BEA),
            _ => json!(null),
        };
        assert_eq!(seen[0][0]["user_id"], expected, "{emails:?}");
        assert_eq!(seen[0], seen[1], "{emails:?}");
    }
}

#[tokio::test]
async fn match_stays_when_earlier_address_is_confirmed() {
    let app = TestApp::begin().await;
    app.sign_up(BEA, "bea@example.com").await;
    app.apply(address_changes(&["ada@example.com", "bea@example.com"], true)).await;
    assert_eq!(owner(&app).await, by(BEA, "email"));
    app.sign_up(ADA, "ada@example.com").await;
    let record = json!({"id": ADA, "email": "ada@example.com", "email_confirmed_at": "2026-02-01T00:00:00Z"});
    app.apply([row("msg_1", "INSERT", "auth.users", record, json!(null))]).await;
    assert_eq!(owner(&app).await, by(BEA, "email"), "whoever confirms an old address takes nothing over");
    assert_rebuilt_alike(&app.store).await;

    app.execute(&format!("delete from auth.users where id = '{BEA}'")).await;
    app.apply([row("msg_2", "DELETE", "auth.users", json!(null), json!({"id": BEA}))]).await;
    assert_eq!(owner(&app).await, by(ADA, "email"), "compared again");
    assert_rebuilt_alike(&app.store).await;
}

#[tokio::test]
async fn returning_user_is_matched_by_the_next_upkeep() {
    let app = with_ada_and_bea().await;
    app.apply(address_changes(&["ada@example.com"], false)).await;
    app.execute(&format!("delete from auth.users where id = '{ADA}'")).await;
    app.apply([row("msg_1", "DELETE", "auth.users", json!(null), json!({"id": ADA}))]).await;
    assert_eq!(app.parked().await, ["cus_1 user_gone"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0);
    app.sign_up(ADA, "elsewhere@example.com").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(owner(&app).await, by(ADA, "email"));
}

#[tokio::test]
async fn addresses_per_customer_are_bounded_in_any_order() {
    let emails: Vec<String> = (0..30).map(|n| format!("n{n}@example.com")).collect();
    let mut events = address_changes(&emails.iter().map(String::as_str).collect::<Vec<_>>(), false);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let app = TestApp::begin().await;
        for event in events.clone() {
            app.apply([event]).await;
        }
        kept.push(app.rows("select email, reported_at from ingest.customer_emails order by 2").await);
        events.reverse();
    }
    assert_eq!(kept[0].len(), 20);
    assert_eq!(
        (&kept[0][0]["email"], &kept[0][19]["email"]),
        (&json!("n0@example.com"), &json!("n19@example.com"))
    );
    assert_eq!(kept[0], kept[1]);
}

#[tokio::test]
async fn users_without_instance_are_matched_in_any_order() {
    for user_first in [true, false] {
        let app = TestApp::begin().await;
        let sign_up = format!(
            "insert into auth.users (instance_id, id, email, email_confirmed_at, created_at, updated_at)
             values (null, '{ADA}', 'null@example.com', now(), now(), now())"
        );
        if user_first {
            app.execute(&sign_up).await;
        }
        let charge = json!({
            "id": "ch_1", "object": "charge", "amount": 1000, "amount_captured": 1000, "amount_refunded": 0,
            "captured": true, "created": BEGIN, "currency": "usd", "customer": "cus_1", "metadata": {},
            "paid": true, "payment_intent": "pi_1", "status": "succeeded"
        });
        app.apply([
            stripe("evt_1", "customer.created", 0, customer("cus_1", "null@example.com")),
            stripe("evt_2", "charge.succeeded", 1, charge),
        ])
        .await;
        if !user_first {
            app.execute(&sign_up).await;
            assert_eq!(app.store.recompute_due().await.unwrap(), 1);
        }
        assert_eq!(owner(&app).await, by(ADA, "email"), "user first: {user_first}");
        let spent = app.rows("select user_id, total_spent from public.user_revenue_metrics").await;
        assert_eq!(spent, [json!({"user_id": ADA, "total_spent": 1000})]);
        assert_eq!(app.store.recompute_due().await.unwrap(), 0);
        let lead = "select ingest.member_with_address(' NULL@example.com') as id";
        assert_eq!(app.rows(lead).await, [json!({"id": ADA})], "leads find the same");
    }
}

#[tokio::test]
async fn users_are_found_by_index_before_the_first_analyze() {
    let app = TestApp::begin().await;
    app.execute("analyze auth.users").await;
    app.execute(
        "insert into auth.users (instance_id, id, email, email_confirmed_at)
         select case when n % 2 = 0 then '00000000-0000-0000-0000-000000000000'::uuid end, gen_random_uuid(),
                n || '@example.com', now() from generate_series(1, 20000) n",
    )
    .await;
    let scans = "select coalesce(sum(seq_tup_read), 0)::bigint as read from pg_stat_xact_user_tables where relname = 'users'";
    let mut tx = memberflow::database::begin(&app.database.pool).await.unwrap();
    let emails: Vec<String> = (1..=300).map(|n| format!("{n}@example.com")).collect();
    let found: i64 = sqlx::query_scalar("select count(*) from ingest.users_with_email($1, false)")
        .bind(emails)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let read: i64 = sqlx::query_scalar(scans).fetch_one(&mut *tx).await.unwrap();
    assert_eq!((found, read), (300, 0));
}

#[tokio::test]
async fn kelvin_sign_is_not_folded_to_k() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "kim@example.com").await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "\u{212A}im@example.com"))]).await;
    assert_eq!(app.parked().await, ["cus_1 unknown_user"]);
    app.sign_up(BEA, "\u{212A}im@example.com").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(owner(&app).await, by(BEA, "email"));
    app.apply([stripe("evt_2", "customer.created", 0, customer("cus_2", "KIM@example.com"))]).await;
    let other = app.rows("select user_id from ingest.customers where id = 'cus_2'").await;
    assert_eq!(other, [json!({"user_id": ADA})]);
}

#[tokio::test]
async fn address_becoming_ambiguous_is_flagged_by_upkeep() {
    let app = TestApp::begin().await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "two@example.com"))]).await;
    app.sign_up(ADA, "two@example.com").await;
    app.sign_up(BEA, "Two@example.com").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, ["cus_1 ambiguous_email"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0);
    app.execute("delete from auth.users").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, ["cus_1 unknown_user"]);
}
