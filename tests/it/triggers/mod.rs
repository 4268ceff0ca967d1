//! Triggers: the database itself records its changes as events.

mod both_ways;
mod catalogue;
mod changes;
mod further_tables;
mod installing;
mod load;
mod never_in_the_way;
mod order;
mod recording;
mod restoring;
mod restricted_owner;

use bytes::Bytes;
use memberflow::envelope::{Envelope, Source};
use memberflow::ops::triggers::{self, Done, Outcome};
use memberflow::project::supabase::ActivityTables;
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use crate::support::app::TestApp;

const ANN: Uuid = Uuid::from_u128(0xa);
const BOB: Uuid = Uuid::from_u128(0xb);

/// A migrated database with the triggers of `tables`, and Ann and Bob signed up before.
async fn watched(tables: &ActivityTables) -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ANN, "ann@example.org").await;
    app.sign_up(BOB, "bob@example.org").await;
    installed(&app.database.pool, tables).await;
    app
}

async fn installed(pool: &PgPool, tables: &ActivityTables) -> Vec<Done> {
    let done = triggers::install(pool, tables).await.unwrap();
    assert!(done.iter().all(|one| !matches!(one.outcome, Outcome::Failed(_))), "{done:?}");
    done
}

/// What is pending, in the order in which it was written.
async fn waiting(pool: &PgPool) -> Vec<Envelope> {
    let rows = sqlx::query(
        "select source, event_id, event_type, occurred_at, received_at, body from ingest.events
         where state = 'pending' order by id",
    );
    let rows = rows.fetch_all(pool).await.unwrap();
    rows.iter()
        .map(|row| Envelope {
            source: row.get::<&str, _>(0).parse::<Source>().unwrap(),
            event_id: row.get(1),
            event_type: row.get(2),
            occurred_at: row.get(3),
            received_at: row.get(4),
            body: Bytes::from(row.get::<Vec<u8>, _>(5)),
        })
        .collect()
}

/// Deletes all pending events.
async fn taken(pool: &PgPool) -> Vec<Envelope> {
    let events = waiting(pool).await;
    sqlx::query("delete from ingest.events where state = 'pending'").execute(pool).await.unwrap();
    events
}

/// Applies all pending events.
pub async fn drained(app: &TestApp) {
    let events = taken(&app.database.pool).await;
    let count = events.len();
    assert_eq!(app.apply(events).await.new, count);
}

fn body(envelope: &Envelope) -> Value {
    serde_json::from_slice(&envelope.body).unwrap()
}

/// What a member did, by the counts.
async fn activity(app: &TestApp, user: Uuid) -> Value {
    let rows = app
        .rows(&format!(
            "select total_logins as logins, s3_file_count as files, total_storage_mb as mb, vision_count as visions,
                    journal_entry_count as entries, profile_completion_percent as profile
             from public.user_activity_metrics where user_id = '{user}'"
        ))
        .await;
    rows.into_iter().next().unwrap_or(Value::Null)
}

fn counts(logins: i64, files: i64, mb: f64, visions: i64, entries: i64, profile: i64) -> Value {
    json!({"logins": logins, "files": files, "mb": mb, "visions": visions, "entries": entries, "profile": profile})
}
