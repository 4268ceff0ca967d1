//! Realtime for the application: notifications of changes, and the publication that Supabase Realtime reads.

use std::time::Duration;

use memberflow::ops::realtime;
use memberflow::ops::triggers::{Done, Outcome};
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::app::{TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::process::{Settings, memberflow};

const ADA: Uuid = Uuid::from_u128(0xada);
const BOB: Uuid = Uuid::from_u128(0xb0b);

/// A migrated database whose tables notify.
async fn notifying() -> TestApp {
    let app = TestApp::begin().await;
    realtime::install(&app.database.pool).await.unwrap();
    app
}

/// What is heard of a table after `statement`, and of that statement alone.
async fn heard(app: &TestApp, statement: &str) -> Vec<Value> {
    let mut listener = PgListener::connect_with(&app.database.pool).await.unwrap();
    listener.listen("memberflow_changes").await.unwrap();
    app.execute(statement).await;
    app.execute("notify memberflow_changes, 'end'").await;
    let mut heard = Vec::new();
    loop {
        let notification = timeout(Duration::from_secs(30), listener.recv()).await.unwrap().unwrap();
        if notification.payload() == "end" {
            return heard;
        }
        heard.push(serde_json::from_str(notification.payload()).unwrap());
    }
}

#[tokio::test]
async fn each_commit_names_its_tables_and_members_once() {
    let app = notifying().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.sign_up(BOB, "bob@example.com").await;
    let ticket = format!(
        "insert into public.support_tickets (id, user_id, subject, description) values ('{ADA}', '{ADA}', 'Help', 'x')"
    );
    let of = |table: &str, member: Uuid| json!({"table": table, "members": [member]});
    // The derived columns are written by a second statement, which says nothing new.
    assert_eq!(heard(&app, &ticket).await, [of("support_tickets", ADA)]);
    let said =
        format!("insert into public.support_ticket_replies (ticket_id, message) values ('{ADA}', 'x')");
    let tables = heard(&app, &said).await;
    assert!(tables.contains(&of("support_ticket_replies", ADA)), "{tables:?}");
    let moved = format!("update public.support_tickets set user_id = '{BOB}'");
    let members = heard(&app, &moved).await[0]["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 2, "{members}");
    assert_eq!(
        heard(&app, "update public.support_tickets set subject = 'y' where false").await,
        [] as [Value; 0]
    );
    let gone = heard(&app, "delete from public.support_tickets").await;
    assert!(gone.contains(&of("support_tickets", BOB)), "{gone:?}");
}

#[tokio::test]
async fn applied_events_notify_with_their_members() {
    let app = notifying().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    let mut listener = PgListener::connect_with(&app.database.pool).await.unwrap();
    listener.listen("memberflow_changes").await.unwrap();
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "invoice.paid", 2, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    app.execute("notify memberflow_changes, 'end'").await;
    let mut tables = Vec::new();
    loop {
        let notification = timeout(Duration::from_secs(30), listener.recv()).await.unwrap().unwrap();
        if notification.payload() == "end" {
            break;
        }
        let heard: Value = serde_json::from_str(notification.payload()).unwrap();
        assert_eq!(heard["members"], json!([ADA]), "{heard}");
        tables.push(heard["table"].as_str().unwrap().to_owned());
    }
    tables.sort();
    tables.dedup();
    let expected =
        ["customer_subscriptions", "payment_history", "user_activity_metrics", "user_revenue_metrics"];
    assert_eq!(tables, expected);
}

#[tokio::test]
async fn more_members_than_fit_are_not_named() {
    let app = notifying().await;
    app.execute(
        "insert into auth.users (id, email) select gen_random_uuid(), n || '@example.com' from generate_series(1, 101) n",
    )
    .await;
    let all = "insert into public.user_revenue_metrics (user_id) select id from auth.users";
    assert_eq!(heard(&app, all).await, [json!({"table": "user_revenue_metrics", "members": null})]);
}

#[tokio::test]
async fn realtime_publishes_the_tables_once() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    // As in a project where somebody has added one already.
    app.execute("create publication supabase_realtime for table public.sms_messages").await;
    let script = realtime::install_script(pool).await.unwrap();
    assert_eq!(script.matches("alter publication").count(), 6, "{script}");
    assert_eq!(outcomes(realtime::install(pool).await.unwrap()), vec![Outcome::Installed; 7]);
    assert_eq!(outcomes(realtime::install(pool).await.unwrap()), vec![Outcome::Unchanged; 7]);
    assert_eq!(realtime::install_script(pool).await.unwrap(), "");
    let published =
        app.rows("select count(*) from pg_publication_tables where pubname = 'supabase_realtime'").await;
    assert_eq!(published, [json!({"count": 7})]);
}

#[tokio::test]
async fn uninstall_keeps_the_publication() {
    let app = TestApp::begin().await;
    let settings: Settings = vec![("DATABASE_URL", app.database.url())];
    let run = |args: &[&str]| {
        let output = memberflow(&settings).arg("supabase").args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = run(&["install", "--realtime", "--print"]);
    assert!(printed.contains("create publication supabase_realtime;"), "{printed}");
    let done = run(&["install", "--realtime"]);
    assert!(done.contains("public.support_tickets (realtime): installed"), "{done}");
    let again = run(&["install", "--realtime"]);
    assert!(again.contains("public.support_tickets (realtime): nothing to do"), "{again}");
    let printed = run(&["uninstall", "--print"]);
    assert!(
        printed.contains("drop trigger if exists memberflow_notify_inserts on public.sms_messages"),
        "{printed}"
    );
    let removed = run(&["uninstall"]);
    assert!(removed.contains("public.support_tickets (realtime): removed"), "{removed}");
    assert!(!run(&["uninstall"]).contains("realtime"));
    let left = app
        .rows(
            "select (select count(*) from pg_trigger where tgname like 'memberflow_notify%') as triggers,
                      (select count(*) from pg_publication_tables) as tables",
        )
        .await;
    assert_eq!(left, [json!({"triggers": 0, "tables": 7})]);
}

fn outcomes(done: Vec<Done>) -> Vec<Outcome> {
    done.into_iter().map(|one| one.outcome).collect()
}

#[tokio::test]
async fn change_that_cannot_be_notified_is_committed() {
    let app = notifying().await;
    app.execute("create table public.without_members (id integer)").await;
    app.execute(
        "create trigger changed after insert on public.without_members referencing new table as new_rows
         for each statement execute function ingest.notify_changes()",
    )
    .await;
    assert_eq!(heard(&app, "insert into public.without_members values (1)").await, Vec::<Value>::new());
    assert_eq!(app.rows("select id from public.without_members").await, [json!({"id": 1})]);
}
