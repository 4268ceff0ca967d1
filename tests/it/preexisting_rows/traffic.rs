//! Imports that are interrupted, shared, or run during traffic.

use fastrand::Rng;
use memberflow::store::backfill::ImportScope;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{assert_counted, assert_sound, backfill};
use crate::support::app::{TestApp, row};
use crate::support::dump;

const USERS: usize = 60;

/// Users with some thousands of rows, more than one page of each table.
async fn population(app: &TestApp, rows: usize) {
    for statement in [
        format!(
            "insert into auth.users (id) select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid from generate_series(1, {USERS}) n"
        ),
        insert("public.vision_versions", "user_id, is_draft", "{owner}::uuid, n % 7 = 0", rows),
        insert("public.journal_entries", "user_id", "{owner}::uuid", rows),
        insert(
            "storage.objects",
            "owner_id, metadata",
            "{owner}, jsonb_build_object('size', n * 1000)",
            rows,
        ),
    ] {
        app.execute(&statement).await;
    }
}

fn insert(table: &str, columns: &str, values: &str, rows: usize) -> String {
    let values = values.replace(
        "{owner}",
        &format!("('00000000-0000-4000-8000-' || lpad((n % {USERS} + 1)::text, 12, '0'))"),
    );
    format!(
        "insert into {table} (updated_at, {columns}) select '2026-01-01'::timestamptz + n * interval '1 s', {values} from generate_series(1, {rows}) n"
    )
}

#[tokio::test]
async fn interrupted_shared_import_gives_same_result() {
    let (whole, pieces) = (TestApp::begin().await, TestApp::begin().await);
    for app in [&whole, &pieces] {
        population(app, 200).await;
        // The same ids in both.
        for table in ["public.vision_versions", "public.journal_entries", "storage.objects"] {
            app.execute(&format!("update {table} set id = md5(updated_at::text)::uuid")).await;
        }
    }
    whole.store.initial_import().await.unwrap();
    pieces.store.begin_initial_import().await.unwrap();
    // One page at a time, each by somebody else, and some given up in the middle.
    for scope in ImportScope::ALL {
        let mut rng = Rng::with_seed(7);
        for _ in 0..200 {
            let import = pieces.store.import_tables(scope, true).await.unwrap();
            let patience = std::time::Duration::from_micros(rng.u64(0..20_000));
            tokio::time::timeout(patience, import.step()).await.ok();
            if pieces
                .rows(&format!(
                    "select from ingest.backfills where scope ~ '{}' and completed_at is not null",
                    scope.as_str()
                ))
                .await
                .len()
                == 1
            {
                break;
            }
        }
        let import = pieces.store.import_tables(scope, true).await.unwrap();
        let (one, other) = (import.clone(), import);
        let all = async |import: memberflow::store::backfill::Import| {
            while import.step().await.unwrap().is_some() {}
        };
        tokio::join!(all(one), all(other));
    }
    pieces.store.end_initial_import().await.unwrap();
    assert_counted(&pieces, "in pieces").await;
    assert_sound(&pieces, "in pieces").await;
    let [expected, actual] = [&whole, &pieces].map(|app| dump::everything(&app.database.pool));
    let (mut expected, mut actual) = (expected.await, actual.await);
    for dump in [&mut expected, &mut actual] {
        dump.retain(|table, _| table.starts_with("ingest.") || table.contains("metrics"));
        dump.remove("ingest.switched_on");
    }
    dump::assert_same(&expected, &actual, "in pieces");
}

/// A login of each user in every hour: by its session, by the audit log, both, or neither.
async fn logins(app: &TestApp) {
    let moment = "'2026-02-01'::timestamptz + n * interval '1 hour'";
    let owner = format!("('00000000-0000-4000-8000-' || lpad((n % {USERS} + 1)::text, 12, '0'))");
    for statement in [
        format!(
            "insert into auth.sessions (id, user_id, created_at)
             select md5('session' || n)::uuid, {owner}::uuid, {moment} from generate_series(1, 200) n where n % 3 > 0"
        ),
        format!(
            "insert into auth.audit_log_entries (instance_id, id, payload, created_at)
             select '00000000-0000-0000-0000-000000000000', md5('entry' || n)::uuid,
                    json_build_object('action', 'login', 'actor_id', {owner}), {moment}
             from generate_series(1, 200) n where n % 2 = 0"
        ),
        "update auth.users u set last_sign_in_at = coalesce(
             (select max(created_at) from auth.sessions s where s.user_id = u.id and u.id::text < '00000000-0000-4000-8000-000000000030'),
             '2026-01-15')"
            .to_owned(),
    ] {
        app.execute(&statement).await;
    }
}

/// With steps that are cancelled at random.
#[tokio::test]
async fn pages_split_in_halves_make_the_same_tables() {
    let (whole, halves) = (TestApp::begin().await, TestApp::begin().await);
    for app in [&whole, &halves] {
        population(app, 200).await;
        logins(app).await;
        for table in ["public.vision_versions", "public.journal_entries", "storage.objects"] {
            app.execute(&format!("update {table} set id = md5(updated_at::text)::uuid")).await;
        }
    }
    whole.store.initial_import().await.unwrap();
    halves.store.begin_initial_import().await.unwrap();
    for scope in ImportScope::ALL {
        let import = halves.store.import_tables(scope, true).await.unwrap().in_pages_of(30);
        let mut rng = Rng::with_seed(7);
        loop {
            let patience = std::time::Duration::from_micros(rng.u64(0..40_000));
            tokio::time::timeout(patience, import.step()).await.ok();
            if import.step().await.unwrap().is_none() {
                break;
            }
        }
    }
    halves.store.end_initial_import().await.unwrap();
    let events = halves.rows("select from ingest.events where event_type = 'found_users'").await;
    assert_eq!(events.len(), USERS / 15, "each page of 30 users is reported by two");
    assert_counted(&halves, "in halves").await;
    assert_sound(&halves, "in halves").await;
    let [expected, actual] = [&whole, &halves].map(|app| dump::everything(&app.database.pool));
    let (mut expected, mut actual) = (expected.await, actual.await);
    for dump in [&mut expected, &mut actual] {
        let same = ["ingest.users", "ingest.logins", "ingest.activity"];
        dump.retain(|table, _| same.contains(&table.as_str()) || table.contains("metrics"));
    }
    dump::assert_same(&expected, &actual, "in halves");
}

/// A change of a row, and its event.
async fn change(app: &TestApp, rng: &mut Rng, number: usize) -> Option<memberflow::envelope::Envelope> {
    let (table, set) = [
        ("public.vision_versions", "is_draft = not is_draft"),
        ("public.journal_entries", "title = 'x'"),
        ("storage.objects", "metadata = jsonb_build_object('size', 5000000)"),
    ][rng.usize(..3)];
    let user = format!("00000000-0000-4000-8000-{:012}", rng.usize(1..=USERS));
    let owner = if table == "storage.objects" {
        format!("owner_id = '{user}'")
    } else {
        format!("user_id = '{user}'")
    };
    let pick = format!("(select id from {table} order by md5(id::text || {number}) limit 1)");
    let (operation, query) = match rng.u8(..4) {
        0 => ("DELETE", format!("delete from {table} where id = {pick} returning *")),
        1 => (
            "UPDATE",
            format!(
                "update {table} set {owner}, updated_at = clock_timestamp() where id = {pick} returning *"
            ),
        ),
        _ => (
            "UPDATE",
            format!("update {table} set {set}, updated_at = clock_timestamp() where id = {pick} returning *"),
        ),
    };
    let before = app.rows(&format!("select * from {table} where id = {pick}")).await.pop()?;
    let after: Value =
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("with c as ({query}) select to_jsonb(c) from c")))
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    let id = Uuid::new_v4().to_string();
    Some(match operation {
        "DELETE" => row(&id, operation, table, json!(null), after),
        _ => row(&id, operation, table, after, before),
    })
}

#[tokio::test]
async fn import_during_traffic_matches_tables() {
    let app = TestApp::begin().await;
    population(&app, 3000).await;
    let mut rng = Rng::with_seed(11);
    // Queued before the first start.
    let mut queue = Vec::new();
    for number in 0..40 {
        queue.extend(change(&app, &mut rng, number).await);
    }
    let reading = async {
        app.store.initial_import().await.unwrap();
        // Once more: now it looks for what was deleted and for what was reported otherwise, too.
        backfill(&app).await;
        backfill(&app).await
    };
    let traffic = async {
        let mut events = queue;
        for number in 40..240 {
            events.extend(change(&app, &mut rng, number).await);
            if events.len() > 10 {
                rng.shuffle(&mut events);
                app.apply(events.split_off(rng.usize(..5))).await;
            }
        }
        app.apply(events).await;
    };
    tokio::join!(reading, traffic);
    assert_counted(&app, "after the traffic").await;
    let report = backfill(&app).await;
    let corrected: i64 =
        report.imported.iter().filter(|(part, _)| *part != "members").map(|(_, found)| *found).sum();
    assert_eq!(corrected, 0, "{report:?}");
    assert_sound(&app, "after the traffic").await;
}
