//! Damage of every kind in every derived table is found and repaired, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::Duration;

use super::damage::{ADDED, CHANGED, DELETED};
use super::{NOW, PopulatedApp, run, store};
use crate::support::dump;

#[tokio::test]
async fn consistent_tables_need_no_repair() {
    let populated = PopulatedApp::lived(1).await;
    populated.assert_sound("untouched").await;
    let before = dump::everything(&populated.database.pool).await;
    let (report, differences) = populated.rebuild().await;
    assert_eq!((report.differing_rows(), differences), (0, vec![]));
    let after = dump::everything(&populated.database.pool).await;
    assert_eq!(populated.text("select count(*) from ingest.audit_log").await, "(1)");
    dump::assert_same(&before, &after, "rebuilt");
    assert_eq!(populated.text("select nspname from pg_namespace where nspname = 'ingest_rebuild'").await, "");
}

/// A population with something parked, and with a subscription that has no row for it.
async fn populated() -> PopulatedApp {
    let populated = PopulatedApp::found(1).await;
    let events = populated.shuffled(7);
    populated.execute("delete from public.membership_tiers where name like '%Starter%'").await;
    super::apply(&populated.store, events).await;
    populated.end().await;
    populated
}

#[tokio::test]
async fn exactly_the_damaged_rows_are_repaired() {
    let populated = populated().await;
    let sound = dump::everything(&populated.database.pool).await;
    for damage in [CHANGED, DELETED, ADDED] {
        for (_, statement, _) in damage {
            populated.execute(statement).await;
        }
        let expected: BTreeMap<String, i64> =
            damage.iter().map(|(table, _, rows)| ((*table).to_owned(), *rows)).collect();
        let (report, differences) = populated.check().await;
        assert_eq!(report.differing, expected, "{differences:#?}");
        assert_eq!(report.differing_rows(), i64::try_from(differences.len()).unwrap());

        let (fixed, _) = populated.rebuild().await;
        assert_eq!(fixed.differing, expected);
        populated.assert_sound("fixed").await;
        let mut after = dump::everything(&populated.database.pool).await;
        // What the application wrote into a row stays.
        for row in after.get_mut("public.customer_subscriptions").unwrap() {
            *row = row.replace("\"promo_code\": \"FRIEND\"", "\"promo_code\": null");
        }
        dump::assert_same(&sound, &after, "fixed");
    }
    assert_eq!(
        populated.text("select act, count(*) from ingest.audit_log group by act").await,
        "(rebuild,3)"
    );
    assert_eq!(
        populated.text("select promo_code from public.customer_subscriptions where promo_code <> ''").await,
        "(FRIEND)"
    );
}

#[tokio::test]
async fn lost_subscription_is_restored_with_its_payments() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    let pointing: i64 = sqlx::query_scalar(
        "with lost as (delete from public.customer_subscriptions where stripe_subscription_id =
             (select max(stripe_subscription_id) from public.customer_subscriptions) returning id)
         select count(*) from public.payment_history where subscription_id in (select id from lost)",
    )
    .fetch_one(&populated.database.pool)
    .await
    .unwrap();
    let (report, _) = populated.rebuild().await;
    assert!(pointing > 0);
    assert_eq!(report.differing["public.customer_subscriptions"], 1);
    assert_eq!(report.differing["public.payment_history"], pointing);
    assert_eq!(report.differing.len(), 2);
    dump::assert_same(&sound, &dump::everything(&populated.database.pool).await, "fixed");
}

#[tokio::test]
async fn difference_names_row_and_columns() {
    let populated = PopulatedApp::lived(1).await;
    populated
        .execute(
            "update public.user_revenue_metrics set mrr = 123456, subscription_tier = 'None such'
         where user_id = (select user_id from public.user_revenue_metrics order by user_id limit 1)",
        )
        .await;
    let (_, differences) = populated.check().await;
    let [difference] = &differences[..] else { panic!("{differences:#?}") };
    assert_eq!(difference.key.keys().collect::<Vec<_>>(), ["user_id"]);
    let before = Value::Object(difference.before.clone().unwrap());
    assert_eq!(before, serde_json::json!({"mrr": 123_456, "subscription_tier": "None such"}));
    let after = difference.after.clone().unwrap();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["mrr", "subscription_tier"]);
    assert_ne!(after["subscription_tier"], "None such");
}

#[tokio::test]
async fn all_tables_are_restored_from_events() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    populated.execute(
        "truncate ingest.stripe_facts, ingest.stripe_versions, public.mrr_movements, ingest.stripe_links, ingest.customers, ingest.claims, ingest.customer_emails, ingest.payments,
             ingest.customer_revenue, ingest.logins, ingest.row_facts, ingest.activity, ingest.parked,
             public.payment_history, public.customer_subscriptions, public.user_revenue_metrics,
             public.user_revenue_by_currency, public.user_activity_metrics",
    )
    .await;
    populated.rebuild().await;
    let after = dump::everything(&populated.database.pool).await;
    dump::assert_same(&sound, &after, "rebuilt from nothing");
}

#[tokio::test]
async fn ledger_repair_supersedes_movements() {
    let populated = PopulatedApp::lived(1).await;
    populated
        .execute(
            "update public.mrr_movements set delta = delta + 1, mrr_after = mrr_after + 1
         where id = (select min(id) from public.mrr_movements where superseded_at is null and delta <> -1)",
        )
        .await;
    let rows = "select count(*) from public.mrr_movements";
    let before = populated.text(rows).await;
    let (report, _) = populated.rebuild().await;
    assert_eq!(report.differing, BTreeMap::from([("public.mrr_movements".to_owned(), 1)]));
    assert_ne!(populated.text(rows).await, before, "the wrong one stays next to the right one");
    populated.assert_sound("fixed").await;
}

#[tokio::test]
async fn manual_values_survive_a_rebuild() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(
        "update public.user_activity_metrics set engagement_status = 'at_risk', engagement_status_is_manual = true,
             health_status = 'churned', health_status_is_manual = true, custom_tags = '{vip}', admin_notes = 'call',
             tokens_used = 9",
    )
    .await;
    populated.assert_sound("set by hand").await;
    populated.execute("update public.user_activity_metrics set total_logins = 999").await;
    populated.rebuild().await;
    let hand = "select distinct engagement_status, health_status, custom_tags, admin_notes, tokens_used
                from public.user_activity_metrics";
    assert_eq!(populated.text(hand).await, "(at_risk,churned,{vip},call,9)");
    assert_eq!(
        populated.text("select 1 from public.user_activity_metrics where total_logins = 999").await,
        ""
    );
}

#[tokio::test]
async fn health_follows_manual_engagement() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(
        "update public.user_activity_metrics set engagement_status = 'at_risk', engagement_status_is_manual = true",
    )
    .await;
    // As the next event about them would have it.
    let users: Vec<uuid::Uuid> = sqlx::query_scalar("select user_id from public.user_activity_metrics")
        .fetch_all(&populated.database.pool)
        .await
        .unwrap();
    populated.store.recompute(BTreeSet::new(), users.into_iter().collect()).await.unwrap();
    assert_eq!(
        populated.text("select 1 from public.user_activity_metrics where health_status = 'healthy'").await,
        ""
    );
    populated.assert_sound("at risk by hand").await;
}

#[tokio::test]
async fn passing_time_is_not_a_difference() {
    let populated = PopulatedApp::lived(1).await;
    for days in [1, 8, 40, 400] {
        let later = store(&populated.database, NOW + Duration::days(days));
        let (_, differences) = run(&later, true).await.unwrap();
        assert_eq!(differences, [], "{days} days later");
    }
    // What has become overdue by then stays so: time does not go back.
    let later = store(&populated.database, NOW + Duration::days(400));
    populated.execute("update public.user_activity_metrics set engagement_status = 'champion'").await;
    let (report, _) = run(&later, false).await.unwrap();
    assert_eq!(report.differing.len(), 1, "{:?}", report.differing);
    let (_, differences) = run(&later, true).await.unwrap();
    assert_eq!(differences, [], "fixed later, compared from then");
}
