//! The version with an outbox, and with tables of failing events and of dead letters, before and next to this one:
//! nothing is lost, and nothing is applied twice. Its statements are copied here.

use std::time::{Duration, Instant};

use memberflow::database::begin;
use memberflow::envelope::Envelope;
use memberflow::store::migrate::{self, MigrateOptions};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Row as _, Transaction};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::migrations::combined::of_the_version_with_an_outbox;
use crate::migrations::{execute, files};
use crate::support::app::{TestApp, customer, stripe};
use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings};

/// How it takes events from its outbox; the transaction stays open until they are applied.
const TAKE: &str = "
    with candidate as (
        select id, octet_length(body) as size_bytes from ingest.outbox where true
        order by id limit $1 for update skip locked
    ), chosen as (
        select id, sum(size_bytes) over (order by id) - size_bytes as bytes_before from candidate
    )
    delete from ingest.outbox o
    where o.id = any (array(select id from chosen where bytes_before < 1048576))
    returning o.source, o.event_id, o.event_type, o.occurred_at, o.received_at, o.body";

/// How it marks events as applied, in the transaction that applies them; those that it gets back it applies.
const APPLY: &str = "
    insert into ingest.inbox
        (source, event_id, event_type, subject, occurred_at, received_at, applied_at, body, not_counted)
    select source, event_id, event_type, null, occurred_at, received_at, '2000-01-01', body, null
    from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])
        as e (source, event_id, event_type, occurred_at, received_at, body)
    on conflict do nothing
    returning event_id";

const FAIL: &str = "
    insert into ingest.failing
        (source, event_id, event_type, occurred_at, received_at, body, attempts, last_error, next_at)
    values ($1, $2, $3, $4, $5, $6, $7, case when $7 > 0 then 'not today' end, now() + interval '1 hour')";

const DEAD_LETTER: &str = "
    insert into ingest.dead_letters (source, event_id, event_type, occurred_at, received_at, body, reason, dead_at)
    values ($1, $2, $3, $4, $5, $6, 'a reason', '2026-01-02')";

const ACCEPT: &str = "
    insert into ingest.outbox (source, event_id, event_type, occurred_at, received_at, body)
    values ($1, $2, $3, $4, $5, $6)";

#[tokio::test]
async fn two_versions_apply_each_event_once() {
    const EVENTS: usize = 300;
    let app = TestApp::with_connections(6).await;
    app.store.initial_import().await.unwrap();
    let pool = &app.database.pool;
    let serving = Serving::roles("consume", &settings(&app.database));
    let accepting = async {
        for number in 0..EVENTS {
            bound(ACCEPT, &event(&name(number))).execute(pool).await.unwrap();
            if number % 7 == 0 {
                // Sent again, for its provider did not hear that it was taken.
                bound(ACCEPT, &event(&name(number))).execute(pool).await.unwrap();
            }
        }
    };
    let ((), one, other) =
        tokio::join!(accepting, earlier_consumer(pool, EVENTS), earlier_consumer(pool, EVENTS));
    let applied = "select count(*) from ingest.events where state = 'applied' and source = 'stripe'";
    eventually("all are applied", &serving, async || number(pool, applied).await == EVENTS as i64).await;
    assert_eq!(number(pool, "select count(*) from ingest.outbox").await, 0);
    assert_eq!(number(pool, "select count(*) from ingest.events where state <> 'applied'").await, 0);
    // What the other version applies leaves no facts here.
    let ours = number(pool, "select count(*) from ingest.stripe_facts").await;
    assert_eq!(ours + one + other, EVENTS as i64, "ours {ours}, theirs {one} and {other}");
    let twice = "select count(*) from ingest.stripe_facts f join ingest.events e on e.event_id = f.event_id
                 where e.applied_at = '2000-01-01'";
    assert_eq!(number(pool, twice).await, 0);
}

/// Takes and applies until the other consumers and this one have applied all; returns how many it applied.
async fn earlier_consumer(pool: &PgPool, events: usize) -> i64 {
    let mut applied = 0;
    let done = "select count(*) from ingest.events where state = 'applied' and source = 'stripe'";
    while number(pool, done).await < events as i64 {
        let (held, taken) = take(pool, 5).await;
        sleep(Duration::from_millis(3)).await;
        applied += apply(pool, &taken).await;
        held.commit().await.unwrap();
    }
    applied
}

#[tokio::test]
async fn rows_locked_by_earlier_consumer_are_skipped() {
    let app = TestApp::begin().await;
    app.store.initial_import().await.unwrap();
    let pool = &app.database.pool;
    for number in 0..2 {
        bound(ACCEPT, &event(&name(number))).execute(pool).await.unwrap();
    }
    let (held, taken) = take(pool, 1).await;
    let moving = timeout(Duration::from_secs(30), app.store.drain_legacy_tables());
    assert_eq!(moving.await.expect("nobody is waited for").unwrap(), 1);
    assert_eq!(apply(pool, &taken).await, 1);
    assert_eq!(app.store.drain_legacy_tables().await.unwrap(), 0);
    held.rollback().await.unwrap();
    // It did not survive, so its row is there again, and its event is known.
    assert_eq!(app.store.drain_legacy_tables().await.unwrap(), 1);
    let states = app.rows("select event_id, state from ingest.events order by event_id").await;
    let expected = [(name(0), "applied"), (name(1), "pending")];
    assert_eq!(states, expected.map(|(id, state)| json!({"event_id": id, "state": state})));
}

#[tokio::test]
async fn migration_and_earlier_consumer_do_not_block() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    bound(ACCEPT, &event("evt_1")).execute(pool).await.unwrap();
    let (held, taken) = take(pool, 1).await;
    let files = files();
    let migrating = execute(pool, files.iter().find(|file| file.contains(NEW)).unwrap());
    timeout(Duration::from_secs(60), migrating).await.expect("nobody is waited for");
    assert_eq!(apply(pool, &taken).await, 1);
    held.commit().await.unwrap();
}

#[tokio::test]
async fn failed_and_dead_events_move_with_their_state() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    app.apply([event("evt_applied")]).await;
    for (id, attempts) in [("evt_noted", 0), ("evt_failed", 3), ("evt_applied", 2)] {
        bound(FAIL, &event(id)).bind(attempts).execute(pool).await.unwrap();
    }
    for id in ["evt_dead", "evt_failed"] {
        bound(DEAD_LETTER, &event(id)).execute(pool).await.unwrap();
    }
    assert_eq!(app.store.drain_legacy_tables().await.unwrap(), 5);
    let moved = "select event_id, state, attempts, alone, reason, dead_at = '2026-01-02' as dated
                 from ingest.events where source = 'stripe' order by event_id";
    let row = |id: &str, state: &str, attempts: i32, reason: Value, dated: Value| {
        json!({"event_id": id, "state": state, "attempts": attempts, "alone": attempts > 0, "reason": reason,
               "dated": dated})
    };
    assert_eq!(
        app.rows(moved).await,
        [
            row("evt_applied", "applied", 0, Value::Null, Value::Null),
            row("evt_dead", "dead", 0, json!("a reason"), json!(true)),
            row("evt_failed", "pending", 3, json!("not today"), Value::Null),
            row("evt_noted", "pending", 0, Value::Null, Value::Null),
        ]
    );
    let soon = "select count(*) from ingest.events
                where state = 'pending' and next_attempt_at > now() + interval '5 min'";
    assert_eq!(number(pool, soon).await, 0);
    assert_eq!(app.store.drain_legacy_tables().await.unwrap(), 0);
}

#[tokio::test]
async fn version_with_outbox_migrates_without_loss() {
    let database = of_the_version_with_an_outbox().await;
    let pool = &database.pool;
    apply(pool, &[event("evt_0"), event("evt_1")]).await;
    for number in [2, 3] {
        bound(ACCEPT, &event(&name(number))).execute(pool).await.unwrap();
    }
    bound(FAIL, &event("evt_4")).bind(2).execute(pool).await.unwrap();
    bound(DEAD_LETTER, &event("evt_5")).execute(pool).await.unwrap();
    execute(pool, "insert into ingest.consumers (id, started_at) values (gen_random_uuid(), now())").await;
    execute(pool, TRIGGER).await;
    let letter = number(pool, "select max(id) from ingest.dead_letters").await;

    migrate::run(&database.options(), MigrateOptions::default()).await.unwrap();
    let user = Uuid::from_u128(0xa);
    execute(
        pool,
        &format!(
            "insert into auth.users (id, email, created_at, updated_at) values ('{user}', 'a@b.example', now(), now());
             insert into public.journal_entries (user_id) values ('{user}')"
        ),
    )
    .await;
    let serving = Serving::roles("consume", &settings(&database));
    eventually("all are there", &serving, async || {
        execute(pool, "update ingest.events set next_attempt_at = 'epoch' where alone").await;
        let open = "select (select count(*) from ingest.events where state = 'pending')
                         + (select count(*) from ingest.outbox) + (select count(*) from ingest.failing)
                         + (select count(*) from ingest.dead_letters)";
        number(pool, "select count(*) from ingest.events where source = 'stripe'").await == 6
            && number(pool, open).await == 0
    })
    .await;
    let app = TestApp::on(database);
    let bodies = app
        .rows(
            "select event_id, state, reason, convert_from(body, 'UTF8') as body from ingest.events
             where source = 'stripe' order by event_id",
        )
        .await;
    let expected = (0..6).map(|nth| {
        let event = event(&name(nth));
        let (state, reason) = if nth == 5 { ("dead", json!("a reason")) } else { ("applied", Value::Null) };
        let body = String::from_utf8(event.body.to_vec()).unwrap();
        json!({"event_id": event.event_id, "state": state, "reason": reason, "body": body})
    });
    assert_eq!(bodies, expected.collect::<Vec<_>>());
    assert!(number(&app.database.pool, "select id from ingest.events where state = 'dead'").await > letter);
    // The trigger that the earlier version made is heard.
    let entries = "select journal_entry_count::bigint from public.user_activity_metrics";
    eventually("the entry counts", &serving, async || {
        sqlx::query_scalar::<_, i64>(entries).fetch_optional(&app.database.pool).await.unwrap() == Some(1)
    })
    .await;
}

/// What only the file says that makes the table of events.
const NEW: &str = "create or replace view ingest.events";

/// A trigger as the earlier version makes it, for one table and one kind of change.
const TRIGGER: &str = r#"
    create function ingest."outbox_public.journal_entries"() returns trigger
    language plpgsql security definer set search_path = '' as $$
    begin
        insert into ingest.outbox (source, event_id, event_type, occurred_at, received_at, body)
        select 'supabase.database', 'trigger/' || lpad(nextval('ingest.change_numbers')::text, 19, '0')
                   || '/' || (extract(epoch from clock_timestamp()) * 1000000)::bigint,
               'public.journal_entries.insert', clock_timestamp(), clock_timestamp(),
               convert_to(jsonb_build_object('type', 'INSERT', 'schema', 'public', 'table', 'journal_entries',
                   'record', jsonb_build_object('id', new.id, 'user_id', new.user_id))::text, 'UTF8');
        return null;
    end $$;
    create trigger "00_memberflow" after insert on public.journal_entries
        for each row execute function ingest."outbox_public.journal_entries"()"#;

type Bound<'a> = sqlx::query::Query<'a, Postgres, sqlx::postgres::PgArguments>;

/// `statement` with an event as its first parameters.
fn bound<'a>(statement: &'a str, event: &Envelope) -> Bound<'a> {
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
        .bind(event.source.as_str())
        .bind(event.event_id.clone())
        .bind(event.event_type.clone())
        .bind(event.occurred_at)
        .bind(event.received_at)
        .bind(event.body.to_vec())
}

async fn take(pool: &PgPool, limit: i64) -> (Transaction<'static, Postgres>, Vec<Envelope>) {
    let mut held = begin(pool).await.unwrap();
    let rows = sqlx::query(TAKE).bind(limit).fetch_all(&mut *held).await.unwrap();
    let taken = rows.iter().map(|row| Envelope {
        source: row.get::<&str, _>(0).parse().unwrap(),
        event_id: row.get(1),
        event_type: row.get(2),
        occurred_at: row.get(3),
        received_at: row.get(4),
        body: row.get::<Vec<u8>, _>(5).into(),
    });
    let taken = taken.collect();
    (held, taken)
}

/// Marks events as applied as the earlier version does; returns how many it has to apply.
async fn apply(pool: &PgPool, events: &[Envelope]) -> i64 {
    let mut events: Vec<&Envelope> = events.iter().collect();
    events.sort_by_key(|it| (it.source, &it.event_id));
    events.dedup_by_key(|it| (it.source, &it.event_id));
    let new = sqlx::query(APPLY)
        .bind(events.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.event_id.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.event_type.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.occurred_at).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.received_at).collect::<Vec<_>>())
        .bind(events.iter().map(|it| &it.body[..]).collect::<Vec<_>>())
        .fetch_all(pool)
        .await
        .unwrap();
    i64::try_from(new.len()).unwrap()
}

fn name(number: usize) -> String {
    format!("evt_{number}")
}

fn event(id: &str) -> Envelope {
    stripe(id, "customer.created", 0, customer(&format!("cus_{id}"), &format!("{id}@b.example")))
}

fn settings(database: &TestDatabase) -> Settings {
    vec![("DATABASE_URL", database.url())]
}

async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

async fn eventually(what: &str, serving: &Serving, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}\n{}", serving.log());
        sleep(Duration::from_millis(50)).await;
    }
}
