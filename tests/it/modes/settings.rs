//! When settings change, a rebuild gives the tables of a fresh database.

use super::*;
use memberflow::store::rebuild::Selection;

/// A setting of each kind.
const SETTINGS: [(Option<StripeMode>, Option<&str>); 5] = [
    (None, None),
    (Some(StripeMode::Test), None),
    (Some(StripeMode::Any), None),
    (Some(StripeMode::Live), Some(OTHER_ACCOUNT)),
    (Some(StripeMode::Live), Some("acct_nobody")),
];

fn everything_reported() -> Vec<Envelope> {
    cases().into_iter().chain(live()).chain(disturbances()).collect()
}

/// Rows of members who were touched under another setting stay, without any number. Nor is it forgotten
/// that they were seen, nor to whom a customer was matched by address.
fn without_traces(mut dump: Dump) -> Dump {
    dump.remove("ingest.users");
    dump.remove("public.user_activity_metrics");
    for (table, trace) in [
        ("ingest.customers", r#""matched_by": "email""#),
        ("public.user_revenue_metrics", r#""currency": null"#),
    ] {
        dump.get_mut(table).unwrap().retain(|row| !row.contains(trace));
    }
    dump
}

#[tokio::test]
async fn rebuild_after_setting_change_equals_fresh_start() {
    let mut expected = Vec::new();
    for (mode, account) in SETTINGS {
        let fresh = app(mode, account).await;
        apply(&fresh.store, everything_reported(), 7).await;
        expected.push(without_traces(everything(&fresh.database.pool).await));
    }
    let app = app(None, None).await;
    apply(&app.store, everything_reported(), 8).await;
    for at in [1, 2, 3, 4, 0] {
        let (mode, account) = SETTINGS[at];
        let store = store(&app.database, mode, account);
        let report = rebuilt(&store, false).await;
        assert!(report.differing["ingest.events"] > 0, "the flags follow: {report:?}");
        let found = without_traces(everything(&app.database.pool).await);
        assert_same(&expected[at], &found, &format!("{mode:?} {account:?}"));
        assert_eq!(rebuilt(&store, true).await.differing_rows(), 0, "{mode:?} {account:?}");
    }
}

#[tokio::test]
async fn partial_replay_counts_only_selected_events() {
    let app = app(None, None).await;
    apply(&app.store, everything_reported(), 9).await;
    let any = store(&app.database, Some(StripeMode::Any), None);
    let selection = Selection { customer: Some("cus_mode_test".to_owned()), ..Selection::default() };
    let replayed = rebuild::replay(&any, &selection, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert!(replayed.differing_rows() > 0, "{replayed:?}");
    let test_mode = "select total_spent from public.user_revenue_by_currency
                     where user_id = '00000000-0000-4000-8000-000000000005'";
    assert_eq!(app.rows(test_mode).await.len(), 1);
    let left = app
        .rows(
            "select event_id from ingest.inbox where not_counted = 'test_mode' and subject like '%mode_test'",
        )
        .await;
    assert_eq!(left, [] as [Value; 0], "these count now, and are not flagged");
}

#[tokio::test]
async fn pruned_not_counted_events_are_harmless() {
    let app = app(None, None).await;
    app.apply(disturbances()).await;
    while app.store.prune_page(NOW + time::Duration::days(1)).await.unwrap().is_some_and(|it| it.events > 0) {
    }
    apply(&app.store, live(), 3).await;
    let alone = self::app(None, None).await;
    apply(&alone.store, live(), 4).await;
    let dump = async |app: &TestApp| without_inbox(everything(&app.database.pool).await);
    assert_same(&dump(&alone).await, &dump(&app).await, "after pruning");
    assert_eq!(rebuilt(&app.store, true).await.differing_rows(), 0);
}
