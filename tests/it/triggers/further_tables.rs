//! A configured table moves its metric, by webhook or trigger.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::backfill::tables;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::project::supabase::ActivityTables;
use memberflow::store::backfill::ImportScope;
use memberflow::store::{Store, StoreSettings};
use serde_json::{Value, json};

use super::{ANN, BOB, installed, taken, waiting};
use crate::support::app::{NOW, TestApp, row};

const TRACKS: &str =
    "create table public.tracks (id bigint primary key, author_id uuid, status text, secret text)";

fn map() -> ActivityTables {
    let tracks = "public.tracks:author_id:audio_generated_count:status=ready".parse().unwrap();
    ActivityTables::default().with(tracks)
}

/// A store that counts tracks, with Ann and Bob signed up.
async fn begin() -> TestApp {
    let mut app = TestApp::begin().await;
    let config = Config { activity_tables: map(), ..crate::support::config(app.database.url()) };
    app.store = Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
    app.execute(TRACKS).await;
    app.sign_up(ANN, "ann@example.org").await;
    app.sign_up(BOB, "bob@example.org").await;
    app
}

async fn tracks(app: &TestApp) -> Vec<Value> {
    app.rows("select audio_generated_count as tracks from public.user_activity_metrics order by user_id")
        .await
}

fn of(ann: i64, bob: i64) -> Vec<Value> {
    vec![json!({"tracks": ann}), json!({"tracks": bob})]
}

#[tokio::test]
async fn configured_table_counts_by_triggers() {
    let app = begin().await;
    installed(&app.database.pool, &map()).await;
    app.execute(&format!(
        "insert into public.tracks select n, '{ANN}', case when n > 2 then 'ready' else 'new' end, 'SECRET'
         from generate_series(1, 5) n"
    ))
    .await;
    assert!(
        waiting(&app.database.pool)
            .await
            .iter()
            .all(|e| !String::from_utf8_lossy(&e.body).contains("SECRET"))
    );
    app.execute("update public.tracks set status = 'ready' where id = 1").await;
    app.execute(&format!("update public.tracks set author_id = '{BOB}' where id in (1, 3)")).await;
    app.execute("delete from public.tracks where id = 4").await;
    app.apply(taken(&app.database.pool).await).await;
    assert_eq!(tracks(&app).await, of(1, 2));
}

#[tokio::test]
async fn configured_table_counts_by_webhooks_and_rebuild() {
    let app = begin().await;
    let record = |id: i64, owner, status| json!({"id": id, "author_id": owner, "status": status});
    let insert = |id, owner, status| {
        row(&format!("msg_{id}"), "INSERT", "public.tracks", record(id, owner, status), Value::Null)
    };
    app.apply([insert(1, ANN, "ready"), insert(2, ANN, "new"), insert(3, BOB, "ready")]).await;
    let change = ("msg_4", "UPDATE", "public.tracks");
    app.apply([row(change.0, change.1, change.2, record(2, ANN, "ready"), record(2, ANN, "new"))]).await;
    assert_eq!(tracks(&app).await, of(2, 1));

    app.execute("update public.user_activity_metrics set audio_generated_count = 9").await;
    rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert_eq!(tracks(&app).await, of(2, 1));
}

#[tokio::test]
async fn unfed_count_belongs_to_the_application() {
    let app = begin().await;
    let entry = json!({"id": 1, "user_id": ANN});
    app.apply([row("msg_1", "INSERT", "public.journal_entries", entry, Value::Null)]).await;
    app.execute("update public.user_activity_metrics set vision_refinement_count = 7").await;
    let entry = json!({"id": 2, "user_id": ANN});
    app.apply([row("msg_2", "INSERT", "public.journal_entries", entry, Value::Null)]).await;
    let report = rebuild::run(&app.store, true, &mut Progress::Silent, |_| true).await.unwrap();
    assert_eq!(report.differing_rows(), 0, "{report:?}");
    let counts =
        "select vision_refinement_count as r, journal_entry_count as j from public.user_activity_metrics";
    assert_eq!(app.rows(counts).await, [json!({"r": 7, "j": 2})]);
}

#[tokio::test]
async fn configured_table_rows_are_imported() {
    let app = begin().await;
    app.execute(&format!(
        "insert into public.tracks
         select n, case when n < 4 then '{ANN}'::uuid else '{BOB}'::uuid end, case n when 1 then 'new' else 'ready' end
         from generate_series(1, 5) n"
    ))
    .await;
    app.execute(&format!("insert into public.vision_versions (user_id) values ('{BOB}')")).await;
    let read = async |when: &str, expected: [i64; 2]| {
        let report = tables::run(&app.store, &ImportScope::ALL, &mut Progress::Silent).await.unwrap();
        assert_eq!(tracks(&app).await, of(expected[0], expected[1]), "{when}");
        let rebuilt = rebuild::run(&app.store, true, &mut Progress::Silent, |_| true).await.unwrap();
        assert_eq!(rebuilt.differing_rows(), 0, "{when}: {:?}", rebuilt.differing);
        report
    };
    let report = read("the first start", [2, 2]).await;
    assert_eq!(report.checked["public.tracks"], 5);
    let report = read("nothing has changed", [2, 2]).await;
    assert_eq!([report.imported["public.tracks"], report.imported["members"]], [0, 0]);

    // Rows without events.
    app.execute("update public.tracks set status = 'ready' where id = 1").await;
    app.execute("delete from public.tracks where id = 5").await;
    read("a change and a deletion", [3, 1]).await;
    app.execute("delete from public.vision_versions").await;
    read("what moves one count leaves the others", [3, 1]).await;
}
