//! Rows of Database Webhooks are reduced before they are stored, and reads are bounded however often a row
//! changes within one moment.

use bytes::Bytes;
use memberflow::envelope::Envelope;
use memberflow::project::supabase::{ActivityTables, reduced};
use serde_json::{Value, json};
use sqlx::Row as _;
use time::Duration;
use uuid::Uuid;

use crate::support::app::{NOW, TestApp, row};
use crate::support::receiver::TestReceiver;

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);
const PROFILE: Uuid = Uuid::from_u128(1);
const TABLE: &str = "public.user_profiles";

/// A profile of 40 kB: the columns that count, fifty others, and a long text.
fn profile(edit: usize, first_name: &str) -> Value {
    let mut profile = json!({
        "id": PROFILE, "user_id": MEMBER, "is_active": true, "is_draft": false, "first_name": first_name,
        "last_name": "Lovelace", "email": "ada@example.com", "phone": null, "updated_at": "2026-11-01T00:00:00+00:00",
        "story": format!("{edit} {}", "what I would tell nobody ".repeat(1600))
    });
    for number in 0..50 {
        profile[format!("wish_number_{number}")] = json!("to be free");
    }
    profile
}

fn edit(number: usize, record: Value, old_record: Value) -> Envelope {
    let mut event = row(&format!("msg_{number:05}"), "UPDATE", TABLE, record, old_record);
    event.received_at = NOW + Duration::seconds(i64::try_from(number).unwrap());
    event.body = reduced(&event.body, &ActivityTables::default()).unwrap().into();
    event
}

#[tokio::test]
async fn rows_are_stored_as_the_columns_that_count() {
    let receiver = TestReceiver::start().await;
    for (id, table) in [("msg_1", "user_profiles"), ("msg_2", "diaries")] {
        let body = json!({
            "type": "UPDATE", "schema": "public", "table": table, "record": profile(2, "Ada"), "old_record": profile(1, "Ada")
        });
        let reply = receiver.supabase("database", id, body.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    let stored = receiver.pending().await;
    let texts: Vec<String> = stored.iter().map(|it| String::from_utf8(it.body.clone()).unwrap()).collect();
    for text in &texts {
        for secret in ["nobody", "Lovelace", "ada@example.com", "to be free"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let record: Value = serde_json::from_str::<Value>(&texts[0]).unwrap()["record"].take();
    assert_eq!(
        record,
        json!({
            "id": PROFILE, "user_id": MEMBER, "is_active": true, "is_draft": false, "updated_at": "2026-11-01T00:00:00+00:00",
            "first_name": true, "last_name": true, "email": true, "phone": null
        })
    );
    assert!(texts[0].len() < 3000, "{} bytes", texts[0].len());
    assert!(texts[1].len() < 400, "{}", texts[1]);
}

/// The previous values order many edits of one moment.
#[tokio::test]
async fn reduced_edits_of_one_moment_are_chained() {
    let edits: Vec<Envelope> = (1..=9)
        .map(|number| {
            // Back and forth, with no other counted column to distinguish the states.
            let name = |edit: usize| if edit.is_multiple_of(2) { "" } else { "Ada" };
            edit(10 - number, profile(number, name(number)), profile(number - 1, name(number - 1)))
        })
        .collect();
    for turn in 0..3 {
        let app = TestApp::begin().await;
        app.sign_up(MEMBER, "ada@example.com").await;
        let mut events = edits.clone();
        events.rotate_left(turn * 3);
        if turn == 1 {
            app.apply(events).await;
        } else {
            for event in events {
                app.apply([event]).await;
            }
        }
        let fact = app.rows("select amount, tied from ingest.row_facts").await;
        assert_eq!(fact, [json!({"amount": 75, "tied": false})], "turn {turn}");
    }
}

#[tokio::test]
async fn many_edits_of_one_moment_are_bounded() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let name = |edit: usize| if edit.is_multiple_of(3) { "Ada" } else { "" };
    let edits = (1..=400)
        .map(|number| edit(number, profile(number, name(number)), profile(number - 1, name(number - 1))));
    let whole: usize = 400 * 2 * profile(1, "").to_string().len();
    for batch in edits.collect::<Vec<_>>().chunks(50) {
        app.apply(batch.to_vec()).await;
    }
    let stored: i64 = sqlx::query("select sum(octet_length(body)) from ingest.inbox")
        .fetch_one(&app.database.pool)
        .await
        .unwrap()
        .get(0);
    assert!(usize::try_from(stored).unwrap() * 20 < whole, "{stored} of {whole} bytes");

    // The last one, with half of them left out of what is read: no more than the newest 200 are.
    let fact = app.rows("select amount, tied, event_id from ingest.row_facts").await;
    assert_eq!(fact, [json!({"amount": 50, "tied": true, "event_id": "msg_00400"})]);
    let lost: Bytes = "no JSON".into();
    sqlx::query("update ingest.inbox set body = $1 where event_id < 'msg_00202'")
        .bind(&lost[..])
        .execute(&app.database.pool)
        .await
        .unwrap();
    app.apply([edit(401, profile(401, "Ada"), profile(400, name(400)))]).await;
    let fact = app.rows("select amount, tied, event_id from ingest.row_facts").await;
    assert_eq!(fact, [json!({"amount": 75, "tied": true, "event_id": "msg_00401"})]);

    // What nothing undoes is not among those left out.
    let mut gone = row("msg_gone", "DELETE", TABLE, json!(null), profile(401, "Ada"));
    gone.received_at = NOW - Duration::days(1);
    app.apply([gone.clone()]).await;
    gone.event_id = "msg_gone_again".to_owned();
    app.apply([gone, edit(402, profile(402, "Ada"), profile(401, "Ada"))]).await;
    let fact = app.rows("select counted, final from ingest.row_facts").await;
    assert_eq!(fact, [json!({"counted": false, "final": true})]);
}
