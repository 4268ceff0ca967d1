//! Operations on dead letters and events.

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use memberflow::envelope::{Envelope, wire};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::{Duration, Instant, sleep};

use crate::support::app::{TestApp, customer, stripe, subscription};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings, memberflow};

#[tokio::test]
async fn broker_dead_letter_can_be_redriven() {
    let (database, broker) = (TestDatabase::migrated().await, TestBroker::new());
    let settings = vec![
        ("DATABASE_URL", database.url()),
        ("AMQP_URL", broker_url()),
        ("MEMBERFLOW_QUEUE_PREFIX", broker.prefix.clone()),
    ];
    let serving = Serving::roles("relay,consume", &settings);
    let made = stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com"));
    let message = wire::encode(made.source, std::slice::from_ref(&made));
    eventually("the queues are there", async || publish(&broker, "dead", &message).await).await;
    eventually("garbage is taken", async || publish(&broker, "events", b"not one of ours").await).await;

    let count = "select count(*) from ingest.events where state = 'dead'";
    eventually("both are dead letters", async || number(&database.pool, count).await == 2).await;
    let reasons = "select reason from ingest.events where state = 'dead' order by event_id";
    let reasons: Vec<String> = sqlx::query_scalar(reasons).fetch_all(&database.pool).await.unwrap();
    assert_eq!(reasons[0], "dead-lettered by the broker: no reason given");
    assert!(reasons[1].starts_with("undecodable message: "), "{reasons:?}");

    let (exit, said) =
        run(&settings, &["dead-letters", "redrive", "--type", "customer.created", "--rate", "50"]);
    assert_eq!((exit, said.as_str()), (0, "letters redriven: 1\n"));
    let applied = "select count(*) from ingest.events where event_id = 'evt_1' and state = 'applied'";
    eventually("it is applied", async || number(&database.pool, applied).await == 1).await;
    assert_eq!(number(&database.pool, count).await, 1);
    drop(serving);
}

#[tokio::test]
async fn applied_event_is_not_dead_lettered() {
    let app = TestApp::begin().await;
    let event = stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com"));
    app.apply([event.clone()]).await;
    app.store.dead_letter(&[(event, "given out too often".to_owned())]).await.unwrap();
    assert_eq!(
        number(&app.database.pool, "select count(*) from ingest.events where state = 'dead'").await,
        0
    );
}

#[tokio::test]
async fn dead_letters_are_listed_shown_redriven_dropped() {
    let (app, settings) = with_letters().await;
    let (exit, list) = run(&settings, &["dead-letters", "list"]);
    assert_eq!(exit, 0);
    assert!(list.contains("evt_1") && list.contains("evt_2") && list.contains("the wrong kind"), "{list}");
    let (_, chosen) = run(&settings, &["dead-letters", "list", "--reason", "WRONG", "--json"]);
    let chosen: Value = serde_json::from_str(&chosen).unwrap();
    assert_eq!((chosen.as_array().unwrap().len(), &chosen[0]["event_id"]), (1, &json!("evt_2")));

    let id = chosen[0]["id"].to_string();
    let (exit, shown) = run(&settings, &["dead-letters", "show", &id]);
    assert!(
        exit == 0 && shown.contains("the wrong kind") && shown.contains("\"object\": \"event\""),
        "{shown}"
    );

    let (_, tried) = run(&settings, &["dead-letters", "drop", &id, "--dry-run"]);
    assert_eq!(tried, "       1  stripe  the wrong kind\nletters that would be dropped: 1\n");
    let (exit, dropped) = run(&settings, &["dead-letters", "drop", &id]);
    assert_eq!((exit, dropped.as_str()), (0, "letters dropped: 1\n"));
    let (exit, acted) = run(&settings, &["dead-letters", "redrive", "--all", "--json"]);
    assert_eq!((exit, serde_json::from_str(&acted).unwrap()), (0, json!({"done": 1, "left": 0})));
    let (_, none) = run(&settings, &["dead-letters", "list"]);
    assert_eq!(none, "no dead letters\n");

    let acts = app.rows("select act, outcome from ingest.audit_log order by id").await;
    let line = |act: &str, event: &str| json!({"act": act, "outcome": {"letters": 1, "events": [event]}});
    assert_eq!(
        acts,
        [line("dead-letters drop", "stripe/evt_2"), line("dead-letters redrive", "stripe/evt_1")]
    );
    let waiting = app.rows("select event_id from ingest.events where state = 'pending'").await;
    assert_eq!(waiting, [json!({"event_id": "evt_1"})]);
}

#[tokio::test]
async fn dead_letter_commands_need_a_selection() {
    let (_app, settings) = with_letters().await;
    let (exit, said) = run(&settings, &["dead-letters", "drop"]);
    assert_eq!(exit, 2);
    assert!(said.contains("name letters by their numbers") && said.contains("--all"), "{said}");
    let (exit, said) = run(&settings, &["dead-letters", "show", "99"]);
    assert_eq!(exit, 5);
    assert!(said.contains("there is no dead letter 99"), "{said}");
}

#[tokio::test]
async fn internal_dead_letters_are_not_redriven() {
    let (app, settings) = with_letters().await;
    app.execute("update ingest.events set source = 'internal' where event_id = 'evt_1'").await;
    let (exit, said) = run(&settings, &["dead-letters", "redrive", "--all"]);
    assert_eq!(exit, 3);
    assert!(
        said.starts_with("letters redriven: 1\nnot redriven") && said.ends_with("applies them\n"),
        "{said}"
    );
}

#[tokio::test]
async fn parked_items_are_listed_with_reasons() {
    let app = TestApp::begin().await;
    let settings = settings(&app);
    assert_eq!(run(&settings, &["parked", "list"]), (0, "nothing is parked\n".to_owned()));
    app.apply([stripe(
        "evt_1",
        "customer.subscription.created",
        1,
        subscription("sub_1", "cus_1", "active"),
    )])
    .await;
    let (_, all) = run(&settings, &["parked", "list"]);
    assert!(all.contains("cus_1") && all.contains("unknown user") && all.contains("no tier"), "{all}");
    let (_, some) = run(&settings, &["parked", "list", "--reason", "no_tier", "--json"]);
    let some: Value = serde_json::from_str(&some).unwrap();
    assert_eq!((some.as_array().unwrap().len(), &some[0]["subject"]), (1, &json!("sub_1")));
}

#[tokio::test]
async fn events_are_found_in_every_state() {
    let (app, settings) = with_letters().await;
    let applied =
        stripe("evt_3", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active"));
    app.apply([applied]).await;
    let (_, list) = run(&settings, &["events", "list", "--subject", "sub_1", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["event_id"]), (1, &json!("evt_3")));
    let (_, other) = run(&settings, &["events", "list", "--type", "invoice.paid"]);
    assert_eq!(other, "no events\n");

    for (event, state) in [("evt_3", "applied 2026-11-20 12:00"), ("evt_2", "dead 2026-11-20 12:00")] {
        let (exit, shown) = run(&settings, &["events", "show", event]);
        assert!(exit == 0 && shown.contains(state) && shown.contains("\"id\": \"evt_"), "{shown}");
    }
    run(&settings, &["dead-letters", "redrive", "--all"]);
    let (_, shown) = run(&settings, &["events", "show", "evt_2"]);
    assert!(shown.contains("waiting to be applied"), "{shown}");
    let (exit, said) = run(&settings, &["events", "show", "evt_9"]);
    assert_eq!(exit, 5);
    assert!(said.contains("no event evt_9 is pending, applied or dead"), "{said}");
}

#[tokio::test]
async fn tail_shows_events_as_they_are_applied() {
    let app = TestApp::begin().await;
    let mut command = memberflow(&settings(&app));
    command.args(["events", "tail", "--json"]).stdout(std::process::Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let mut tail = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(tail.stdout.take().unwrap()));
    let store = app.store_at(memberflow::clock::Clock::System.now() + time::Duration::seconds(5));
    for number in 0..3 {
        let event = stripe(&format!("evt_{number}"), "customer.created", 0, customer("cus_1", "a@b.example"));
        store.apply(&[event]).await.unwrap();
    }
    for number in 0..3 {
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(event["event_id"], format!("evt_{number}"));
    }
}

/// Two dead letters with different reasons.
async fn with_letters() -> (TestApp, Settings) {
    let app = TestApp::begin().await;
    let event =
        |id: &str| -> Envelope { stripe(id, "customer.created", 0, customer("cus_1", "a@b.example")) };
    let letters = [("evt_1", "too often"), ("evt_2", "the wrong kind")];
    let dead = letters.map(|(id, reason)| (event(id), reason.to_owned()));
    app.store.dead_letter(&dead).await.unwrap();
    let settings = settings(&app);
    (app, settings)
}

fn settings(app: &TestApp) -> Settings {
    vec![("DATABASE_URL", app.database.url())]
}

/// The exit code, and what was said on either stream.
fn run(settings: &Settings, args: &[&str]) -> (i32, String) {
    let output = memberflow(settings).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Whether the broker took a message for the exchange of that name.
async fn publish(broker: &TestBroker, exchange: &str, message: &[u8]) -> bool {
    let (connection, channel) = broker.channel().await;
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.unwrap();
    let name = broker.name(exchange);
    let sent = channel.basic_publish(name.into(), "stripe".into(), options, message, properties).await;
    let taken = match sent {
        Ok(confirm) => confirm.await.is_ok_and(|it| it.is_ack() && it.take_message().is_none()),
        Err(_) => false,
    };
    connection.close(200, "done".into()).await.ok();
    taken
}

async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Bodies are written by others: a terminal must show them and obey nothing in them.
#[tokio::test]
async fn shown_bodies_have_no_control_characters() {
    let app = TestApp::begin().await;
    let settings = vec![("DATABASE_URL", app.database.url())];
    let name = "a\u{9b}2Jb\u{7f}c\u{202e}gpj\u{2066}\u{200f}";
    let mut object = customer("cus_1", "ada@example.com");
    object["name"] = json!(name);
    app.apply([stripe("evt_steering", "customer.created", 0, object)]).await;
    let steering = ['\u{9b}', '\u{7f}', '\u{202e}', '\u{2066}', '\u{200f}'];
    for flags in [&[][..], &["--json"]] {
        let arguments = [&["events", "show", "evt_steering"][..], flags].concat();
        let (exit, shown) = run(&settings, &arguments);
        assert!(exit == 0 && !shown.contains(steering), "{shown:?}");
        assert!(shown.contains(r"a\u009b2Jb\u007fc\u202egpj\u2066\u200f"), "{shown}");
    }
    let (_, shown) = run(&settings, &["events", "show", "evt_steering", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["body"]["data"]["object"]["name"], name, "JSON says the same");
}

#[tokio::test]
async fn missing_database_or_migrations_is_explained_once() {
    let database = TestDatabase::empty().await;
    let missing = database.url().replace(&database.name, "mf_missing");
    for (arguments, reading) in [
        (&["members", "list"][..], "relation \"auth.users\""),
        (&["events", "list"], "relation \"ingest.events\""),
        (&["mrr"], "relation \"ingest.mrr_totals\""),
        (&["rebuild", "--check"], "schema \"ingest\""),
    ] {
        for (url, wrong, advice) in [
            (&missing, "database \"mf_missing\"", "correct DATABASE_URL or create the database"),
            (&database.url(), reading, "run `memberflow migrate` on this database"),
        ] {
            let settings = vec![("DATABASE_URL", url.clone())];
            let output = memberflow(&settings).args(arguments).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(7), "{said}");
            assert!(said.ends_with(&format!("{wrong} does not exist; {advice}\n")), "{said}");
            assert_eq!(said.matches("does not exist").count(), 1, "{said}");
        }
    }
}
