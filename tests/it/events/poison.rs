//! A failing event is retried alone and finally dead-lettered; one that can never be applied is dead-lettered
//! at once; one that breaks the connection or crashes the process is isolated. The other events are applied.

use std::time::{Duration, Instant};

use memberflow::envelope::Envelope;
use memberflow::lifecycle::Lifecycle;
use memberflow::queue::Queue;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::app::{TestApp, customer, stripe};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::process::{Serving, Settings, memberflow};

/// What the database does with an event that is to be marked as applied, by its name.
const TRAPS: &str = "
    create function ingest.trap() returns trigger language plpgsql as $$
    begin
        if new.event_id = 'evt_fails' then raise exception 'not today'; end if;
        if new.event_id = 'evt_hopeless' then raise exception 'never' using errcode = '22003'; end if;
        if new.event_id = 'evt_unreferenced' then raise exception 'no such row' using errcode = '23503'; end if;
        if new.event_id = 'evt_forbidden' then raise exception 'not yours' using errcode = '42501'; end if;
        if new.event_id = 'evt_cuts' then perform pg_terminate_backend(pg_backend_pid()); end if;
        if new.event_id = 'evt_ends' then perform pg_sleep(600); end if;
        return new;
    end $$;
    create trigger trap before insert on ingest.inbox for each row when (new.state = 'applied')
        execute function ingest.trap()";

const APPLIED: &str = "state = 'applied' and source = 'stripe'";
const DEAD: &str = "state = 'dead'";
const PENDING: &str = "state = 'pending'";
const ALONE: &str = "state = 'pending' and alone";

#[tokio::test]
async fn failing_events_are_retried_then_dead_lettered() {
    let app = trapped().await;
    queue(&app, &["evt_fails", "evt_hopeless", "evt_cuts", "evt_unreferenced"]).await;
    let serving = Serving::roles("consume", &settings(&app));
    eventually("the neighbours are applied", &serving, async || count(&app, APPLIED).await == 20).await;
    eventually("what can never be is dead", &serving, async || count(&app, DEAD).await == 1).await;
    eventually("the others are tried alone", &serving, async || count(&app, ALONE).await == 3).await;
    assert_eq!(count(&app, PENDING).await, 3);
    let shown = memberflow(&settings(&app)).args(["events", "show", "evt_fails"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("failing, tried again") && shown.contains("not today"), "{shown}");

    eventually("all are given up", &serving, async || {
        hasten(&app).await;
        count(&app, PENDING).await == 0
    })
    .await;
    let dead = "select event_id, reason from ingest.events where state = 'dead' order by event_id";
    let reasons = app.rows(dead).await;
    let reason = |nth: usize| reasons[nth]["reason"].as_str().unwrap();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reason(0).contains("failed 5 times: applying it loses the connection"), "{reasons:?}");
    assert!(reason(1).contains("failed 5 times: ") && reason(1).contains("not today"), "{reasons:?}");
    // At once; alone if the batches that the others failed are still counted for it.
    assert!(!reason(2).contains("failed 5 times") && reason(2).contains("never"), "{reasons:?}");
    assert!(reason(3).contains("failed 5 times: ") && reason(3).contains("no such row"), "{reasons:?}");
}

#[tokio::test]
async fn temporarily_failing_event_is_applied() {
    let app = trapped().await;
    queue(&app, &["evt_fails"]).await;
    let serving = Serving::roles("consume", &settings(&app));
    eventually("it is to be tried alone", &serving, async || count(&app, ALONE).await == 1).await;
    app.execute("drop trigger trap on ingest.inbox").await;
    eventually("it is applied", &serving, async || {
        hasten(&app).await;
        count(&app, APPLIED).await == 21
    })
    .await;
    assert_eq!((count(&app, PENDING).await, count(&app, DEAD).await), (0, 0));
}

#[tokio::test]
async fn crashing_pending_event_is_isolated() {
    let app = trapped().await;
    queue(&app, &["evt_ends"]).await;
    crash_until_dead(&app, &settings(&app)).await;
}

#[tokio::test]
async fn crashing_broker_event_is_isolated() {
    let (app, broker) = (trapped().await, TestBroker::new());
    let mut settings = settings(&app);
    settings.extend([("AMQP_URL", broker_url()), ("MEMBERFLOW_QUEUE_PREFIX", broker.prefix.clone())]);
    publish(&app, &broker, &names(&["evt_ends"])).await;
    crash_until_dead(&app, &settings).await;
}

/// The process goes whenever it touches the event: first with its batch, then alone.
async fn crash_until_dead(app: &TestApp, settings: &Settings) {
    let mut crashes = 0;
    let serving = loop {
        let serving = Serving::roles("consume", settings);
        eventually("it touches the event or is rid of it", &serving, async || {
            hasten(app).await;
            count(app, DEAD).await == 1 || asleep(app).await > 0
        })
        .await;
        if count(app, DEAD).await == 1 {
            break serving;
        }
        serving.kill();
        crashes += 1;
        assert!(crashes <= 15, "it never ends");
        wake(app).await;
    };
    eventually("the neighbours are applied", &serving, async || count(app, APPLIED).await == 20).await;
    let dead = app.rows("select event_id, reason from ingest.events where state = 'dead'").await;
    assert!(
        dead[0]["event_id"] == "evt_ends" && dead[0]["reason"].as_str().unwrap().contains("the process"),
        "{dead:?}"
    );
    assert_eq!(count(app, PENDING).await, 0);
}

#[tokio::test]
async fn killed_consumers_cause_no_dead_letters() {
    let app = TestApp::begin().await;
    app.store.initial_import().await.unwrap();
    queue(&app, &[]).await;
    for kill in 1..=4 {
        // Whoever applies events waits for this one's turn to end.
        let mut turn = memberflow::database::begin(&app.database.pool).await.unwrap();
        sqlx::query("lock table ingest.stripe_facts in access exclusive mode")
            .execute(&mut *turn)
            .await
            .unwrap();
        let serving = Serving::roles("consume", &settings(&app));
        let counted = format!("state = 'pending' and attempts >= {kill}");
        eventually("events are under way", &serving, async || count(&app, &counted).await > 0).await;
        serving.kill();
        turn.rollback().await.unwrap();
    }
    let serving = Serving::roles("consume", &settings(&app));
    eventually("all are applied", &serving, async || {
        hasten(&app).await;
        count(&app, APPLIED).await == 20
    })
    .await;
    assert_eq!((count(&app, PENDING).await, count(&app, DEAD).await), (0, 0));
}

#[tokio::test]
async fn counted_attempt_waits_for_the_row_lock() {
    let app = TestApp::with_connections(6).await;
    queue(&app, &[]).await;
    app.execute("update ingest.events set alone = true").await;
    let due = app.store.begin_retry().await.unwrap().unwrap();
    let mut holder = memberflow::database::begin(&app.database.pool).await.unwrap();
    sqlx::query("select from ingest.events for update").execute(&mut *holder).await.unwrap();
    let store = app.store.clone();
    let mut attempts = JoinSet::new();
    attempts.spawn(async move { store.apply_alone(&due.envelope).await });
    let waiting =
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while app.rows(waiting).await.is_empty() {
        assert!(attempts.try_join_next().is_none(), "it has passed over what is held");
    }
    holder.rollback().await.unwrap();
    assert_eq!(attempts.join_next().await.unwrap().unwrap().unwrap().new, 1);
}

#[tokio::test]
async fn missing_column_does_not_fail_events() {
    let app = TestApp::begin().await;
    app.store.initial_import().await.unwrap();
    app.execute("alter table ingest.customers rename column recompute_at to recompute_when").await;
    queue(&app, &[]).await;
    let serving = Serving::roles("consume", &settings(&app));
    eventually("the batch waits", &serving, async || serving.log().contains("batch failed, will retry"))
        .await;
    app.execute("alter table ingest.customers rename column recompute_when to recompute_at").await;
    eventually("all are applied", &serving, async || count(&app, APPLIED).await == 20).await;
    assert_eq!((count(&app, PENDING).await, count(&app, DEAD).await), (0, 0));
}

#[tokio::test]
async fn missing_privilege_does_not_fail_events() {
    let app = trapped().await;
    app.store.initial_import().await.unwrap();
    queue(&app, &["evt_forbidden"]).await;
    let serving = Serving::roles("consume", &settings(&app));
    eventually("the batch waits", &serving, async || serving.log().contains("batch failed, will retry"))
        .await;
    app.execute("drop trigger trap on ingest.inbox").await;
    eventually("all are applied", &serving, async || count(&app, APPLIED).await == 21).await;
    assert_eq!((count(&app, PENDING).await, count(&app, DEAD).await), (0, 0));
}

#[tokio::test]
async fn orderly_shutdown_acks_the_batch_under_way() {
    let (app, broker) = (TestApp::begin().await, TestBroker::new());
    app.store.initial_import().await.unwrap();
    let mut settings = settings(&app);
    settings.extend([("AMQP_URL", broker_url()), ("MEMBERFLOW_QUEUE_PREFIX", broker.prefix.clone())]);
    publish(&app, &broker, &names(&[])).await;
    let mut holder = memberflow::database::begin(&app.database.pool).await.unwrap();
    sqlx::query("lock table ingest.stripe_facts in access exclusive mode")
        .execute(&mut *holder)
        .await
        .unwrap();
    let mut serving = Serving::roles("consume", &settings);
    // The statement by which a batch reads the facts that its events are about.
    let waiting =
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
                     and query like 'select w.id, f.final%'";
    eventually("a batch is under way", &serving, async || !app.rows(waiting).await.is_empty()).await;
    serving.ask_to_stop();
    eventually("it is stopping", &serving, async || serving.log().contains("stopping")).await;
    holder.rollback().await.unwrap();
    assert!(serving.ended().await.0.success(), "{}", serving.log());
    let applied = count(&app, APPLIED).await;
    assert!(applied > 0);
    let (connection, channel) = broker.channel().await;
    let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel
        .queue_declare(broker.name("stripe").into(), options, lapin::types::FieldTable::default())
        .await
        .unwrap();
    connection.close(200, "done".into()).await.unwrap();
    assert_eq!(i64::from(declared.message_count()) + applied, 20, "what was applied is acked");
}

#[tokio::test]
async fn locked_row_delays_only_its_batch() {
    let app = TestApp::begin().await;
    app.store.initial_import().await.unwrap();
    app.apply([event("evt_first")]).await;
    let mut holder = memberflow::database::begin(&app.database.pool).await.unwrap();
    let lock = "select from ingest.stripe_facts where id = 'cus_evt_first' for update";
    assert_eq!(sqlx::query(lock).execute(&mut *holder).await.unwrap().rows_affected(), 1);
    let serving = Serving::roles("consume", &settings(&app));
    let update = stripe("evt_second", "customer.updated", 9, customer("cus_evt_first", "b@b.example"));
    store_pending(&app, update).await;
    let waiting =
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("its batch waits", &serving, async || !app.rows(waiting).await.is_empty()).await;
    queue(&app, &[]).await;
    eventually("others are applied", &serving, async || count(&app, APPLIED).await == 21).await;
    holder.rollback().await.unwrap();
    eventually("it is applied", &serving, async || count(&app, APPLIED).await == 22).await;
    assert_eq!(count(&app, DEAD).await, 0);
}

#[tokio::test]
async fn orderly_shutdown_counts_no_attempt() {
    let app = TestApp::begin().await;
    app.store.initial_import().await.unwrap();
    app.execute("alter table ingest.customers rename column recompute_at to recompute_when").await;
    queue(&app, &[]).await;
    let mut serving = Serving::roles("consume", &settings(&app));
    eventually("the batch waits", &serving, async || serving.log().contains("batch failed, will retry"))
        .await;
    serving.ask_to_stop();
    assert!(serving.ended().await.0.success());
    assert_eq!(count(&app, "state = 'pending' and attempts = 0 and not alone").await, 20);
}

async fn trapped() -> TestApp {
    let app = TestApp::begin().await;
    sqlx::raw_sql(TRAPS).execute(&app.database.pool).await.unwrap();
    app
}

/// Twenty names and `others` among them.
fn names(others: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = (0..20).map(|nth| format!("evt_{nth:02}")).collect();
    names.splice(10..10, others.iter().map(|name| (*name).to_owned()));
    names
}

fn event(name: &str) -> Envelope {
    stripe(name, "customer.created", 0, customer(&format!("cus_{name}"), "a@b.example"))
}

/// Twenty pending events and `others` among them.
async fn queue(app: &TestApp, others: &[&str]) {
    for name in names(others) {
        store_pending(app, event(&name)).await;
    }
}

async fn store_pending(app: &TestApp, event: Envelope) {
    let Envelope { source, event_id, event_type, occurred_at, received_at, body } = event;
    sqlx::query(
        "insert into ingest.events
             (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
         values ($1, $2, $3, $4, $5, $6, 'pending', now())",
    )
    .bind(source.as_str())
    .bind(event_id)
    .bind(event_type)
    .bind(occurred_at)
    .bind(received_at)
    .bind(&body[..])
    .execute(&app.database.pool)
    .await
    .unwrap();
}

/// Hands events to the broker.
async fn publish(app: &TestApp, broker: &TestBroker, names: &[String]) {
    let mut config = crate::support::config(app.database.url());
    config.amqp_url = Some(broker_url().into());
    config.queue_prefix = broker.prefix.clone();
    let (pool, lifecycle) = (app.database.pool.clone(), Lifecycle::default());
    let queue = Queue::open(&config, pool.clone(), pool, &lifecycle).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while queue.broker_state().unwrap().is_err() {
        assert!(Instant::now() < deadline, "the broker is not there");
        sleep(Duration::from_millis(20)).await;
    }
    for name in names {
        queue.enqueue(event(name)).await.unwrap();
    }
    assert_eq!(count(app, PENDING).await, 0, "the broker has them");
    lifecycle.shutdown(Duration::from_secs(30)).await.unwrap();
}

fn settings(app: &TestApp) -> Settings {
    vec![("DATABASE_URL", app.database.url())]
}

/// What is due later is due now, but for what is being tried.
async fn hasten(app: &TestApp) {
    let due = "update ingest.events set next_attempt_at = 'epoch' where id in (
                   select id from ingest.events where next_attempt_at > now() and alone for update skip locked)";
    app.execute(due).await;
}

/// Terminates trapped backends: the process is gone, and a sleeping backend does not notice.
async fn wake(app: &TestApp) {
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and wait_event = 'PgSleep'";
    while asleep(app).await > 0 {
        app.rows(end).await;
    }
}

/// Trapped backends.
async fn asleep(app: &TestApp) -> i64 {
    let asleep = "select count(*) as it from pg_stat_activity
                  where datname = current_database() and wait_event = 'PgSleep'";
    app.rows(asleep).await[0]["it"].as_i64().unwrap()
}

/// Events in such a state.
async fn count(app: &TestApp, state: &str) -> i64 {
    let rows = app.rows(&format!("select count(*) as it from ingest.events where {state}")).await;
    rows[0]["it"].as_i64().unwrap()
}

async fn eventually(what: &str, serving: &Serving, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}\n{}", serving.log());
        sleep(Duration::from_millis(50)).await;
    }
}
