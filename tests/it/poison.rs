//! An event that fails is tried again alone and given up in the end; one that can never be applied is given up at
//! once; one that ends the connection or the process is found out. Their neighbours are applied.

use std::time::{Duration, Instant};

use memberflow::envelope::Envelope;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::support::process::{Serving, Settings, memberflow};
use crate::support::told::{NOW, Told, customer, stripe};

/// What the database does with an event, by its name.
const TRAPS: &str = "
    create function ingest.trap() returns trigger language plpgsql as $$
    begin
        if new.event_id = 'evt_fails' then raise exception 'not today'; end if;
        if new.event_id = 'evt_hopeless' then raise exception 'never' using errcode = '22003'; end if;
        if new.event_id = 'evt_cuts' then perform pg_terminate_backend(pg_backend_pid()); end if;
        if new.event_id = 'evt_ends' then perform pg_sleep(600); end if;
        return new;
    end $$;
    create trigger trap before insert on ingest.inbox for each row execute function ingest.trap()";

#[tokio::test]
async fn events_that_fail_are_tried_again_and_given_up_while_their_neighbours_flow_on() {
    let told = trapped().await;
    queue(&told, &["evt_fails", "evt_hopeless", "evt_cuts"]).await;
    let serving = Serving::roles("consume", &settings(&told));
    eventually("the neighbours are applied", &serving, async || count(&told, "ingest.inbox").await == 20)
        .await;
    eventually("what can never be is dead", &serving, async || {
        count(&told, "ingest.dead_letters").await == 1
    })
    .await;
    eventually("the others are set aside", &serving, async || count(&told, "ingest.failing").await == 2)
        .await;
    let waiting = told.rows("select count(*) as it from ingest.outbox").await;
    assert_eq!(waiting, [json!({"it": 0})]);
    let shown = memberflow(&settings(&told)).args(["events", "show", "evt_fails"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("failing, tried again") && shown.contains("not today"), "{shown}");

    eventually("both are given up", &serving, async || {
        hasten(&told).await;
        count(&told, "ingest.failing").await == 0
    })
    .await;
    let reasons = told.rows("select event_id, reason from ingest.dead_letters order by event_id").await;
    let reason = |nth: usize| reasons[nth]["reason"].as_str().unwrap();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reason(0).contains("failed 5 times: it ends the connection"), "{reasons:?}");
    assert!(reason(1).contains("failed 5 times: ") && reason(1).contains("not today"), "{reasons:?}");
    assert!(!reason(2).contains("times") && reason(2).contains("never"), "{reasons:?}");
}

#[tokio::test]
async fn an_event_that_fails_for_a_while_is_applied_in_the_end() {
    let told = trapped().await;
    queue(&told, &["evt_fails"]).await;
    let serving = Serving::roles("consume", &settings(&told));
    eventually("it is set aside", &serving, async || count(&told, "ingest.failing").await == 1).await;
    told.execute("drop trigger trap on ingest.inbox").await;
    eventually("it is applied", &serving, async || {
        hasten(&told).await;
        count(&told, "ingest.inbox").await == 21 && count(&told, "ingest.failing").await == 0
    })
    .await;
    assert_eq!(count(&told, "ingest.dead_letters").await, 0);
}

#[tokio::test]
async fn a_crash_loop_ends_with_the_event_at_fault_dead_and_the_service_up() {
    let told = trapped().await;
    queue(&told, &["evt_ends"]).await;
    // The process goes whenever it touches the event. First with its batch: three times
    // until a loop is suspected, once with a note. Then five times alone.
    let mut crashes = 0;
    let serving = loop {
        let serving = Serving::roles("consume", &settings(&told));
        eventually("it touches the event or is rid of it", &serving, async || {
            hasten(&told).await;
            count(&told, "ingest.dead_letters").await == 1 || asleep(&told).await > 0
        })
        .await;
        if count(&told, "ingest.dead_letters").await == 1 {
            break serving;
        }
        serving.kill();
        crashes += 1;
        assert!(crashes <= 10, "it never ends");
        wake(&told).await;
    };
    eventually("the neighbours are applied", &serving, async || count(&told, "ingest.inbox").await == 20)
        .await;
    let dead = told.rows("select event_id, reason from ingest.dead_letters").await;
    assert!(
        dead[0]["event_id"] == "evt_ends" && dead[0]["reason"].as_str().unwrap().contains("the process"),
        "{dead:?}"
    );
    assert_eq!(crashes, 9);
    eventually("nothing is left aside", &serving, async || count(&told, "ingest.failing").await == 0).await;
}

#[tokio::test]
async fn a_column_that_is_yet_to_be_migrated_is_no_events_fault() {
    let told = Told::begin().await;
    told.store.switch_on().await.unwrap();
    told.execute("alter table ingest.customers rename column recompute_at to recompute_when").await;
    queue(&told, &[]).await;
    let serving = Serving::roles("consume", &settings(&told));
    eventually("the batch waits", &serving, async || serving.log().contains("a batch waits")).await;
    told.execute("alter table ingest.customers rename column recompute_when to recompute_at").await;
    eventually("all are applied", &serving, async || count(&told, "ingest.inbox").await == 20).await;
    assert_eq!((count(&told, "ingest.failing").await, count(&told, "ingest.dead_letters").await), (0, 0));
}

#[tokio::test]
async fn a_consumer_that_ends_by_itself_leaves_no_note() {
    let told = Told::begin().await;
    queue(&told, &[]).await;
    let mut serving = Serving::roles("consume", &settings(&told));
    eventually("all are applied", &serving, async || count(&told, "ingest.inbox").await == 20).await;
    assert_eq!(count(&told, "ingest.consumers").await, 1);
    serving.ask_to_stop();
    assert!(serving.ended().await.0.success());
    assert_eq!(count(&told, "ingest.consumers").await, 0);
}

#[tokio::test]
async fn only_several_consumers_that_died_young_make_the_next_one_careful() {
    let told = Told::begin().await;
    let mut young: Vec<Uuid> = Vec::new();
    for (second, is_careful) in (0..).zip([false, false, false, true]) {
        let (store, id) = (told.store_at(NOW + Duration::from_secs(second)), Uuid::new_v4());
        assert_eq!(store.begin_consumer(id).await.unwrap(), is_careful);
        young.push(id);
    }
    // The second lives on, so the first is no matter; the fourth ended by itself.
    told.store.outlived(young[1]).await.unwrap();
    told.store.end_consumer(young[3]).await.unwrap();
    assert!(!told.store.begin_consumer(Uuid::new_v4()).await.unwrap());
    assert_eq!(count(&told, "ingest.consumers").await, 2);
}

async fn trapped() -> Told {
    let told = Told::begin().await;
    sqlx::raw_sql(TRAPS).execute(&told.database.pool).await.unwrap();
    told
}

/// Twenty events and `others` among them, as the relay's table holds them.
async fn queue(told: &Told, others: &[&str]) {
    let names: Vec<String> = (0..20).map(|nth| format!("evt_{nth:02}")).collect();
    let names = names.iter().map(String::as_str);
    for name in names.clone().take(10).chain(others.iter().copied()).chain(names.skip(10)) {
        let Envelope { source, event_id, event_type, occurred_at, received_at, body } =
            stripe(name, "customer.created", 0, customer(&format!("cus_{name}"), "a@b.example"));
        sqlx::query(
            "insert into ingest.outbox (source, event_id, event_type, occurred_at, received_at, body)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(source.as_str())
        .bind(event_id)
        .bind(event_type)
        .bind(occurred_at)
        .bind(received_at)
        .bind(&body[..])
        .execute(&told.database.pool)
        .await
        .unwrap();
    }
}

fn settings(told: &Told) -> Settings {
    vec![("DATABASE_URL", told.database.url())]
}

/// What is due later is due now.
async fn hasten(told: &Told) {
    told.execute("update ingest.failing set next_at = 'epoch' where next_at > now() and attempts > 0").await;
}

/// Ends what stands in the trap: the process is gone, and a backend that sleeps does not notice.
async fn wake(told: &Told) {
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and wait_event = 'PgSleep'";
    while asleep(told).await > 0 {
        told.rows(end).await;
    }
}

/// Backends that stand in the trap.
async fn asleep(told: &Told) -> i64 {
    let asleep = "select count(*) as it from pg_stat_activity
                  where datname = current_database() and wait_event = 'PgSleep'";
    told.rows(asleep).await[0]["it"].as_i64().unwrap()
}

/// Events of Stripe's and other rows of a table.
async fn count(told: &Told, table: &str) -> i64 {
    let only = if table == "ingest.inbox" { "where source = 'stripe'" } else { "" };
    let rows: Vec<Value> = told.rows(&format!("select count(*) as it from {table} {only}")).await;
    rows[0]["it"].as_i64().unwrap()
}

async fn eventually(what: &str, serving: &Serving, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}\n{}", serving.log());
        sleep(Duration::from_millis(50)).await;
    }
}
