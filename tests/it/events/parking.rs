//! Incomplete items are parked with a reason, counted as far as possible, and completed once the missing
//! information arrives. Undecodable events are dead letters. Nothing is dropped, and unknown values are
//! counted.

use std::time::Duration;

use memberflow::store::StoreError;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::app::{BEGIN, TestApp, customer, paid_invoice, row, stripe, subscription};
use crate::support::database::TestDatabase;

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);

#[tokio::test]
async fn unowned_customer_is_shown_once_user_signs_up() {
    let app = TestApp::begin().await;
    app.name_tier("Pro", "price_pro").await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "Ada@Example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    assert_eq!(app.parked().await, ["cus_1 unknown_user"]);
    let counted = app.rows("select mrr, collected from ingest.customer_revenue").await;
    assert_eq!(counted, [json!({"mrr": 1000, "collected": 1000})]);
    assert_eq!(app.rows("select 1 from public.payment_history").await.len(), 0);

    app.sign_up(MEMBER, "ada@example.com").await;
    let record =
        json!({"id": MEMBER, "email": "ada@example.com", "email_confirmed_at": "2026-02-01T00:00:00Z"});
    app.apply([row("msg_1", "INSERT", "auth.users", record, json!(null))]).await;

    assert_eq!(app.parked().await, [""; 0]);
    let metrics =
        app.rows("select mrr, total_spent, subscription_tier from public.user_revenue_metrics").await;
    assert_eq!(metrics, [json!({"mrr": 1000, "total_spent": 1000, "subscription_tier": "Pro"})]);
    let payments = app.rows("select amount, user_id from public.payment_history").await;
    assert_eq!(payments, [json!({"amount": 1000, "user_id": MEMBER})]);
}

#[tokio::test]
async fn user_without_event_is_found_by_upkeep() {
    let app = TestApp::begin().await;
    let mut named = subscription("sub_1", "cus_1", "active");
    named["metadata"]["user_id"] = json!(MEMBER);
    app.apply([stripe("evt_1", "customer.subscription.created", 1, named)]).await;
    assert_eq!(app.parked().await, ["cus_1 unknown_user", "sub_1 no_tier"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0);

    app.sign_up(MEMBER, "ada@example.com").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, ["sub_1 no_tier"]);
    assert_eq!(app.rows("select mrr from public.user_revenue_metrics").await, [json!({"mrr": 1000})]);

    app.name_tier("Pro", "price_pro").await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, [""; 0]);
    let rows = app.rows("select status, stripe_price_id from public.customer_subscriptions").await;
    assert_eq!(rows, [json!({"status": "active", "stripe_price_id": "price_pro"})]);
}

#[tokio::test]
async fn deleted_users_revenue_stays_with_customer() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let mut named = subscription("sub_1", "cus_1", "active");
    named["metadata"]["user_id"] = json!(MEMBER);
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "other@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, named),
    ])
    .await;
    app.execute("delete from auth.users").await;
    // Weaker evidence would name this user.
    app.sign_up(Uuid::from_u128(7), "other@example.com").await;
    app.apply([
        row("msg_1", "DELETE", "auth.users", json!(null), json!({"id": MEMBER})),
        stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    assert_eq!(app.parked().await, ["cus_1 user_gone", "sub_1 no_tier"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0, "nothing to wait for");
    assert_eq!(app.rows("select 1 from public.user_revenue_metrics").await.len(), 0);
    let counted = app.rows("select mrr, collected from ingest.customer_revenue").await;
    assert_eq!(counted, [json!({"mrr": 1000, "collected": 1000})]);
}

#[tokio::test]
async fn unknown_status_keeps_the_last_known_one() {
    for late in [false, true] {
        let app = TestApp::begin().await;
        app.sign_up(MEMBER, "ada@example.com").await;
        app.name_tier("Pro", "price_pro").await;
        let known =
            stripe("evt_1", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "past_due"));
        let odd =
            stripe("evt_2", "customer.subscription.updated", 2, subscription("sub_1", "cus_1", "dormant"));
        let named = stripe("evt_3", "customer.created", 0, customer("cus_1", "ada@example.com"));
        let events = if late { [odd, known, named] } else { [known, odd, named] };
        for event in events {
            app.apply([event]).await;
        }
        assert_eq!(app.parked().await, ["sub_1 unknown_status"], "late: {late}");
        let metrics = app.rows("select mrr, subscription_status from public.user_revenue_metrics").await;
        assert_eq!(metrics, [json!({"mrr": 1000, "subscription_status": "past_due"})], "late: {late}");
    }
}

#[tokio::test]
async fn unreported_announced_end_is_flagged_as_overdue() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    let mut ending = subscription("sub_1", "cus_1", "active");
    ending["cancel_at_period_end"] = json!(true);
    let mut trial = subscription("sub_2", "cus_1", "trialing");
    trial["trial_end"] = json!(BEGIN + 86_400);
    let before = OffsetDateTime::from_unix_timestamp(BEGIN + 60).unwrap();
    let early = app.store_at(before);
    let events = [
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, ending),
        stripe("evt_3", "customer.subscription.created", 1, trial),
    ];
    early.apply(&events).await.unwrap();
    assert_eq!(app.parked().await, [""; 0]);

    let within_the_hour = OffsetDateTime::from_unix_timestamp(BEGIN + 86_400 + 3599).unwrap();
    assert_eq!(app.store_at(within_the_hour).recompute_due().await.unwrap(), 0);
    let an_hour_later = within_the_hour + Duration::from_secs(1);
    assert_eq!(app.store_at(an_hour_later).recompute_due().await.unwrap(), 1);
    assert_eq!(app.parked().await, ["sub_2 overdue"]);
    assert_eq!(app.store.recompute_due().await.unwrap(), 1);
    assert_eq!(app.store.recompute_due().await.unwrap(), 0, "flagged once");
    let flagged = app.rows("select subject, detail from ingest.parked order by subject").await;
    let detail = |subject: &str, what: &str, at: &str| json!({"subject": subject, "detail": format!("{what} was to end at {at}, and no event has reported it")});
    let expected =
        [detail("sub_1", "it", "2026-02-01T00:00:00Z"), detail("sub_2", "its trial", "2026-01-02T00:00:00Z")];
    assert_eq!(flagged, expected);
    let statuses = app.rows("select status from public.customer_subscriptions order by 1").await;
    assert_eq!(statuses, [json!({"status": "active"}), json!({"status": "trialing"})]);

    let mut over = subscription("sub_1", "cus_1", "canceled");
    over["ended_at"] = json!(BEGIN + 2_678_400);
    app.apply([stripe("evt_4", "customer.subscription.deleted", 2_678_400, over)]).await;
    assert_eq!(app.parked().await, ["sub_2 overdue"]);
}

#[tokio::test]
async fn thin_event_is_parked_until_state_arrives() {
    let app = TestApp::begin().await;
    let thin = json!({
        "id": "evt_thin", "object": "v2.core.event", "type": "v1.invoice.paid", "created": "2026-01-01T00:00:00Z",
        "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"}
    });
    let body = serde_json::to_vec(&thin).unwrap();
    let envelope = memberflow::envelope::parse::stripe(body.into(), crate::support::app::NOW).unwrap();
    app.apply([envelope]).await;
    assert_eq!(app.parked().await, ["in_1 thin_event"]);
    app.apply([stripe("evt_1", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000))]).await;
    assert_eq!(app.parked().await, ["cus_1 unknown_user"]);
}

#[tokio::test]
async fn unreadable_event_is_dead_others_are_applied() {
    let app = TestApp::begin().await;
    let nameless = stripe("evt_2", "invoice.paid", 1, json!({"object": "invoice"}));
    let applied = app
        .apply([
            stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
            nameless.clone(),
            stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
        ])
        .await;
    assert_eq!((applied.new, applied.dead), (2, 1));
    let dead = app.rows("select event_id, reason from ingest.events where state = 'dead'").await;
    assert_eq!(
        dead,
        [json!({"event_id": "evt_2", "reason": "invoice.paid: data.object.id is missing or invalid"})]
    );
    assert_eq!(app.apply([nameless]).await.dead, 1);
    assert_eq!(app.rows("select 1 from ingest.events where state = 'dead'").await.len(), 1);
}

#[tokio::test]
async fn nul_is_shown_as_replacement_character() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let mut odd = customer("cus_1", "ada@example.com");
    odd["name"] = json!("A\u{0}da");
    odd["metadata"]["user_id"] = json!("not\u{0}a user");
    let applied = app.apply([stripe("evt_1", "customer.created", 0, odd)]).await;
    assert_eq!((applied.new, applied.dead), (1, 0));
    assert_eq!(app.parked().await, ["cus_1 disputed_user"]);
}

#[tokio::test]
async fn too_large_payment_is_parked_and_counted() {
    let app = TestApp::begin().await;
    app.execute("alter table public.payment_history alter column amount type int4").await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let large = 3_000_000_000_i64;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "invoice.paid", 2, paid_invoice("in_large", "cus_1", large)),
        stripe("evt_3", "invoice.paid", 2, paid_invoice("in_small", "cus_1", 1000)),
    ])
    .await;
    assert_eq!(app.parked().await, ["in_large amount_out_of_range"]);
    assert_eq!(
        app.rows("select stripe_invoice_id from public.payment_history").await,
        [json!({"stripe_invoice_id": "in_small"})]
    );
    let spent = app.rows("select total_spent from public.user_revenue_metrics").await;
    assert_eq!(spent, [json!({"total_spent": large + 1000})]);
}

#[tokio::test]
async fn rejected_statement_differs_from_database_outage() {
    let app = TestApp::begin().await;
    app.execute("alter table ingest.stripe_facts add constraint no_such check (id <> 'cus_poison')").await;
    let poison = stripe("evt_1", "customer.created", 0, customer("cus_poison", "ada@example.com"));
    let rejected = app.store.apply(std::slice::from_ref(&poison)).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    assert_eq!(app.rows("select 1 from ingest.inbox").await.len(), 0, "nothing of the batch is written");

    let away = TestApp::on(TestDatabase::empty().await);
    let unavailable = away.store.apply(&[poison]).await;
    assert!(matches!(unavailable, Err(StoreError::Unavailable(_))), "{unavailable:?}");
}

#[tokio::test]
async fn unknown_values_count_once_per_event() {
    let metrics = memberflow::telemetry::metrics().unwrap();
    let app = TestApp::begin().await;
    let dormant = |id: &str, second| {
        let mut subscription = subscription("sub_1", "cus_1", "dormant");
        subscription["items"]["data"] = json!([]);
        stripe(id, "customer.subscription.updated", second, subscription)
    };
    let unread = stripe("evt_3", "payment_intent.created", 0, json!({"id": "pi_1"}));
    app.apply([dormant("evt_2", 2), dormant("evt_1", 1), unread.clone()]).await;
    app.apply([dormant("evt_1", 1), unread]).await;
    assert_eq!(
        app.rows("select * from ingest.unrecognised order by what").await,
        [
            json!({"what": "subscription.items", "value": "", "events": 2, "example": "evt_1"}),
            json!({"what": "subscription.status", "value": "dormant", "events": 2, "example": "evt_1"})
        ]
    );
    let shown = metrics.render();
    for line in [
        "memberflow_stripe_unrecognised_total{what=\"subscription.status\"} 2",
        "memberflow_stripe_ignored_events_total{event_type=\"payment_intent.created\"} 1",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}
