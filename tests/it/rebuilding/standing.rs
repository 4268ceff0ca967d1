//! Pre-existing rows are not changed, and ids are stable.

use memberflow::store::Store;
use serde_json::json;
use uuid::Uuid;

use super::{run, store};
use crate::support::app::{NOW, TestApp, paid_invoice, stripe, subscription};
use crate::support::dump;

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);

/// A database with pre-existing rows, imported, with later events about some of them.
async fn old_app() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    for (id, subscription) in [(1, "sub_reported"), (2, "sub_unreported")] {
        app.execute(&format!(
            "insert into public.customer_subscriptions
                 (id, user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id,
                  status, promo_code)
             select '{}', '{MEMBER}', id, 'cus_1', '{subscription}', 'price_pro', 'active', 'EARLY'
             from public.membership_tiers",
            Uuid::from_u128(id)
        ))
        .await;
    }
    for (id, invoice) in [(3, "'in_reported'"), (4, "'in_unreported'"), (5, "null"), (6, "'in_reported'")] {
        app.execute(&format!(
            "insert into public.payment_history (id, user_id, amount, status, stripe_invoice_id, created_at)
             values ('{}', '{MEMBER}', 1, 'succeeded', {invoice}, '2025-01-0{id}')",
            Uuid::from_u128(id)
        ))
        .await;
    }
    app.store.initial_import().await.unwrap();
    let mut invoice = paid_invoice("in_of_untold", "cus_1", 500);
    invoice["subscription"] = json!("sub_unreported");
    app.apply([
        stripe("evt_1", "customer.subscription.created", 1, subscription("sub_reported", "cus_1", "active")),
        stripe("evt_2", "invoice.paid", 2, paid_invoice("in_reported", "cus_1", 1000)),
        stripe("evt_3", "invoice.paid", 2, invoice),
    ])
    .await;
    app
}

async fn assert_sound(store: &Store, when: &str) {
    let (_, differences) = run(store, true).await.unwrap();
    assert_eq!(differences, [], "{when}");
}

#[tokio::test]
async fn preexisting_rows_are_neither_reported_nor_changed() {
    let app = old_app().await;
    let before = dump::everything(&app.database.pool).await;
    let adopted = app.rows("select history_id from ingest.payments where id = 'in_reported'").await;
    assert_eq!(adopted, [json!({"history_id": Uuid::from_u128(3)})], "the older of two rows is taken");
    assert_sound(&app.store, "untouched").await;
    run(&app.store, false).await.unwrap();
    let after = dump::everything(&app.database.pool).await;
    dump::assert_same(&before, &after, "rebuilt");
}

#[tokio::test]
async fn adopted_rows_keep_their_ids() {
    let app = old_app().await;
    let before = dump::everything(&app.database.pool).await;
    for loss in [
        "delete from ingest.payments",
        "update ingest.payments set history_id = gen_random_uuid()",
        "truncate ingest.stripe_facts, ingest.claims, ingest.customers, ingest.parked, ingest.customer_revenue",
        "update public.payment_history set stripe_invoice_id = 'in_wrong', amount = 7 where amount = 1000",
    ] {
        app.execute(loss).await;
        run(&app.store, false).await.unwrap();
        assert_sound(&app.store, loss).await;
        let after = dump::everything(&app.database.pool).await;
        dump::assert_same(&before, &after, loss);
    }
}

#[tokio::test]
async fn payment_intents_can_be_swapped() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let mut named = subscription("sub_1", "cus_1", "active");
    named["metadata"]["user_id"] = json!(MEMBER);
    app.apply([stripe("evt_0", "customer.subscription.created", 0, named)]).await;
    for number in [1, 2] {
        let mut invoice = paid_invoice(&format!("in_{number}"), "cus_1", 1000);
        invoice["payment_intent"] = json!(format!("pi_{number}"));
        app.apply([stripe(&format!("evt_{number}"), "invoice.paid", 2, invoice)]).await;
    }
    let intents = "select stripe_invoice_id, stripe_payment_intent_id from public.payment_history order by 1";
    let before = app.rows(intents).await;
    assert_eq!(before[0]["stripe_payment_intent_id"], "pi_1");
    for (invoice, intent) in [("in_1", "null"), ("in_2", "'pi_1'"), ("in_1", "'pi_2'")] {
        app.execute(&format!(
            "update public.payment_history set stripe_payment_intent_id = {intent} where stripe_invoice_id = '{invoice}'"
        ))
        .await;
    }
    let (report, _) = run(&app.store, false).await.unwrap();
    assert_eq!(report.differing["public.payment_history"], 2);
    assert_eq!(app.rows(intents).await, before);
}

#[tokio::test]
async fn match_made_by_rebuild_is_recorded() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let customer = crate::support::app::customer("cus_1", "ada@example.com");
    app.apply([stripe("evt_1", "customer.created", 0, customer)]).await;
    // As if it had never been made: nothing that the minutely round would look for waits for it.
    app.execute("delete from ingest.inbox where source = 'internal'").await;
    app.execute("delete from ingest.customer_emails where object_id like 'match/%'").await;
    app.execute("delete from ingest.customers").await;
    run(&app.store, false).await.unwrap();
    let kept = app.rows("select regexp_replace(event_id, '/[^/]*$', '') as match from ingest.inbox where source = 'internal'").await;
    assert_eq!(kept, [json!({"match": format!("match/cus_1/{MEMBER}")})]);
    app.execute("update auth.users set email = 'other@example.com'").await;
    assert_sound(&store(&app.database, NOW), "the address has changed since").await;
}

#[tokio::test]
async fn preexisting_rows_are_rebuilt() {
    let app = TestApp::begin().await;
    let unreported = Uuid::from_u128(0xbbbb);
    for (user, name) in [(MEMBER, "ada"), (unreported, "eve")] {
        app.sign_up(user, &format!("{name}@example.com")).await;
        for statement in [
            format!(
                "insert into public.vision_versions (user_id) select '{user}' from generate_series(1, 3)"
            ),
            format!(
                "insert into storage.objects (owner_id, metadata) values ('{user}', '{{\"size\": 1600000}}')"
            ),
            format!(
                "insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), '{user}', '2026-11-19T12:00:00.123456Z')"
            ),
            format!(
                "insert into public.user_activity_metrics (user_id, engagement_status) values ('{user}', 'champion')"
            ),
        ] {
            app.execute(&statement).await;
        }
    }
    app.store.initial_import().await.unwrap();
    let session = json!({"id": Uuid::from_u128(8), "user_id": MEMBER, "created_at": "2026-11-20T11:00:00Z"});
    app.apply([crate::support::app::row("msg_1", "INSERT", "auth.sessions", session, json!(null))]).await;
    assert_sound(&app.store, "switched on").await;
    let before = dump::everything(&app.database.pool).await;
    app.execute("truncate ingest.activity, ingest.logins, ingest.row_facts").await;
    app.execute("update public.user_activity_metrics set total_logins = 0").await;
    let (report, _) = run(&app.store, false).await.unwrap();
    assert_eq!(report.differing["public.user_activity_metrics"], 2);
    dump::assert_same(&before, &dump::everything(&app.database.pool).await, "rebuilt");
}
