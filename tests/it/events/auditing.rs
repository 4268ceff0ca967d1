//! Operator actions are recorded in the audit log, and events can be traced.

use memberflow::ops::members::{self, Change};
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::supabase;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{NOW, TestApp, customer, stripe, subscription};
use crate::support::process::{Settings, memberflow};

#[tokio::test]
async fn actions_are_audited_with_actor_and_arguments() {
    let app = TestApp::begin().await;
    let user = Uuid::new_v4();
    app.sign_up(user, "ann@example.com").await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "ann@example.com"))]).await;

    for act in [
        &["rebuild"][..],
        &["replay", "--from-inbox", "--id", "evt_1"],
        &["backfill", "activity"],
        &["supabase", "install"],
        &["supabase", "install"],
        &["supabase", "uninstall"],
    ] {
        let (exit, said) = run(&app, act);
        assert_eq!(exit, 0, "{act:?}: {said}");
    }
    app.execute("update ingest.activity set logins = logins + 1").await;
    app.execute("update public.user_activity_metrics set total_logins = 7").await;
    supabase::run(&app.store, true, &mut Progress::Silent, |_| {}).await.unwrap();
    let change: Change = serde_json::from_value(json!({
        "health_status": "churned", "engagement_status": null, "admin_notes": "call Ann"
    }))
    .unwrap();
    members::change(&app.database.pool, user, &change, "api", NOW).await.unwrap();

    let lines = app.rows("select act, arguments, outcome from ingest.audit_log order by id").await;
    let acts: Vec<&str> = lines.iter().map(|line| line["act"].as_str().unwrap()).collect();
    assert_eq!(
        acts,
        [
            "rebuild",
            "replay",
            "backfill",
            "supabase install",
            "supabase uninstall",
            "reconcile supabase",
            "members change"
        ]
    );
    assert_eq!(lines[1]["arguments"], json!({"ids": ["evt_1"]}));
    assert_eq!(lines[2]["arguments"], json!({"scopes": ["activity", "revenue"]}));
    assert!(
        lines[3]["outcome"]["installed"].as_array().is_some_and(|tables| !tables.is_empty()),
        "{lines:?}"
    );
    let changed = json!({
        "user_id": user, "health_status": "churned", "engagement_status": null, "admin_notes": "changed"
    });
    assert_eq!(lines[6]["arguments"], changed);
    let nobody = app.rows("select 1 from ingest.audit_log where actor = '' or actor is null").await;
    assert_eq!(nobody, [] as [Value; 0]);
}

#[tokio::test]
async fn failed_change_is_not_audited() {
    let app = TestApp::begin().await;
    let change: Change = serde_json::from_value(json!({"health_status": "churned"})).unwrap();
    members::change(&app.database.pool, Uuid::new_v4(), &change, "api", NOW).await.unwrap_err();
    assert_eq!(app.rows("select 1 from ingest.audit_log").await, [] as [Value; 0]);
}

#[tokio::test]
async fn event_trace_shows_delivery_and_changed_rows() {
    let app = TestApp::begin().await;
    let of = |status: &str| subscription("sub_1", "cus_1", status);
    let mut later = of("canceled");
    later["ended_at"] = json!(1_767_225_700);
    app.apply([stripe("evt_1", "customer.subscription.created", 1, of("active"))]).await;
    app.apply([stripe("evt_2", "customer.subscription.updated", 60, of("past_due"))]).await;
    app.apply([stripe("evt_3", "customer.subscription.deleted", 100, later)]).await;

    let trace = |event: &str| {
        let (exit, said) = run(&app, &["events", "trace", event, "--json"]);
        assert_eq!(exit, 0, "{said}");
        serde_json::from_str::<Value>(&said).unwrap()[0].clone()
    };
    let first = trace("evt_1");
    assert_eq!((&first["event"]["state"], &first["via"]), (&json!("applied"), &json!("webhook")));
    let lost = json!([{"table": "ingest.stripe_facts", "id": "sub_1", "by": "evt_3",
                       "occurred_at": first["lost"][0]["occurred_at"]}]);
    assert_eq!(first["lost"], lost);
    let movement =
        first["changes"].as_array().unwrap().iter().find(|it| it["table"] == "public.mrr_movements");
    let movement = movement.unwrap_or_else(|| panic!("{first:#}"));
    assert_eq!((&movement["before"]["mrr"], &movement["after"]["mrr"]), (&json!(0), &json!(1000)));

    let second = trace("evt_2");
    let version = &second["changes"][0];
    assert_eq!(
        (&version["before"]["status"], &version["after"]["status"]),
        (&json!("active"), &json!("past_due"))
    );
    let third = trace("evt_3");
    assert_eq!(third["won"][0]["table"], "ingest.stripe_facts");
    assert!(third["parked"].as_array().unwrap().iter().any(|it| it["reason"] == "unknown_user"), "{third:#}");
    assert!(third["not_kept"].as_array().is_some_and(|it| !it.is_empty()));

    let (exit, said) = run(&app, &["events", "trace", "evt_2"]);
    assert!(
        exit == 0 && said.contains("status: \"active\" -> \"past_due\"") && said.contains("Not kept"),
        "{said}"
    );
    assert_eq!(run(&app, &["events", "trace", "evt_9"]).0, 5);
}

#[tokio::test]
async fn event_trace_shows_operator_actions() {
    let app = TestApp::begin().await;
    let event = stripe("evt_1", "customer.created", 0, customer("cus_1", "ann@example.com"));
    app.store.dead_letter(&[(event, "too often".to_owned())]).await.unwrap();
    let (_, dead) = run(&app, &["events", "trace", "evt_1"]);
    assert!(dead.contains("dead 2026") && dead.contains("too often"), "{dead}");
    run(&app, &["dead-letters", "redrive", "--all"]);
    let (_, waiting) = run(&app, &["events", "trace", "evt_1"]);
    assert!(
        waiting.contains("waiting to be applied") && waiting.contains("dead-letters redrive by"),
        "{waiting}"
    );
}

/// The exit code, and what was said: on stdout where it went well.
fn run(app: &TestApp, args: &[&str]) -> (i32, String) {
    let settings: Settings = vec![("DATABASE_URL", app.database.url())];
    let output = memberflow(&settings).args(args).output().unwrap();
    let said = if output.status.success() { output.stdout } else { [output.stdout, output.stderr].concat() };
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}
