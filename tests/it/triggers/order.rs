//! The order of one row's changes is that of its row locks, whatever clocks and commits say.

use memberflow::project::supabase::ActivityTables;
use serde_json::json;
use sqlx::Connection as _;

use super::{ANN, activity, drained, taken, watched};
use crate::support::app::TestApp;
use crate::support::orders::orders;

const ROW: &str = "00000000-0000-4000-8000-000000000001";

/// Empties everything derived; `auth` and the application's tables stay.
pub async fn forget(app: &TestApp) {
    app.empty(&[
        "ingest.inbox",
        "ingest.row_facts",
        "ingest.logins",
        "ingest.activity",
        "ingest.users",
        "ingest.parked",
        "public.user_activity_metrics",
    ])
    .await;
}

#[tokio::test]
async fn last_writer_wins_whatever_the_commit_order() {
    let app = watched(&ActivityTables::default()).await;
    let file =
        |bytes| format!("update storage.objects set metadata = '{{\"size\": {bytes}}}', updated_at = now()");
    app.execute(&format!(
        "insert into storage.objects (id, name, owner_id, metadata) values ('{ROW}', 'a', '{ANN}', '{{\"size\": 1}}')"
    ))
    .await;
    let mut early = sqlx::PgConnection::connect_with(&app.database.options()).await.unwrap();
    let mut early = early.begin().await.unwrap();
    let began: time::OffsetDateTime =
        sqlx::query_scalar("select now()").fetch_one(&mut *early).await.unwrap();
    app.execute(&file(1_048_576)).await;
    sqlx::query(sqlx::AssertSqlSafe(file(2_097_152))).execute(&mut *early).await.unwrap();
    early.commit().await.unwrap();
    let updated: time::OffsetDateTime = sqlx::query_scalar("select updated_at from storage.objects")
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(updated, began, "the clock of the row went back");

    let events = taken(&app.database.pool).await;
    for order in orders(&events) {
        forget(&app).await;
        for event in order {
            app.apply([event]).await;
        }
        assert_eq!(activity(&app, ANN).await["mb"], json!(2.0));
    }
}

#[tokio::test]
async fn other_triggers_changes_are_ordered_after() {
    let app = watched(&ActivityTables::default()).await;
    sqlx::raw_sql(
        "create function public.publish() returns trigger language plpgsql as $$
         begin
             update public.vision_versions set is_draft = false where id = new.id and is_draft;
             return null;
         end $$;
         create trigger a_publishes after insert on public.vision_versions
             for each row execute function public.publish()",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    app.execute(&format!(
        "insert into public.vision_versions (user_id, title, is_draft) select '{ANN}', n::text, true
         from generate_series(1, 3) n"
    ))
    .await;
    drained(&app).await;
    assert_eq!(activity(&app, ANN).await["visions"], 3);
}

#[tokio::test]
async fn changes_of_one_transaction_keep_their_order() {
    let app = watched(&ActivityTables::default()).await;
    let mut tx = memberflow::database::begin(&app.database.pool).await.unwrap();
    for statement in [
        format!("insert into public.vision_versions (id, user_id, is_draft) values ('{ROW}', '{ANN}', true)"),
        "update public.vision_versions set is_draft = false, updated_at = now()".to_owned(),
        "update public.vision_versions set is_draft = true, updated_at = now()".to_owned(),
        "update public.vision_versions set is_draft = false, updated_at = now()".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let events = taken(&app.database.pool).await;
    assert_eq!(events.len(), 4);
    for order in orders(&events) {
        forget(&app).await;
        let (first, rest) = order.split_at(2);
        app.apply(first.to_vec()).await;
        app.apply(rest.to_vec()).await;
        assert_eq!(activity(&app, ANN).await["visions"], 1);
    }
}

#[tokio::test]
async fn rolled_back_change_is_not_recorded() {
    let app = watched(&ActivityTables::default()).await;
    let mut tx = memberflow::database::begin(&app.database.pool).await.unwrap();
    let insert = format!("insert into public.journal_entries (user_id) values ('{ANN}')");
    sqlx::query(sqlx::AssertSqlSafe(insert)).execute(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(taken(&app.database.pool).await, []);
}
