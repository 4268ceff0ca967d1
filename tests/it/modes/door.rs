//! How senders, operators and metrics learn of events that do not count.

use serde_json::{Value, json};

use super::{OTHER_ACCOUNT, app, flags};
use crate::support::app::TestApp;
use crate::support::process::{Serving, Settings, memberflow};
use crate::support::receiver::{NOW, TestReceiver, eventually};
use memberflow::config::Config;
use memberflow::ops::doctor::{Level, examine};
use memberflow::project::stripe::StripeMode;

fn event(id: &str, changes: &Value) -> Vec<u8> {
    let mut event = json!({
        "id": id, "object": "event", "type": "customer.created", "created": NOW.unix_timestamp(), "livemode": true,
        "data": {"object": {"id": "cus_1", "object": "customer", "created": NOW.unix_timestamp()}}
    });
    for (field, value) in changes.as_object().unwrap() {
        event[field] = value.clone();
    }
    serde_json::to_vec(&event).unwrap()
}

async fn answered(receiver: &TestReceiver, id: &str, changes: Value) -> Value {
    let response = receiver.stripe(event(id, &changes)).send().await.unwrap();
    assert_eq!(response.status(), 200, "{id}");
    response.json().await.unwrap()
}

#[tokio::test]
async fn not_counted_event_is_stored_and_explained() {
    let receiver = TestReceiver::with(|config| config.stripe_mode = None).await;
    assert_eq!(answered(&receiver, "evt_1", json!({})).await, json!({"received": true, "id": "evt_1"}));
    for (id, changes, setting) in [
        ("evt_2", json!({"livemode": false}), "MEMBERFLOW_STRIPE_MODE=test"),
        ("evt_3", json!({"account": OTHER_ACCOUNT}), "MEMBERFLOW_STRIPE_ACCOUNT=acct_1Connected"),
        ("evt_4", json!({"context": OTHER_ACCOUNT}), "MEMBERFLOW_STRIPE_ACCOUNT=acct_1Connected"),
        (
            "evt_5",
            json!({"object": "v2.core.event", "created": "2025-11-26T12:00:00Z", "livemode": false}),
            "MEMBERFLOW_STRIPE_MODE=test",
        ),
    ] {
        let answer = answered(&receiver, id, changes).await;
        assert_eq!((&answer["received"], &answer["counted"]), (&json!(true), &json!(false)), "{answer}");
        assert!(answer["reason"].as_str().unwrap().contains(setting), "{answer}");
    }
    assert_eq!(receiver.wait_for_pending(5).await.len(), 5);

    let connected = TestReceiver::with(|config| {
        config.stripe_mode = None;
        config.stripe_account = Some(OTHER_ACCOUNT.to_owned());
    })
    .await;
    let own = answered(&connected, "evt_1", json!({})).await;
    assert!(own["reason"].as_str().unwrap().contains("leave MEMBERFLOW_STRIPE_ACCOUNT unset"), "{own}");
    let theirs = answered(&connected, "evt_2", json!({"account": OTHER_ACCOUNT})).await;
    assert_eq!(theirs, json!({"received": true, "id": "evt_2"}));
}

fn settings(app: &TestApp) -> Settings {
    vec![
        ("DATABASE_URL", app.database.url()),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_modes_only".to_owned()),
        ("MEMBERFLOW_STRIPE_MODE", String::new()),
    ]
}

async fn run(settings: &Settings, args: &[&str]) -> (i32, String, String) {
    let mut command = memberflow(settings);
    command.args(args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn not_counted_events_are_reported_everywhere() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let app = app(None, None).await;
    let settings = settings(&app);
    let serving = Serving::all(&settings);
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/modes");
    let (code, stdout, stderr) = run(&settings, &["replay", cases, "--url", &serving.url()]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("9 accepted") && stdout.contains("5 of them not counted: "), "{stdout}");
    assert!(stdout.contains("MEMBERFLOW_STRIPE_"), "{stdout}");

    eventually("all events applied", async || {
        let inbox = app
            .rows("select 1 as one from ingest.events where source = 'stripe' and state = 'applied'")
            .await;
        (inbox.len() == 9).then_some(())
    })
    .await;
    assert_eq!(flags(&app).await.len(), 5);
    let log = serving.log();
    assert_eq!(log.matches("event stored, not counted").count(), 5, "{log}");
    assert!(log.contains("set MEMBERFLOW_STRIPE_MODE=test"), "{log}");
    let metrics = reqwest::get(format!("{}/metrics", serving.url())).await.unwrap().text().await.unwrap();
    for line in [
        "memberflow_stripe_not_counted_total{reason=\"test_mode\"} 3",
        "memberflow_stripe_not_counted_total{reason=\"other_account\"} 2",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }

    for command in ["show", "trace"] {
        let (code, stdout, _) = run(&settings, &["events", command, "evt_test_mode_among_live_29"]).await;
        assert!(
            code == 0 && stdout.contains("Not counted") && stdout.contains("MEMBERFLOW_STRIPE_MODE=test"),
            "{stdout}"
        );
    }
    let (_, listed, _) = run(&settings, &["events", "list", "--json"]).await;
    assert_eq!(listed.matches("\"not_counted\": \"test_mode\"").count(), 3, "{listed}");
}

#[tokio::test]
async fn doctor_counts_not_counted_events() {
    let app = app(None, None).await;
    let finding = async |mode| {
        let config = Config { stripe_mode: mode, ..Config::new(app.database.url()) };
        let report = examine(&config).await;
        let not_counted = report.findings.into_iter().find(|it| it.message.contains("not counted"));
        not_counted.map(|it| (it.level, it.message, it.fix.unwrap_or_default()))
    };
    assert_eq!(finding(None).await, None);

    let (test, live): (Vec<_>, Vec<_>) = super::cases()
        .into_iter()
        .partition(|event| serde_json::from_slice::<Value>(&event.body).unwrap()["livemode"] == false);
    app.apply(test).await;
    let (level, message, fix) = finding(None).await.unwrap();
    assert!(
        level == Level::Warning && message.contains("none of Stripe's events counts"),
        "{level:?} {message}"
    );
    assert!(
        message.contains("3 of test mode") && fix.contains("MEMBERFLOW_STRIPE_MODE=test"),
        "{message} {fix}"
    );

    app.apply(live).await;
    let (level, message, fix) = finding(None).await.unwrap();
    assert!(
        level == Level::Note && message.contains("2 of the account acct_1Connected"),
        "{level:?} {message}"
    );
    assert!(fix.contains("MEMBERFLOW_STRIPE_ACCOUNT=acct_1Connected"), "{fix}");
    let (level, _, fix) = finding(Some(StripeMode::Any)).await.unwrap();
    assert!(level == Level::Warning && fix.contains("memberflow rebuild"), "{level:?} {fix}");
}
