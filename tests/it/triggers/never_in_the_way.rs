//! Users' statements succeed, whatever happens to the table of events.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memberflow::project::supabase::ActivityTables;
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{ANN, activity, drained, taken, waiting, watched};
use crate::support::receiver::stall;

/// Everything that is logged while it lives; the database's warnings among it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

const STATEMENTS: [&str; 4] = [
    "insert into auth.users (id, email) values (gen_random_uuid(), gen_random_uuid()::text)",
    "update auth.users set email = gen_random_uuid()::text where id = '00000000-0000-0000-0000-00000000000a'",
    "insert into storage.objects (name, metadata) select n::text, '{\"size\": 1}' from generate_series(1, 20) n",
    "delete from auth.users where id = '00000000-0000-0000-0000-00000000000b'",
];

#[tokio::test]
async fn supabase_roles_need_no_rights_on_our_schema() {
    let app = watched(&ActivityTables::default()).await;
    app.execute("grant insert on public.vision_versions to authenticated").await;
    app.execute("create policy own on public.vision_versions for insert to authenticated with check (true)")
        .await;
    let mut connection = PgConnection::connect_with(&app.database.options()).await.unwrap();
    for (role, statement) in [
        (
            "supabase_auth_admin",
            format!(
                "insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), '{ANN}', now())"
            ),
        ),
        (
            "supabase_storage_admin",
            format!(
                "insert into storage.objects (name, owner_id, metadata) values ('a', '{ANN}', '{{\"size\": 1048576}}')"
            ),
        ),
        (
            "authenticated",
            format!("insert into public.vision_versions (user_id, title) values ('{ANN}', 'a')"),
        ),
    ] {
        let mut tx = connection.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(format!("set local role {role}"))).execute(&mut *tx).await.unwrap();
        let allowed: bool = sqlx::query_scalar("select has_schema_privilege('ingest', 'usage')")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert!(!allowed, "{role}");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    drained(&app).await;
    assert_eq!(activity(&app, ANN).await, super::counts(1, 1, 1.0, 1, 0, 0));
}

#[tokio::test]
async fn unwritable_events_table_only_warns() {
    for (broken, says) in [
        ("alter view ingest.events rename to gone", "relation \"ingest.events\" does not exist"),
        ("alter table ingest.inbox add constraint is_full check (false) not valid", "is_full"),
        ("drop sequence ingest.change_numbers", "ingest.change_numbers"),
        ("alter view ingest.events rename body to bytes", "column \"body\""),
    ] {
        let app = watched(&ActivityTables::default()).await;
        app.execute(broken).await;
        let (log, guard) = Log::begin();
        for statement in STATEMENTS {
            app.execute(statement).await;
        }
        drop(guard);
        let text = log.text();
        for expected in
            ["memberflow was not told of INSERT on auth.users", "not told of DELETE on auth.users", says]
        {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}

#[tokio::test]
async fn dropped_column_loses_only_the_event() {
    let app = watched(&ActivityTables::default()).await;
    let (log, guard) = Log::begin();
    app.execute("alter table public.user_profiles alter column phone type varchar(99)").await;
    app.execute("alter table public.vision_versions rename is_draft to is_sketch").await;
    app.execute(&format!("insert into public.vision_versions (user_id, title) values ('{ANN}', 'a')")).await;
    drop(guard);
    assert!(log.text().contains("not told of INSERT on public.vision_versions"), "{}", log.text());
    assert_eq!(waiting(&app.database.pool).await, []);
}

#[tokio::test]
async fn locked_events_are_waited_for_briefly() {
    let app = watched(&ActivityTables::default()).await;
    let held = stall(&app.database.pool).await;
    let (log, guard) = Log::begin();
    let began = Instant::now();
    app.execute(STATEMENTS[2]).await;
    let took = began.elapsed();
    drop(guard);
    assert!(took > Duration::from_millis(400) && took < Duration::from_secs(4), "{took:?}");
    let warnings = log.text().matches("its events are held by somebody").count();
    assert_eq!(warnings, 20);
    held.rollback().await.unwrap();
    taken(&app.database.pool).await;
    app.execute("update storage.objects set metadata = '{\"size\": 2}'").await;
    assert_eq!(taken(&app.database.pool).await.len(), 20, "the next transaction reports again");
}

#[tokio::test]
async fn notifications_are_throttled() {
    let app = watched(&ActivityTables::default()).await;
    let mut listener = PgListener::connect_with(&app.database.pool).await.unwrap();
    listener.listen("memberflow_events").await.unwrap();
    let began = Instant::now();
    for _ in 0..100 {
        app.execute(&format!("insert into public.journal_entries (user_id) values ('{ANN}')")).await;
    }
    let most = began.elapsed().as_millis() / 5 + 1;
    let mut notified = 0;
    while let Ok(received) = tokio::time::timeout(Duration::from_millis(300), listener.recv()).await {
        received.unwrap();
        notified += 1;
    }
    assert!(notified >= 1 && notified <= most, "{notified} of at most {most}");
}
