//! The commands themselves: what they print, and how they end.

use serde_json::{Value, json};

use super::account::Account;
use crate::support::app::{TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::process::{Settings, memberflow};

async fn run(settings: &Settings, args: &str) -> (i32, String, String) {
    let (settings, args) = (settings.clone(), args.to_owned());
    let output =
        tokio::task::spawn_blocking(move || memberflow(&settings).args(args.split(' ')).output().unwrap());
    let output = output.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn settings(account: &Account, app: &TestApp) -> Settings {
    vec![
        ("DATABASE_URL", app.database.url()),
        ("STRIPE_API_KEY", "sk_test_123".to_owned()),
        ("STRIPE_API_BASE", account.base.clone()),
        ("MEMBERFLOW_STRIPE_REQUESTS_PER_SECOND", "100".to_owned()),
    ]
}

async fn drifting() -> (Account, TestApp) {
    let (account, app) = (Account::open().await, TestApp::begin().await);
    app.apply([stripe(
        "evt_1",
        "customer.subscription.created",
        0,
        subscription("sub_1", "cus_1", "active"),
    )])
    .await;
    account.has("subscriptions", subscription("sub_1", "cus_1", "past_due"));
    account.has("customers", customer("cus_1", "ada@example.com"));
    (account, app)
}

#[tokio::test]
async fn drift_is_printed_fixed_and_sets_exit_code() {
    let (account, app) = drifting().await;
    let settings = settings(&account, &app);
    let (code, stdout, stderr) = run(&settings, "reconcile stripe").await;
    assert_eq!(code, 6, "{stdout}{stderr}");
    assert!(stdout.contains("customer cus_1: not known here\n"), "{stdout}");
    let line = "subscription sub_1 of cus_1: here -> at Stripe\n    status: \"active\" -> \"past_due\"\n";
    assert!(stdout.contains(line), "{stdout}");
    assert!(
        stdout.contains("objects that differ: 2; `memberflow reconcile stripe --fix` fixes them"),
        "{stdout}"
    );
    assert!(stderr.starts_with("reconcile: unresolved objects\nreconcile: /products\n"), "{stderr}");

    let (code, stdout, _) = run(&settings, "reconcile stripe --limit 1").await;
    assert!(code == 6 && stdout.contains("… and 1 more; --json shows them all"), "{stdout}");
    let (code, stdout, _) = run(&settings, "reconcile stripe --json").await;
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (6, 3), "{stdout}");
    assert_eq!(lines[1]["fields"], json!([{"field": "status", "here": "active", "stripe": "past_due"}]));
    assert_eq!(lines[2]["summary"]["drifted"], json!({"customer": 1, "subscription": 1}));

    let (code, stdout, stderr) = run(&settings, "reconcile stripe --fix").await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("objects that differed and are fixed: 2"), "{stdout}");
    let line = app.rows("select act, outcome -> 'mended' as mended from ingest.audit_log").await;
    assert_eq!(line, [json!({"act": "reconcile stripe", "mended": 2})]);
    let (code, stdout, _) = run(&settings, "reconcile stripe").await;
    assert!(code == 0 && stdout.contains("no drift: the facts match Stripe"), "{stdout}");

    app.apply([stripe("evt_2", "invoice.paid", 0, paid_invoice("in_1", "cus_1", 5))]).await;
    let (code, stdout, _) = run(&settings, "reconcile stripe --fix").await;
    assert!(code == 6 && stdout.contains("invoice in_1: not known to Stripe"), "{stdout}");
    assert!(stdout.contains("fixed: 0; objects that differ and cannot be fixed: 1"), "{stdout}");
}

#[tokio::test]
async fn one_object_is_compared_and_fixed_alone() {
    let (account, app) = drifting().await;
    let settings = settings(&account, &app);
    let (code, stdout, stderr) = run(&settings, "reconcile stripe --object sub_1").await;
    assert_eq!(code, 6, "{stdout}{stderr}");
    assert!(stdout.contains("    status: \"active\" -> \"past_due\"\n"), "{stdout}");
    assert!(!stdout.contains("cus_1: not known"), "{stdout}");
    assert_eq!(account.asked().len(), 1, "{:?}", account.asked());
    let (code, stdout, _) = run(&settings, "reconcile stripe --object sub_1 --fix").await;
    assert!(code == 0 && stdout.contains("objects that differed and are fixed: 1"), "{stdout}");
    let (code, stdout, _) = run(&settings, "reconcile stripe --object sub_1").await;
    assert!(code == 0 && stdout.contains("no drift"), "{stdout}");
    let (code, stdout, _) = run(&settings, "reconcile stripe --object cus_1").await;
    assert!(code == 6 && stdout.contains("customer cus_1: not known here\n"), "{stdout}");
    let checks = app.rows("select from ingest.last_checks").await;
    assert_eq!(checks.len(), 0, "one object is no comparison of all");

    app.apply([stripe("evt_2", "invoice.paid", 0, paid_invoice("in_1", "cus_1", 5))]).await;
    let (code, stdout, _) = run(&settings, "reconcile stripe --object in_1 --fix").await;
    assert!(code == 6 && stdout.contains("invoice in_1: not known to Stripe"), "{stdout}");
    let (code, _, stderr) = run(&settings, "reconcile stripe --object in_2").await;
    assert!(code == 5 && stderr.contains("neither Stripe nor any event has in_2"), "{stderr}");
    for wrong in ["pi_1", "sub_1/x", "SUMMER"] {
        let (code, _, stderr) = run(&settings, &format!("reconcile stripe --object {wrong}")).await;
        assert!(code == 2 && stderr.contains("one of prod_, price_, plan_, cus_, sub_"), "{stderr}");
    }
}

#[tokio::test]
async fn stripe_backfill_imports_and_counts_everything() {
    let (account, app) = drifting().await;
    let settings = settings(&account, &app);
    let (code, stdout, stderr) = run(&settings, "backfill stripe --since 2020-01-01").await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("       1  subscription, 1 differ\n"), "{stdout}");
    assert!(stderr.contains("backfill: /subscriptions"), "{stderr}");
    let (code, stdout, _) = run(&settings, "backfill stripe --json").await;
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["drifted"], &report["mended"]), (0, &json!({}), &json!(0)));
    account.lacks("disputes");
    let (code, stdout, _) = run(&settings, "backfill stripe").await;
    assert!(code == 3 && stdout.contains("could not be read: /disputes: Stripe answered 404"), "{stdout}");

    let (code, stdout, _) = run(&settings, "backfill stripe-events --undelivered").await;
    assert_eq!((code, stdout.as_str()), (0, "events that Stripe has: 0; new and applied: 0\n"));
}

#[tokio::test]
async fn bad_key_outage_and_missing_key_are_distinguished() {
    let (account, app) = drifting().await;
    let mut settings = settings(&account, &app);
    account.refuses(0, 401);
    let (code, _, stderr) = run(&settings, "reconcile stripe").await;
    assert!(
        code == 4 && stderr.contains("/products: Stripe answered 401") && stderr.contains("make a new key"),
        "{stderr}"
    );
    account.refuses(0, 403);
    let (code, _, stderr) = run(&settings, "backfill stripe-events").await;
    assert!(
        code == 4 && stderr.contains("/events: Stripe answered 403") && stderr.contains("the right to read"),
        "{stderr}"
    );

    settings[2].1 = "http://127.0.0.1:1".to_owned();
    settings.remove(1);
    let (code, _, stderr) = run(&settings, "backfill stripe").await;
    assert!(code == 2 && stderr.contains("STRIPE_API_KEY is not set"), "{stderr}");
}
