//! Less obvious traces of a person are removed too.

use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use memberflow::envelope::{Envelope, Source, parse};
use serde_json::{Value, json};

use super::{ADDRESS, ANN, BOB, OTHERS_ADDRESS, drift, forget, lives, plan, rows_with};
use crate::sms::{THEIRS, incoming};
use crate::support::app::{NOW, TestApp, customer, row, stripe};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::process::{Settings, memberflow};

/// A dead letter, an unread event and a fact of nobody's, with the address as other JSON writers write it.
#[tokio::test]
async fn escaped_text_is_found() {
    let app = lives().await;
    let escaped = |id: &str, text: &str| {
        let body = format!(
            r#"{{"id":"{id}","object":"event","type":"issuing_cardholder.created","created":1767225600,"livemode":false,
                "api_version":"2025-09-30.clover","data":{{"object":{{"id":"ich_{id}","object":"issuing.cardholder","note":"{text}"}}}}}}"#
        );
        parse::stripe(body.into_bytes().into(), NOW).unwrap()
    };
    let events = [
        escaped("esc_1", r"for \u0061nn\u0040example.com"),
        escaped("esc_2", r"mailto:\/\/Ann@example.com\/"),
    ];
    let anothers = escaped("esc_3", r"jo\u0061nn@example.com");
    app.apply(events.into_iter().chain([anothers])).await;
    app.store
        .dead_letter(&[(escaped("esc_dead", r"ann\u0040example.com"), "because".to_owned())])
        .await
        .unwrap();
    forget(&app, ADDRESS).await;
    let left = app.rows("select event_id from ingest.events where event_id like 'esc%' and body <> ''").await;
    assert_eq!(left, [json!({"event_id": "esc_3"})]);
}

#[tokio::test]
async fn stored_api_answers_are_emptied() {
    let app = lives().await;
    app.execute(
        "insert into ingest.idempotency_keys (actor, key, request_hash, began_at, status, content_type, body)
         values ('api', 'k', '', now(), 200, 'application/json', 'ann@example.com asks')",
    )
    .await;
    forget(&app, ADDRESS).await;
    let left =
        app.rows("select status, convert_from(body, 'UTF8') as body from ingest.idempotency_keys").await;
    assert_eq!(left, [json!({"status": 200, "body": "{}"})]);
}

#[tokio::test]
async fn saved_views_and_differences_are_deleted() {
    let app = lives().await;
    app.execute(
        "insert into ingest.saved_views (actor, list, name, query, saved_at)
         values ('bob', 'members', 'Ann', 'text=Ann%40example.com', now()), ('bob', 'members', 'all', 'sort=mrr', now())",
    )
    .await;
    app.execute("delete from ingest.last_checks").await;
    app.execute(
        "insert into ingest.last_checks values ('rebuild', now(), 'bob', false, 1, 1, '[{\"here\": \"ann@example.com\"}]')",
    )
    .await;
    forget(&app, ADDRESS).await;
    assert_eq!(app.rows("select name from ingest.saved_views").await, [json!({"name": "all"})]);
    let left = app.rows("select found, differences from ingest.last_checks").await;
    assert_eq!(left, [json!({"found": 1, "differences": []})]);
}

#[tokio::test]
async fn errors_of_jobs_that_name_the_person_are_removed() {
    let app = lives().await;
    app.execute(
        "insert into ingest.jobs (operation, is_fix, state, requested_by, requested_at, error)
         values ('rebuild', false, 'failed', 'bob', now(), 'invalid value: \"Ann@example.com\"'),
                ('rebuild', false, 'failed', 'bob', now(), 'Stripe answered 401')",
    )
    .await;
    forget(&app, ADDRESS).await;
    let left = app.rows("select error from ingest.jobs order by id").await;
    assert_eq!(
        left,
        [json!({"error": "removed, it named a person"}), json!({"error": "Stripe answered 401"})]
    );
}

#[tokio::test]
async fn leftovers_of_an_interrupted_rebuild_are_removed() {
    let app = lives().await;
    app.execute("create schema ingest_rebuild").await;
    app.execute("create table ingest_rebuild.customer_emails as select * from ingest.customer_emails").await;
    forget(&app, ADDRESS).await;
    let left = app.rows("select from pg_namespace where nspname = 'ingest_rebuild'").await;
    assert_eq!(left, [] as [Value; 0]);
}

#[tokio::test]
async fn visits_of_the_leads_session_are_deleted() {
    let app = lives().await;
    app.execute("update public.leads set session_id = 'ann session'").await;
    app.execute("insert into public.leads (email, session_id) values ('carl@example.com', 'shared')").await;
    app.execute(&format!(
        "insert into public.lead_tracking_events (session_id, event_type, page_url, user_id)
         values ('ann session', 'view', '/?for=ann@example.com', null), ('ann signed in', 'view', '/me', '{ANN}'),
                ('ann signed in', 'view', '/?who=Ann', null), ('shared', 'view', '/carl', null),
                ('shared', 'view', '/ann', '{ANN}'), ('bobs', 'view', '/bob', '{BOB}')"
    ))
    .await;
    forget(&app, ADDRESS).await;
    let left = app.rows("select page_url from public.lead_tracking_events order by 1").await;
    assert_eq!(left, [json!({"page_url": "/bob"}), json!({"page_url": "/carl"})]);
}

#[tokio::test]
async fn messages_of_the_persons_number_are_deleted() {
    let app = lives().await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, phone)
         values ('{ANN}', '+1 (555) 777-0001'), ('{ANN}', '+1 555 777 0002'), ('{BOB}', '+15557770002'),
                ('{ANN}', '555-777-0003'), ('{ANN}', '(555) 777 0004'), ('{BOB}', '0015557770004')"
    ))
    .await;
    app.execute(
        "insert into public.sms_messages (direction, from_number, to_number, body)
         values ('inbound', '+15557770001', '+15550000000', 'mine'), ('outbound', '+15550000000', '+15557770001', 'for me'),
                ('inbound', '+15557770002', '+15550000000', 'shared'), ('inbound', '+15557770003', '+15550000000', 'without country'),
                ('inbound', '+445557770003', '+15550000000', 'of another country'),
                ('inbound', '+15557770004', '+15550000000', 'shared, written otherwise'), ('inbound', '+15550000000', '+15557770001', 'no')",
    )
    .await;
    forget(&app, ADDRESS).await;
    let left = app.rows("select body from public.sms_messages order by 1").await;
    let left: Vec<_> = left.iter().map(|row| row["body"].as_str().unwrap()).collect();
    assert_eq!(left, ["no", "of another country", "shared", "shared, written otherwise"]);
}

#[tokio::test]
async fn messages_of_the_accounts_number_are_deleted() {
    for key in ["id", "user_id"] {
        let app = lives().await;
        for statement in [
            format!("create table public.user_accounts ({key} uuid primary key, phone text)"),
            format!(
                "insert into public.user_accounts values ('{ANN}', '+1 (555) 777-0001'), ('{BOB}', '+1 555 777 0002')"
            ),
            format!("insert into public.user_profiles (user_id, phone) values ('{ANN}', '+1 555 777 0002')"),
            "insert into public.sms_messages (direction, from_number, to_number, body)
             values ('inbound', '+15557770001', '+15550000000', 'mine'),
                    ('inbound', '+15557770002', '+15550000000', 'of Bob')"
                .to_owned(),
        ] {
            app.execute(&statement).await;
        }
        forget(&app, ADDRESS).await;
        assert_eq!(
            app.rows("select body from public.sms_messages").await,
            [json!({"body": "of Bob"})],
            "{key}"
        );
    }
}

#[tokio::test]
async fn list_counts_what_it_does_not_show_and_json_has_all() {
    let app = lives().await;
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, user_id)
         select 'inbound', '+1555777' || n, '+15550000000', 'x', '{ANN}' from generate_series(1000, 1149) n"
    ))
    .await;
    let count = plan(&app, ADDRESS).await.crm.messages.0.len();
    assert!(count >= 150, "{count}");
    let (_, said) = command(&app, &[]);
    let line = said.lines().find(|line| line.starts_with("messages: ")).expect(&said);
    assert!(line.ends_with(&format!(" and {} more (--json lists all)", count - 10)), "{line}");
    let shown = serde_json::to_value(plan(&app, ADDRESS).await).unwrap();
    assert_eq!(shown["messages"]["count"], count);
    assert_eq!(shown["messages"]["ids"].as_array().unwrap().len(), count);
}

#[tokio::test]
async fn text_messages_are_removed_everywhere() {
    let app = lives().await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, phone, is_active, is_draft) values ('{ANN}', '{THEIRS}', true, false)"
    ))
    .await;
    app.apply([incoming(1, 1, "I am Mrs Archer, call me"), incoming(2, 2, "STOP")]).await;
    assert!(rows_with(&app, "12025550112").await.len() >= 6);
    let (_, done) = forget(&app, ADDRESS).await;
    assert_eq!(done["reports of messages removed"], 2);
    // The account and its profile are Supabase's to delete.
    let mut left = rows_with(&app, "12025550112|Mrs Archer").await;
    left.retain(|row| !row.starts_with("public.user_profiles"));
    assert_eq!(left, [] as [String; 0]);
    assert_eq!(drift(&app).await, []);
}

#[tokio::test]
async fn references_other_than_user_ids_are_removed() {
    let app = lives().await;
    let session = json!({
        "id": "cs_ann", "object": "checkout.session", "created": 1_767_225_650, "customer": "cus_1",
        "client_reference_id": "carol-archer-1980", "metadata": {"user_id": "ann-archer-1980"},
        "status": "complete", "payment_status": "paid", "customer_details": {"email": "typed@example.com"}
    });
    app.apply([stripe("ann_cs", "checkout.session.completed", 55, session)]).await;
    assert!(rows_with(&app, "archer-1980").await.iter().any(|row| row.starts_with("ingest.claims")));
    assert!(app.parked().await.contains(&"cus_1 disputed_user".to_owned()));
    forget(&app, ADDRESS).await;
    assert_eq!(rows_with(&app, "archer-1980|typed@example").await, [] as [String; 0]);
    assert_eq!(
        app.rows("select email from ingest.customer_emails where customer_id = 'cus_1'").await,
        [json!({"email": ""})]
    );
    assert_eq!(drift(&app).await, []);
}

/// The address leads to what belongs to nobody else: here to a guest and to a customer that was never matched.
#[tokio::test]
async fn unowned_customers_with_own_address_are_removed() {
    let app = lives().await;
    app.execute(&format!("delete from auth.users where id = '{ANN}'")).await;
    app.apply([row("ann_gone", "DELETE", "auth.users", Value::Null, json!({"id": ANN, "email": ADDRESS}))])
        .await;
    app.apply([stripe("guest_1", "customer.created", 70, customer("cus_guest", ADDRESS))]).await;
    app.apply([stripe("guest_2", "customer.created", 70, customer("cus_joann", "jo.ann@example.com"))]).await;
    let (plan, _) = forget(&app, &ANN.to_string()).await;
    assert_eq!(plan.customers.all(), ["cus_1", "cus_guest"]);
    let left =
        app.rows("select event_id from ingest.inbox where event_id like 'guest%' and body <> ''").await;
    assert_eq!(left, [json!({"event_id": "guest_2"})]);
    assert_eq!(drift(&app).await, []);
}

#[tokio::test]
async fn rebuild_and_repeat_do_not_restore_the_person() {
    let app = lives().await;
    let events: Vec<Envelope> = super::life("ann", ANN, "cus_1", ADDRESS, "Ann Archer");
    forget(&app, ADDRESS).await;
    app.apply(events).await;
    assert_eq!(super::traces(&app).await, [] as [String; 0]);
    memberflow::ops::rebuild::run(
        &app.store,
        false,
        &mut memberflow::ops::progress::Progress::Silent,
        |_| true,
    )
    .await
    .unwrap();
    app.store.recompute_due().await.unwrap();
    assert_eq!(super::traces(&app).await, [] as [String; 0]);
    assert_eq!(app.store.plan_forget(OTHERS_ADDRESS).await.unwrap().unwrap().events.all().len(), 7);
}

#[tokio::test]
async fn pending_events_are_listed() {
    let app = lives().await;
    let later = stripe("ann_waits", "customer.updated", 80, customer("cus_1", ADDRESS));
    app.execute(&format!(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state)
         values ('stripe', 'ann_waits', 'customer.updated', now(), now(), convert_to('{}', 'UTF8'), 'pending'),
                ('stripe', 'bob_waits', 'customer.updated', now(), now(), convert_to('{{\"id\": \"cus_10\"}}', 'UTF8'),
                 'pending')",
        String::from_utf8(later.body.to_vec()).unwrap()
    ))
    .await;
    assert_eq!(plan(&app, ADDRESS).await.not_applied.all(), ["stripe/ann_waits"]);
    let (exit, said) = command(&app, &[]);
    assert!(exit == 0 && said.contains("stripe/ann_waits") && said.contains("run this again"), "{said}");
}

#[tokio::test]
async fn messages_in_the_broker_are_counted() {
    let (app, broker) = (lives().await, TestBroker::new());
    let (_connection, channel) = broker.channel().await;
    let queue = broker.name(Source::Stripe.as_str());
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.clone().into(), options, FieldTable::default()).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let published = channel.basic_publish("".into(), queue.clone().into(), options, b"anything", properties);
    published.await.unwrap().await.unwrap();
    let settings = [("AMQP_URL", broker_url()), ("MEMBERFLOW_QUEUE_PREFIX", broker.prefix.clone())];
    let (exit, said) = command(&app, &settings);
    assert!(exit == 0 && said.contains(&format!("messages in {queue}: 1")), "{said}");
    let (exit, said) = command(&app, &[("AMQP_URL", "amqp://127.0.0.1:1/%2f".to_owned())]);
    assert!(exit == 7 && said.contains("RabbitMQ"), "{said}");
}

/// A dry run with these settings: the exit code and what was said.
fn command(app: &TestApp, settings: &[(&'static str, String)]) -> (i32, String) {
    let mut all: Settings = vec![("DATABASE_URL", app.database.url())];
    all.extend_from_slice(settings);
    let output = memberflow(&all).args(["forget", ADDRESS, "--dry-run"]).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}
