//! A rebuild while events keep coming; one that is stopped; two at once.

use std::time::Duration;

use fastrand::Rng;
use memberflow::store::rebuild::{Rebuild, RebuildError};

use super::{NOW, PopulatedApp, apply, run};
use crate::support::dump;

#[tokio::test]
async fn rebuild_during_traffic_loses_no_event() {
    let calm = PopulatedApp::lived(2).await;
    let expected = dump::everything(&calm.database.pool).await;

    let populated = PopulatedApp::found(2).await;
    let mut events = populated.shuffled(99);
    let late = events.split_off(events.len() / 3);
    apply(&populated.store, events).await;
    populated.execute("update ingest.customer_revenue set collected = collected + 1").await;
    populated.execute("delete from public.payment_history").await;
    let traffic = async {
        for batch in late.chunks(7) {
            populated.store.apply(batch).await.unwrap();
            populated.store.recompute_due().await.unwrap();
        }
    };
    let rebuilds = async {
        let mut found = 0;
        for _ in 0..2 {
            found += run(&populated.store, false).await.unwrap().0.differing_rows();
            run(&populated.store, true).await.unwrap();
        }
        found
    };
    let ((), found) = tokio::join!(traffic, rebuilds);
    assert!(found > 0);
    populated.end().await;
    populated.assert_sound("after the traffic").await;
    let after = dump::everything(&populated.database.pool).await;
    dump::assert_same(&expected, &after, "rebuilt among live events");
}

#[tokio::test]
async fn check_during_traffic_finds_nothing() {
    let populated = PopulatedApp::found(2).await;
    let mut events = populated.shuffled(5);
    let late = events.split_off(events.len() / 4);
    apply(&populated.store, events).await;
    let traffic = async {
        for batch in late.chunks(5) {
            populated.store.apply(batch).await.unwrap();
        }
    };
    let checks = async {
        for _ in 0..3 {
            populated.assert_sound("among live events").await;
        }
    };
    tokio::join!(traffic, checks);
}

#[tokio::test]
async fn interrupted_rebuild_is_atomic_and_repeatable() {
    let populated = PopulatedApp::lived(2).await;
    let sound = dump::everything(&populated.database.pool).await;
    populated.execute("delete from public.user_revenue_metrics").await;
    populated.execute("update ingest.payments set collected = 0").await;
    let damaged = dump::everything(&populated.database.pool).await;
    let mut rng = Rng::with_seed(11);
    for _ in 0..12 {
        let patience = Duration::from_millis(rng.u64(1..1500));
        let finished = tokio::time::timeout(patience, run(&populated.store, false)).await;
        let after = dump::everything(&populated.database.pool).await;
        let done = populated.text("select count(*) from ingest.audit_log").await != "(0)";
        assert!(done || finished.is_err());
        dump::assert_same(
            if done { &sound } else { &damaged },
            &after,
            &format!("stopped after {patience:?}"),
        );
        if done {
            break;
        }
    }
    populated.rebuild().await;
    populated.assert_sound("run again").await;
    let after = dump::everything(&populated.database.pool).await;
    dump::assert_same(&sound, &after, "run again");
}

#[tokio::test]
async fn only_one_runs_at_a_time() {
    let populated = PopulatedApp::found(1).await;
    let first = Rebuild::begin(&populated.store).await.unwrap();
    assert!(matches!(run(&populated.store, true).await, Err(RebuildError::AnotherIsRunning)));
    drop(first);
    populated.assert_sound("the first was deleted").await;
}

#[tokio::test]
async fn events_resolved_twice_change_nothing() {
    let populated = PopulatedApp::lived(1).await;
    let once = dump::everything(&populated.database.pool).await;
    // Forgotten by the inbox alone, each of them is new, and resolves on facts that it has made before.
    let kept = "select source, event_id, event_type, subject, occurred_at, received_at, applied_at, body
                from ingest.inbox where source = 'internal'";
    populated.execute(&format!("create table public.kept as {kept}")).await;
    populated.execute("truncate ingest.inbox").await;
    populated.execute("insert into ingest.inbox select * from public.kept; drop table public.kept").await;
    apply(&populated.store, populated.shuffled(1234)).await;
    dump::assert_same(&once, &dump::everything(&populated.database.pool).await, "resolved twice");
}

/// A rebuild reads a thousand events at a time. `make soak` rebuilds a hundred thousand.
#[tokio::test]
async fn more_events_than_a_page_are_rebuilt_identically() {
    let populated = PopulatedApp::lived(5).await;
    assert!(5 * populated.population.events_per_round() > 1_000);
    let (report, differences) = populated.check().await;
    assert_eq!(differences, []);
    assert!(report.events as usize >= 5 * populated.population.events_per_round());
    assert_eq!((report.unreadable, report.check), (0, true));
    populated.execute("truncate public.user_revenue_metrics, ingest.stripe_facts, ingest.activity").await;
    let (report, _) = populated.rebuild().await;
    assert_eq!(report.differing.len(), 3, "{:?}", report.differing);
    populated.assert_sound("fixed").await;
    assert_eq!(populated.store.apply(&populated.population.events(3, NOW)).await.unwrap().new, 0);
}
