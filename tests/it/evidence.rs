//! Evidence of whose a customer is, in any order, and flagged contradictions.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::{Envelope, peek};
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::{Rules, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Cases, TestRunner};
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

/// Empties everything except the users.
async fn forget_events(app: &TestApp) {
    app.execute(
        "truncate ingest.inbox, ingest.claims, ingest.customer_emails, ingest.customers, ingest.parked,
                  ingest.stripe_facts, ingest.stripe_versions, ingest.stripe_links",
    )
    .await;
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

/// A store on the same database with other rules.
fn with(app: &TestApp, change: impl Fn(&mut Config)) -> Store {
    let mut config = crate::support::config(app.database.url());
    change(&mut config);
    Store::new(app.database.pool.clone(), Clock::fixed(NOW), Rules::new(&config))
}

/// A customer whose address changes, each time told with the one before, or without.
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
        events.push(peek::stripe(serde_json::to_vec(&event).unwrap().into(), NOW).unwrap());
    }
    events
}

fn session(id: &str, status: &str, payment: &str, reference: Option<Uuid>, email: &str) -> Value {
    json!({
        "id": id, "object": "checkout.session", "created": BEGIN, "customer": "cus_1", "status": status,
        "payment_status": payment, "client_reference_id": reference, "metadata": {}, "mode": "payment",
        "customer_details": {"email": email}
    })
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
