//! `memberflow replay --from-inbox`: re-applies selected events and repairs only the rows they affect.

use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild::{self, Report};
use memberflow::store::rebuild::{RebuildError, RowDifference, Selection};
use serde_json::{Value, json};
use uuid::Uuid;

use super::PopulatedApp;
use super::command::output_of;
use crate::support::dump;

const DAMAGED: &str = "update public.user_revenue_metrics set mrr = mrr + 1";

#[tokio::test]
async fn replay_of_consistent_tables_changes_nothing() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    let (customer, member) = somebody(&populated).await;
    for selection in [
        Selection { event_type: Some("invoice.paid".to_owned()), ..Selection::default() },
        Selection { customer: Some(customer), ..Selection::default() },
        Selection { member: Some(member), ..Selection::default() },
        Selection::default(),
    ] {
        let (report, differences) = replay(&populated, &selection, false).await.unwrap();
        assert_eq!(differences, [], "{selection:?}");
        assert!(report.selected.is_some_and(|selected| selected > 0), "{selection:?}");
    }
    dump::assert_same(&sound, &dump::everything(&populated.database.pool).await, "replayed");
    assert_eq!(populated.text("select distinct act from ingest.audit_log").await, "(replay)");
}

#[tokio::test]
async fn partial_replay_repairs_only_selected_rows() {
    let populated = PopulatedApp::lived(1).await;
    let (_, member) = somebody(&populated).await;
    populated.execute(DAMAGED).await;
    let damaged = dump::everything(&populated.database.pool).await;
    let selection = Selection { member: Some(member), ..Selection::default() };

    let (_, differences) = replay(&populated, &selection, true).await.unwrap();
    let [difference] = &differences[..] else { panic!("{differences:#?}") };
    assert_eq!(difference.key["user_id"], member.to_string());
    let mrr = |row: &Option<serde_json::Map<String, Value>>| row.as_ref().unwrap()["mrr"].as_i64().unwrap();
    assert_eq!(mrr(&difference.before), mrr(&difference.after) + 1);
    dump::assert_same(&damaged, &dump::everything(&populated.database.pool).await, "a dry run");

    let (report, _) = replay(&populated, &selection, false).await.unwrap();
    assert_eq!(report.differing_rows(), 1);
    let (_, left) = populated.check().await;
    assert!(!left.is_empty() && left.iter().all(|it| it.key["user_id"] != member.to_string()), "{left:#?}");
}

#[tokio::test]
async fn lost_fact_is_restored_with_its_dependents() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    let (customer, _) = somebody(&populated).await;
    let event = populated
        .text(&format!(
            "select event_id from ingest.stripe_facts where customer_id = '{customer}' and kind = 'subscription'
             order by id limit 1"
        ))
        .await;
    let event = event.trim_matches(['(', ')']).to_owned();
    for selection in [
        Selection { customer: Some(customer.clone()), ..Selection::default() },
        Selection { ids: vec![event], ..Selection::default() },
    ] {
        populated.execute(&format!(
            "delete from ingest.stripe_facts where customer_id = '{customer}';
             delete from ingest.claims where customer_id = '{customer}';
             delete from ingest.customer_emails where customer_id = '{customer}' and object_id not like 'match/%';
             delete from ingest.customer_revenue where customer_id = '{customer}';
             delete from public.payment_history where user_id =
                 (select user_id from ingest.customers where id = '{customer}');
             delete from ingest.stripe_versions where id not in (select id from ingest.stripe_facts)"
        ))
        .await;
        let (report, _) = replay(&populated, &selection, false).await.unwrap();
        assert!(report.differing_rows() > 2, "{report:?}");
        dump::assert_same(&sound, &dump::everything(&populated.database.pool).await, "replayed");
    }
}

#[tokio::test]
async fn unknown_selection_is_reported() {
    let populated = PopulatedApp::lived(1).await;
    let selection = Selection { ids: vec!["evt_none".to_owned()], ..Selection::default() };
    let refused = replay(&populated, &selection, false).await;
    assert!(matches!(refused, Err(RebuildError::NothingSelected)), "{refused:?}");
    let command = output_of(&populated, "replay", &["--from-inbox", "--id", "evt_none"]).await;
    assert_eq!(command.0, 5, "{command:?}");
    assert_eq!(populated.text("select nspname from pg_namespace where nspname = 'ingest_rebuild'").await, "");
    assert_eq!(populated.text("select 1 from ingest.audit_log").await, "");
}

#[tokio::test]
async fn command_has_dry_run_and_needs_force() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(DAMAGED).await;
    let (_, member) = somebody(&populated).await;
    let member = member.to_string();
    let replay =
        async |args: &[&str]| output_of(&populated, "replay", &[&["--from-inbox"], args].concat()).await;

    let (code, _, said) = replay(&[]).await;
    assert!(code == 2 && said.contains("--dry-run") && said.contains("--force"), "{said}");
    let (code, shown, _) = replay(&["--member", &member, "--dry-run"]).await;
    assert!(code == 6 && shown.contains("    mrr: "), "{shown}");
    assert!(shown.contains("rows that would change: 1; run without --dry-run to change them"), "{shown}");
    let (code, shown, _) = replay(&["--member", &member, "--dry-run", "--json"]).await;
    let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len(), &lines[0]["key"]), (6, 2, &json!({"user_id": member})));
    assert!(lines[1]["summary"]["selected"].as_i64() > Some(0), "{shown}");

    let (code, shown, _) = replay(&["--member", &member]).await;
    assert!(code == 0 && shown.contains("rows that differed and are fixed: 1"), "{shown}");
    let (code, shown, _) = replay(&["--member", &member]).await;
    assert!(code == 0 && shown.contains("no drift in the rows that the "), "{shown}");
    assert_eq!(replay(&["--force"]).await.0, 0);
    populated.assert_sound("replayed by force").await;
    let acts = "select act, arguments, outcome -> 'differing' ->> 'public.user_revenue_metrics' as rows
                from ingest.audit_log where act = 'replay'";
    let acts = populated.text(acts).await;
    assert!(acts.contains(&member) && acts.contains("{},15"), "{acts}");
}

/// A customer with a subscription whose member has some MRR, and that member.
async fn somebody(populated: &PopulatedApp) -> (String, Uuid) {
    sqlx::query_as(
        "select c.id, c.user_id from ingest.customers c
         join public.user_revenue_metrics m on m.user_id = c.user_id
         where m.mrr > 0 and m.total_spent > 0 order by c.id limit 1",
    )
    .fetch_one(&populated.database.pool)
    .await
    .unwrap()
}

pub(super) async fn replay(
    populated: &PopulatedApp,
    selection: &Selection,
    check: bool,
) -> Result<(Report, Vec<RowDifference>), RebuildError> {
    let mut differences = Vec::new();
    let show = |difference| {
        differences.push(difference);
        true
    };
    let report = rebuild::replay(&populated.store, selection, check, &mut Progress::Silent, show).await?;
    Ok((report, differences))
}
