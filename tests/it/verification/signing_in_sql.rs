//! The SQL of docs/supabase-webhooks.sql: its posts are signed correctly, hold no secret, and never abort the
//! user's transaction.

use memberflow::verify::{SupabaseSecrets, Window, secrets, standard_webhooks};
use serde_json::{Value, json};
use std::time::Duration;
use time::OffsetDateTime;

use crate::support::app::TestApp;

const SECRET: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A stub of pg_net and the vault: the calls are kept in a table.
const PEERS: &str = "
    create schema vault;
    create table vault.decrypted_secrets (name text, decrypted_secret text);
    create schema net;
    create table net.posted (url text, body jsonb, headers jsonb);
    create function net.http_post(url text, body jsonb, headers jsonb) returns bigint language sql as
        $$ insert into net.posted values (url, body, headers); select 1::bigint $$;";

async fn installed() -> TestApp {
    let app = TestApp::begin().await;
    let script = include_str!("../../../docs/supabase-webhooks.sql");
    for part in [PEERS, script] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(part.to_owned())).execute(&app.database.pool).await.unwrap();
    }
    app.execute(&format!(
        "insert into vault.decrypted_secrets values
             ('memberflow_url', 'https://example.com/webhooks/supabase/database'), ('memberflow_secret', '{SECRET}')"
    ))
    .await;
    app
}

#[tokio::test]
async fn trigger_post_verifies_without_secrets() {
    let app = installed().await;
    app.sign_up(uuid::Uuid::from_u128(1), "ümlaut@example.com").await;
    app.execute("update auth.users set encrypted_password = 'hash', email = 'new@example.com'").await;
    let posted = app.rows("select body, body::text as sent, headers from net.posted").await;
    assert_eq!(posted.len(), 2);
    let secrets = SupabaseSecrets::new(&secrets::split_supabase(SECRET)).unwrap().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the database signs with the machine's clock")]
    let window = Window { now: OffsetDateTime::now_utc(), tolerance: Duration::from_secs(300) };
    for call in &posted {
        let header = |name: &str| call["headers"][name].as_str();
        let headers = standard_webhooks::Headers {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
        };
        let sent = call["sent"].as_str().unwrap().as_bytes();
        standard_webhooks::verify(&secrets, headers, sent, window).unwrap();
        assert_eq!(call["body"]["record"].get("encrypted_password"), None);
    }
    assert_eq!(posted[1]["body"]["type"], "UPDATE");
    assert_eq!(posted[1]["body"]["old_record"]["email"], "ümlaut@example.com");
}

#[tokio::test]
async fn trigger_error_does_not_abort_user_transaction() {
    let app = installed().await;
    app.execute("drop table net.posted").await;
    app.sign_up(uuid::Uuid::from_u128(1), "ada@example.com").await;
    assert_eq!(app.rows("select email from auth.users").await, [json!({"email": "ada@example.com"})]);
    assert_eq!(app.rows("select 1 from auth.users where id is null").await, Vec::<Value>::new());
}
