//! On a deployment's own tables: its writes work as before, and its rows are completed.

use memberflow::clock::Clock;
use memberflow::store::migrate::{self, MigrateOptions};
use memberflow::store::{Store, StoreSettings};
use sqlx::AssertSqlSafe;

use super::{OURS, THEIRS, callback, incoming, sid};
use crate::support::app::{NOW, TestApp};
use crate::support::database::TestDatabase;

const DEPLOYMENT: &str = include_str!("../migrations/deployment.sql");

async fn deployed(more: &str) -> TestApp {
    let database = TestDatabase::stubbed().await;
    for sql in [DEPLOYMENT, more] {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&database.pool).await.unwrap();
    }
    for _ in 0..2 {
        migrate::run(&database.options(), MigrateOptions::default()).await.unwrap();
    }
    let settings = StoreSettings::new(&crate::support::config(database.url()));
    let store = Store::new(database.pool.clone(), Clock::fixed(NOW), settings);
    TestApp { database, store }
}

/// As later versions of the application have it.
const NEWER: &str = "
    create unique index sms_messages_twilio_sid_key on sms_messages (twilio_sid) where twilio_sid is not null;
    alter table sms_messages add constraint sms_messages_status_check
        check (status in ('queued', 'sent', 'delivered', 'failed', 'received', 'unknown'));
    alter table user_profiles add column sms_opt_in boolean default false, add column sms_opt_in_date timestamptz;
    update user_profiles set phone = '+12025550112', sms_opt_in = true where first_name = 'Ann';
";

#[tokio::test]
async fn application_writes_succeed_and_stay() {
    let app = deployed("").await;
    for (number, word) in [
        "accepted",
        "scheduled",
        "queued",
        "sending",
        "sent",
        "delivered",
        "undelivered",
        "failed",
        "canceled",
        "read",
        "received",
        "of_tomorrow",
    ]
    .into_iter()
    .enumerate()
    {
        app.execute(&format!(
            "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, media_urls)
             values ('outbound', '{OURS}', '{THEIRS}', null, '{word}', 'SM{number}', null)"
        ))
        .await;
        app.execute(&format!("update public.sms_messages set status = '{word}' where twilio_sid = 'SM0'"))
            .await;
        let stays = app.rows(&format!("select status from public.sms_messages where twilio_sid = 'SM0' and status = '{word}' and body is null")).await;
        assert_eq!(stays.len(), 1, "{word}");
    }
    for category in ["technical", "bug", "guide", "coaching"] {
        app.execute(&format!(
            "insert into public.support_tickets (subject, description, category) values ('s', 'd', '{category}')"
        ))
        .await;
    }
    app.execute("insert into public.leads (type, email) values ('assessment', 'a@example.com')").await;
}

#[tokio::test]
async fn rows_are_completed_under_deployment_constraints() {
    let app = deployed(NEWER).await;
    app.apply([
        callback(1, 2, "undelivered", "30003"),
        callback(2, 1, "sending", ""),
        incoming(3, 3, "STOP"),
    ])
    .await;
    let log = |message: u32| {
        format!(
            "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, media_urls)
             values ('outbound', '{OURS}', '{THEIRS}', 'Hello', 'sent', '{}', null)",
            sid(message)
        )
    };
    app.execute(&log(1)).await;
    // A word that the deployment's check does not know: the trigger maps it, and the write that failed before succeeds.
    app.execute(&format!(
        "update public.sms_messages set status = 'undelivered' where twilio_sid = '{}'",
        sid(1)
    ))
    .await;
    app.execute(&log(2)).await;
    let rows = app
        .rows("select concat_ws(' ', status, twilio_status, body, user_id) as t from public.sms_messages where twilio_sid is not null order by twilio_sid")
        .await;
    let ann = "00000000-0000-0000-0000-00000000000a";
    let rows: Vec<&str> = rows.iter().map(|row| row["t"].as_str().unwrap()).collect();
    assert_eq!(
        rows,
        [
            format!("failed undelivered Hello {ann}"),
            format!("sent sending Hello {ann}"),
            format!("received received STOP {ann}"),
        ]
    );
    let consent = app.rows("select sms_opt_in from public.user_profiles where first_name = 'Ann'").await;
    assert_eq!(consent[0]["sms_opt_in"], false);
}

#[tokio::test]
async fn rows_without_unique_index_are_not_duplicated() {
    let app = deployed("").await;
    app.apply([callback(1, 2, "delivered", "")]).await;
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid)
         values ('outbound', '{OURS}', '{THEIRS}', 'Hello', 'sent', '{}')",
        sid(1)
    ))
    .await;
    app.apply([callback(1, 1, "sent", "")]).await;
    let rows = app.rows("select body, status from public.sms_messages where twilio_sid is not null").await;
    assert_eq!(rows, [serde_json::json!({"body": "Hello", "status": "delivered"})]);
}
