//! Pruned bodies: nothing else changes, and everything works as before.

use std::collections::BTreeMap;

use memberflow::envelope::Envelope;
use memberflow::ops::prune;
use memberflow::store::rebuild::Rebuild;
use serde_json::{Value, json};
use time::Duration;

use super::command::output_of;
use super::{NOW, PopulatedApp, apply, store};
use crate::support::dump::{self, Dump};

#[tokio::test]
async fn rebuild_is_equal_with_any_bodies_pruned() {
    let populated = PopulatedApp::lived(1).await;
    let sound = tables(&populated).await;
    for (part, share) in [("one in three", 3), ("one in two", 2), ("all", 1)] {
        populated
            .execute(&format!(
                "update ingest.inbox set applied_at = applied_at - interval '100 days'
             where applied_at > '2026-11-01' and hashtext(event_id) % {share} = 0"
            ))
            .await;
        let pruned = prune::run(&populated.store, NOW - Duration::days(90)).await.unwrap().unwrap();
        assert!(pruned.events > 0 && pruned.bytes > 0, "{part}: {pruned:?}");
        populated.assert_sound(part).await;
        let (report, _) = populated.rebuild().await;
        assert!(report.pruned >= pruned.events.unsigned_abs(), "{part}: {report:?}");
        dump::assert_same(&sound, &tables(&populated).await, part);
    }
    let with_body = "select distinct source from ingest.inbox where body <> ''";
    assert_eq!(populated.text(with_body).await, "(internal)");
    let acts =
        populated.text("select act, count(*) from ingest.audit_log where act = 'prune' group by act").await;
    assert_eq!(acts, "(prune,3)");
}

#[tokio::test]
async fn damage_is_repaired_without_pruned_bodies() {
    let populated = PopulatedApp::lived(1).await;
    let sound = tables(&populated).await;
    let all = NOW + Duration::days(1);
    prune::run(&populated.store, all).await.unwrap();
    populated.execute(
        "truncate ingest.payments, ingest.customer_revenue, ingest.customers, ingest.activity, public.mrr_movements,
             public.payment_history, public.customer_subscriptions, public.user_revenue_metrics,
             public.user_revenue_by_currency, public.user_activity_metrics",
    )
    .await;
    populated.rebuild().await;
    dump::assert_same(&sound, &tables(&populated).await, "rebuilt from the facts");
}

#[tokio::test]
async fn damaged_consent_is_found_without_pruned_bodies() {
    let populated = PopulatedApp::lived(1).await;
    let sound = tables(&populated).await;
    prune::run(&populated.store, NOW + Duration::days(1)).await.unwrap();
    for damage in [
        "update public.sms_consents set opted_in = not opted_in where",
        "delete from public.sms_consents where",
    ] {
        populated.execute(&format!("{damage} number = (select min(number) from public.sms_consents)")).await;
        let (report, differences) = populated.check().await;
        let expected = BTreeMap::from([("public.sms_consents".to_owned(), 1)]);
        assert_eq!(report.differing, expected, "{damage}: {differences:#?}");
        populated.rebuild().await;
        populated.assert_sound(damage).await;
        dump::assert_same(&sound, &tables(&populated).await, damage);
    }
}

#[tokio::test]
async fn later_events_apply_equally_after_pruning() {
    let (populated, other) = (PopulatedApp::found(1).await, PopulatedApp::found(1).await);
    let events = populated.shuffled(7);
    // Events that share a second stay together.
    let (first, then): (Vec<Envelope>, Vec<Envelope>) =
        events.clone().into_iter().partition(|event| event.occurred_at.unix_timestamp() / 7 % 2 == 0);
    assert!(!first.is_empty() && !then.is_empty());
    for populated in [&populated, &other] {
        apply(&populated.store, first.clone()).await;
    }
    let pruned = prune::run(&other.store, NOW + Duration::days(1)).await.unwrap().unwrap();
    assert!(pruned.events > 0);
    for populated in [&populated, &other] {
        apply(&populated.store, then.clone()).await;
        populated.end().await;
    }
    dump::assert_same(&tables(&populated).await, &tables(&other).await, "with the rest reported");
    other.assert_sound("with the rest reported").await;

    let applied = other.store.apply(&events).await.unwrap();
    assert_eq!((applied.new, applied.dead), (0, 0), "each is known by its name");
}

#[tokio::test]
async fn nothing_is_pruned_during_a_rebuild() {
    let populated = PopulatedApp::lived(1).await;
    let rebuild = Rebuild::begin(&populated.store).await.unwrap();
    assert_eq!(prune::run(&populated.store, NOW + Duration::days(1)).await.unwrap(), None);
    assert_eq!(populated.text("select 1 from ingest.inbox where pruned_at is not null limit 1").await, "");
    rebuild.end().await.unwrap();
    assert!(prune::run(&populated.store, NOW + Duration::days(1)).await.unwrap().is_some());
    let later = store(&populated.database, NOW);
    assert_eq!(prune::run(&later, NOW + Duration::days(1)).await.unwrap().map(|it| it.events), Some(0));
}

#[tokio::test]
async fn prune_dry_run_counts_and_keeps_newer_bodies() {
    let populated = PopulatedApp::lived(1).await;
    let prune = async |args: &[&str]| output_of(&populated, "prune", args).await;
    let (code, _, said) = prune(&[]).await;
    assert!(code == 2 && said.contains("MEMBERFLOW_RETENTION_DAYS"), "{said}");
    assert_eq!(prune(&["--older-than", "7d"]).await.0, 2);

    populated.execute("update ingest.inbox set applied_at = now()").await;
    let (code, said, _) = prune(&["--older-than", "36d", "--json"]).await;
    assert_eq!((code, serde_json::from_str::<Value>(&said).unwrap()), (0, json!({"events": 0, "bytes": 0})));
    populated.execute("update ingest.inbox set applied_at = now() - interval '37 days'").await;
    let (_, said, _) = prune(&["--older-than", "36d", "--dry-run", "--json"]).await;
    let would: Value = serde_json::from_str(&said).unwrap();
    assert!(would["events"].as_i64() > Some(0) && would["bytes"].as_i64() > Some(0), "{said}");
    assert_eq!(populated.text("select 1 from ingest.inbox where pruned_at is not null limit 1").await, "");
    let (code, said, _) = prune(&["--older-than", "36d"]).await;
    assert!(code == 0 && said.starts_with("events whose bodies were removed: "), "{said}");
    let (_, shown, _) =
        output_of(&populated, "events", &["list", "--type", "customer.created", "--json"]).await;
    let events: Value = serde_json::from_str(&shown).unwrap();
    let name = events[0]["event_id"].as_str().unwrap();
    let (code, shown, _) = output_of(&populated, "events", &["show", name]).await;
    assert!(code == 0 && shown.contains("its body was removed"), "{shown}");
}

/// What is derived: all but the inbox.
async fn tables(populated: &PopulatedApp) -> Dump {
    let mut dump = dump::everything(&populated.database.pool).await;
    dump.remove("ingest.inbox");
    dump
}
