//! A change reported by hook, webhook and trigger counts once, in any order.

use memberflow::envelope::{Envelope, parse};
use memberflow::project::supabase::ActivityTables;
use serde_json::{Value, json};

use super::order::forget;
use super::{ANN, BOB, activity, body, taken, watched};
use crate::support::app::{NOW, TestApp, row};
use crate::support::dump;
use crate::support::orders::orders;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// Applies `events` in every order, one by one; returns what is the case in the end, always.
async fn always(app: &TestApp, events: &[Envelope]) -> Value {
    let mut first = None;
    for order in orders(events) {
        forget(app).await;
        let names: Vec<_> = order.iter().map(|event| event.event_id.clone()).collect();
        for event in order {
            app.apply([event]).await;
        }
        let mut now = dump::everything(&app.database.pool).await;
        now.remove("ingest.users");
        let first = first.get_or_insert_with(|| now.clone());
        dump::assert_same(first, &now, &format!("{names:?}"));
    }
    json!([activity(app, ANN).await, activity(app, BOB).await])
}

/// A Database Webhook for a change that a trigger has recorded.
fn webhook(id: &str, trigger: &Envelope, more: Value, before: Value) -> Envelope {
    let recorded = body(trigger);
    let table = format!("{}.{}", recorded["schema"].as_str().unwrap(), recorded["table"].as_str().unwrap());
    let whole = |row: &Value| match row.as_object() {
        Some(columns) => {
            let mut columns = columns.clone();
            columns.extend(more.as_object().unwrap().clone());
            Value::Object(columns)
        }
        None => Value::Null,
    };
    let before = if before.is_null() { whole(&recorded["old_record"]) } else { before };
    row(id, recorded["type"].as_str().unwrap(), &table, whole(&recorded["record"]), before)
}

#[tokio::test]
async fn login_by_hook_webhook_and_trigger_counts_once() {
    let app = watched(&ActivityTables::default()).await;
    app.execute(&format!(
        "insert into auth.sessions (id, user_id, created_at) values ('{ID}', '{ANN}', '2026-01-02T03:04:05.5Z')"
    ))
    .await;
    let mut events = taken(&app.database.pool).await;
    events.push(webhook("msg_1", &events[0], json!({"updated_at": "2026-01-02T03:04:06Z"}), Value::Null));
    let hook = json!({
        "metadata": {"uuid": "u1", "time": "2026-01-02T03:04:06Z", "name": "customize-access-token"},
        "user_id": ANN, "authentication_method": "password", "claims": {"session_id": ID, "sub": ANN}
    });
    events.push(parse::auth_hook(hook.to_string().into(), NOW).unwrap().envelope);
    let ends = always(&app, &events).await;
    assert_eq!(ends[0]["logins"], 1);
    let last = app.rows("select last_login_at from public.user_activity_metrics").await;
    assert_eq!(last, [json!({"last_login_at": "2026-01-02T03:04:05.5+00:00"})]);
}

#[tokio::test]
async fn file_reported_twice_counts_once() {
    let app = watched(&ActivityTables::default()).await;
    app.execute(&format!(
        "insert into storage.objects (id, name, owner_id, metadata)
         values ('{ID}', 'a', '{ANN}', '{{\"size\": 1048576}}')"
    ))
    .await;
    // The clock of the row goes back, and what the webhooks say of the order with it.
    app.execute("update storage.objects set metadata = '{\"size\": 3145728}'").await;
    let triggers = taken(&app.database.pool).await;
    let mut events = triggers.clone();
    events.push(webhook("msg_1", &triggers[0], json!({"updated_at": "2026-01-02T00:00:09Z"}), Value::Null));
    let before = body(&triggers[0])["record"].clone();
    events.push(webhook("msg_2", &triggers[1], json!({"updated_at": "2026-01-02T00:00:05Z"}), before));
    assert_eq!(always(&app, &events).await[0], super::counts(0, 1, 3.0, 0, 0, 0));
}

#[tokio::test]
async fn webhook_counts_until_a_trigger_reports_the_row() {
    let app = watched(&ActivityTables::default()).await;
    let record = |bytes| json!({"id": ID, "owner_id": ANN, "metadata": {"size": bytes}, "updated_at": "2026-01-01T00:00:00Z"});
    let before = row("msg_1", "INSERT", "storage.objects", record(1_048_576), Value::Null);
    app.apply([before.clone()]).await;
    assert_eq!(activity(&app, ANN).await["mb"], json!(1.0));
    app.execute(&format!(
        "insert into storage.objects (id, name, owner_id, metadata) values ('{ID}', 'a', '{BOB}', '{{\"size\": 2097152}}')"
    ))
    .await;
    let mut events = taken(&app.database.pool).await;
    events.push(before);
    let ends = always(&app, &events).await;
    assert_eq!((&ends[0]["files"], &ends[1]["mb"]), (&json!(0), &json!(2.0)));
}

#[tokio::test]
async fn deletion_is_final_from_any_source() {
    let app = watched(&ActivityTables::default()).await;
    app.execute(&format!("insert into public.journal_entries (id, user_id) values ('{ID}', '{ANN}')")).await;
    app.execute("delete from public.journal_entries").await;
    let triggers = taken(&app.database.pool).await;
    let inserted = webhook("msg_1", &triggers[0], json!({}), Value::Null);
    let deleted = webhook("msg_2", &triggers[1], json!({}), Value::Null);
    for events in [
        vec![triggers[0].clone(), triggers[1].clone(), inserted.clone(), deleted.clone()],
        // The trigger came between, or went.
        vec![triggers[0].clone(), deleted],
        vec![triggers[1].clone(), inserted],
    ] {
        assert_eq!(always(&app, &events).await[0]["entries"], 0);
    }
}

#[tokio::test]
async fn repeated_sign_up_and_deletion_count_once() {
    let app = watched(&ActivityTables::default()).await;
    let eve = uuid::Uuid::from_u128(0xe);
    app.sign_up(eve, "eve@example.org").await;
    app.execute(&format!("update auth.users set deleted_at = now() where id = '{eve}'")).await;
    app.execute(&format!("delete from auth.users where id = '{eve}'")).await;
    let mut events = taken(&app.database.pool).await;
    assert_eq!(events.len(), 3);
    events.push(webhook("msg_1", &events[0], json!({}), Value::Null));
    events.push(webhook("msg_2", &events[2], json!({}), Value::Null));
    always(&app, &events).await;
    let users = app.rows("select id, gone_at is not null as gone from ingest.users").await;
    assert_eq!(users, [json!({"id": eve, "gone": true})]);
    assert_eq!(activity(&app, eve).await, Value::Null);
}
