//! Any row counts equally by event, by import, and in reconciliation.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::supabase;
use memberflow::project::supabase::{ActivityTables, reduced};
use memberflow::store::{Store, StoreSettings};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{MEMBER, OTHER, backfill, populated};
use crate::support::app::{NOW, TestApp, row};

/// Rows of each table.
const ROWS: usize = 150;

/// SQL literals, for columns of text.
fn text(value: impl Into<String>) -> String {
    format!("'{}'", value.into().replace('\'', "''"))
}

/// A user id or something else, in all UUID notations.
fn owner() -> impl Strategy<Value = String> {
    let users = prop_oneof![Just(MEMBER), Just(OTHER), any::<u128>().prop_map(Uuid::from_u128)];
    let written = (users, 0..9_usize).prop_map(|(id, how)| match how {
        0 => id.to_string(),
        1 => id.simple().to_string(),
        2 => id.to_string().to_uppercase(),
        3 => format!("  {id}\t"),
        4 => id.braced().to_string(),
        5 => id.urn().to_string(),
        6 => id.to_string()[..35].to_owned(),
        7 => format!("\u{3000}{id}\u{a0}"),
        _ => format!("{}-{}", &id.simple().to_string()[..16], &id.simple().to_string()[16..]),
    });
    prop_oneof![8 => written.prop_map(text), 1 => "[ a-z0-9-]{0,40}".prop_map(text), 1 => Just("null".to_owned())]
}

/// A file's metadata in JSON.
fn metadata() -> impl Strategy<Value = String> {
    let digits = prop_oneof![
        "[0-9]{1,30}",
        "[+-]?[0-9]{1,20}",
        "[0-9]{1,17}\\.[0-9]{1,4}",
        "[+-]?[0-9]{1,6}[eE][+-]?[0-9]{1,2}"
    ];
    let number = prop_oneof![
        "(0|[1-9][0-9]{0,25})",
        "-?[1-9][0-9]{0,10}",
        "[1-9][0-9]{0,12}\\.[0-9]{1,4}",
        "-?[1-9]\\.[0-9]{1,4}e[+-]?[0-9]{1,2}",
        Just("1e400".to_owned()),
        Just("1125899906842624".to_owned()),
        Just("1.50e1".to_owned())
    ];
    let quoted = (digits, " {0,2}", "[a-z]{0,1}")
        .prop_map(|(size, blank, unit)| format!("\"{blank}{size}{unit}{blank}\""));
    let odd = prop::sample::select(vec!["null", "true", "{}", "[7]", "\"\"", "\"1\u{a0}\""])
        .prop_map(str::to_owned);
    let size = prop_oneof![4 => number, 4 => quoted, 1 => odd];
    prop_oneof![
        8 => size.prop_map(|size| text(format!("{{\"size\": {size}, \"mimetype\": \"image/png\"}}"))),
        1 => prop::sample::select(vec!["null", "'{}'", "'[]'", "'\"text\"'", "'null'"]).prop_map(str::to_owned),
    ]
}

/// A flag in a column of text.
fn flag() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["'true'", "'false'", "'t'", "'TRUE'", "' true '", "'1'", "''", "null"])
        .prop_map(str::to_owned)
}

/// When a row was changed, in a column of text.
fn moment() -> impl Strategy<Value = String> {
    let odd = [
        "2026-10-01 10:00:00+00",
        "2026-10-01T10:00:00.123456+05:30",
        "infinity",
        "yesterday",
        "",
        "0044-03-15 00:00:00 BC",
    ];
    prop::sample::select(odd.to_vec()).prop_map(text)
}

/// What a profile's column holds.
fn filling() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        " {0,3}".prop_map(text),
        "[a-zé\u{3000}\u{200b} ]{1,6}".prop_map(text)
    ]
}

fn made<T: std::fmt::Debug>(runner: &mut TestRunner, what: impl Strategy<Value = T>) -> Vec<T> {
    (0..ROWS).map(|_| what.new_tree(runner).unwrap().current()).collect()
}

/// Tables whose columns are of text where they may be, one of them with ids of text too and one without moments.
async fn odd_population() -> TestApp {
    let app = populated().await;
    app.execute("alter table storage.objects alter owner_id type text").await;
    app.execute("create table public.tracks (id text primary key, author text, state text, updated_at text)")
        .await;
    app.execute("create table public.letters (id numeric primary key, user_id text)").await;
    app.execute("alter table public.user_profiles alter is_draft drop not null, alter is_draft drop default")
        .await;
    app.execute("alter table public.user_profiles alter is_draft type text").await;
    app.execute("alter table public.user_profiles drop column phone, add column city varchar, add column timezone text[]").await;
    app.execute("alter table public.vision_versions drop column is_draft").await;
    let entries = [
        "public.tracks:author:audio_generated_count:state!=failed",
        "public.letters:user_id:journal_entry_count",
    ];
    let tables =
        entries.iter().fold(ActivityTables::default(), |all, entry| all.with(entry.parse().unwrap()));
    let config = Config { activity_tables: tables, ..crate::support::config(app.database.url()) };
    TestApp {
        store: Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config)),
        ..app
    }
}

async fn fill(app: &TestApp) {
    let mut runner = TestRunner::deterministic();
    for (owner_id, metadata) in made(&mut runner, (owner(), metadata())) {
        let owner = if owner_id.len() % 2 == 0 { format!("'{OTHER}'") } else { "null".to_owned() };
        app.execute(&format!(
            "insert into storage.objects (owner_id, owner, metadata) values ({owner_id}, {owner}, {metadata})"
        ))
        .await;
    }
    let ids = prop_oneof![owner(), "[a-z]{1,3}".prop_map(text), Just("' '".to_owned())];
    for (id, author, state, at) in made(&mut runner, (ids, owner(), flag(), moment())) {
        app.execute(&format!(
            "insert into public.tracks select {id}, {author}, coalesce({state}, 'failed'), {at} where {id} is not null
                 -- Two ids that are written otherwise but are the same.
                 and not exists (select from public.tracks
                     where regexp_replace(lower(btrim(id)), '[\\s\\u00a0\\u3000]|urn:uuid:|[{{}}-]', '', 'g')
                         = regexp_replace(lower(btrim({id})), '[\\s\\u00a0\\u3000]|urn:uuid:|[{{}}-]', '', 'g'))"
        ))
        .await;
    }
    for (number, author) in made(&mut runner, owner()).into_iter().enumerate() {
        app.execute(&format!("insert into public.letters values ({number}.50, {author})")).await;
    }
    let profiles = (
        flag(),
        any::<bool>(),
        filling(),
        filling(),
        filling(),
        prop::sample::select(vec!["null", "'{}'", "'{UTC}'"]),
    );
    for (draft, active, first, email, city, zone) in made(&mut runner, profiles) {
        app.execute(&format!(
            "insert into public.user_profiles (user_id, is_draft, is_active, first_name, email, city, timezone)
             values ('{MEMBER}', {draft}, {active}, {first}, {email}, {city}, {zone})"
        ))
        .await;
    }
    app.execute(&format!("insert into public.vision_versions (user_id) values ('{MEMBER}')")).await;
}

const FACTS: &str =
    "select relation, row_id, user_id, counted, amount, occurred_at from ingest.row_facts where not final";

async fn facts(app: &TestApp) -> Vec<Value> {
    app.rows(&format!("{FACTS} order by relation, row_id collate \"C\"")).await
}

/// What `reconcile supabase` reports that `backfill` would fix.
async fn drift(app: &TestApp) -> Vec<String> {
    let mut drift = Vec::new();
    supabase::run(&app.store, false, &mut Progress::Silent, |it| {
        if it.fixed_by == supabase::FixedBy::Backfill {
            drift.push(format!("{}: {:?} -> {:?}", it.field, it.here, it.recount));
        }
    })
    .await
    .unwrap();
    drift
}

#[tokio::test]
async fn row_counts_equal_by_event_import_and_reconcile() {
    let app = odd_population().await;
    fill(&app).await;
    app.store.initial_import().await.unwrap();
    let found = facts(&app).await;
    assert!(found.len() > 3 * ROWS, "{}", found.len());
    for needed in [json!(1_i64 << 50), json!(0), json!(1), json!(15)] {
        assert!(found.iter().any(|fact| fact["amount"] == needed), "no file of {needed} bytes");
    }
    assert_eq!(drift(&app).await, [""; 0], "as they were read");
    let report = backfill(&app).await;
    assert!(report.imported.values().all(|found| *found == 0), "read again: {report:?}");

    app.execute("delete from ingest.row_facts").await;
    app.execute("delete from ingest.activity").await;
    let tables = &app.store.settings().decoding.tables;
    for relation in [
        "storage.objects",
        "public.tracks",
        "public.letters",
        "public.user_profiles",
        "public.vision_versions",
    ] {
        let records = app.rows(&format!("select to_jsonb(t)::text as record from {relation} t")).await;
        let events = records.iter().enumerate().map(|(number, record)| {
            let (schema, table) = relation.split_once('.').unwrap();
            // Put together as text: there are numbers that only text can hold.
            let body = format!(
                r#"{{"type": "INSERT", "schema": "{schema}", "table": "{table}", "record": {}, "old_record": null}}"#,
                record["record"].as_str().unwrap()
            );
            let mut event =
                row(&format!("{relation}/{number}"), "INSERT", relation, json!({"id": 1}), json!(null));
            // Every other as it is stored.
            event.body =
                if number % 2 == 0 { reduced(body.as_bytes(), tables).unwrap().into() } else { body.into() };
            event
        });
        app.apply(events.collect::<Vec<_>>()).await;
    }
    assert_eq!(facts(&app).await, found);
    assert_eq!(drift(&app).await, [""; 0], "as they were reported");
}
