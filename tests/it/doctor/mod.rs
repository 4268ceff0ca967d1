//! The doctor's findings for healthy and broken installations.

mod sign_in;
mod stripe;
mod twilio;

use memberflow::config::Config;
use memberflow::ops::doctor::{Finding, Level, Report, examine};
use memberflow::ops::triggers;
use memberflow::project::supabase::ActivityTables;
use secrecy::SecretString;
use sqlx::PgPool;

use crate::support::broker::{broker_address, broker_url};
use crate::support::database::TestDatabase;

/// The doctor checks every table of `public` in a fresh database.
#[tokio::test]
async fn tables_without_row_level_security_are_named_each() {
    let database = TestDatabase::migrated().await;
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by 1")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    for table in &tables {
        let disable = format!("alter table public.{table} disable row level security");
        sqlx::query(sqlx::AssertSqlSafe(disable)).execute(&database.pool).await.unwrap();
    }
    let report = examine(&config(&database)).await;
    let says = format!("can read and write: {}", tables.join(", "));
    assert_found(&report, Level::Failed, "tables", &says, "enable row level security");
}

#[tokio::test]
async fn policies_that_let_everybody_read_are_named() {
    let database = TestDatabase::migrated().await;
    run(
        &database.pool,
        "grant select on public.leads, public.lead_tracking_events, public.support_tickets to anon;
         create policy everybody on public.leads for select to anon using (true);
         create policy visits on public.lead_tracking_events for all using (event_type = 'page_view');
         create policy colleagues on public.sms_messages for select to authenticated using (true);
         create policy own on public.support_tickets for select using ((select auth.uid()) = user_id);
         create policy form on public.support_tickets for insert to anon with check (true);
         create policy hidden on public.marketing_campaigns for select to anon using (true);",
    )
    .await;
    let report = examine(&config(&database)).await;
    let anon = |table: &str| format!("anybody with the anon key can read rows of {table}");
    assert_found(
        &report,
        Level::Failed,
        "tables",
        &anon("leads"),
        "drop policy \"everybody\" on public.leads",
    );
    assert_found(&report, Level::Failed, "tables", &anon("lead_tracking_events"), "drop policy \"visits\"");
    let signed_in = "every user who is signed in can read rows of sms_messages";
    assert_found(&report, Level::Warning, "tables", signed_in, "drop policy \"colleagues\"");
    // A form that anon may fill, rows of one's own, and a table that anon has no grant for.
    for table in ["support_tickets", "marketing_campaigns"] {
        assert!(saying(&report, "tables", &format!("rows of {table}")).is_none(), "{report:#?}");
    }
    assert!(saying(&report, "tables", "row level security is on").is_none());
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn config(database: &TestDatabase) -> Config {
    Config {
        amqp_url: Some(secret(&broker_url())),
        stripe_webhook_secrets: vec![secret("whsec_C2FVsBQIhrscChlQIMVb5sSYspob7oDx")],
        supabase_webhook_secrets: vec![secret("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        admin_token: Some(secret("0123456789012345678901234567")),
        ..Config::new(database.url())
    }
}

/// The findings of one check that say something.
fn saying<'a>(report: &'a Report, check: &str, says: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|finding| finding.check == check && finding.message.contains(says))
}

fn assert_found(report: &Report, level: Level, check: &str, says: &str, fix: &str) {
    let Some(finding) = saying(report, check, says) else {
        panic!("{check} does not say {says:?}: {report:#?}")
    };
    assert_eq!(finding.level, level, "{finding:?}");
    assert!(finding.fix.as_deref().unwrap_or_default().contains(fix), "{finding:?}");
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

#[tokio::test]
async fn healthy_installation_has_no_findings() {
    let database = TestDatabase::migrated().await;
    let report = examine(&config(&database)).await;
    assert!(report.worst() <= Level::Note, "{report:#?}");
    assert_found(&report, Level::Fine, "database", "PostgreSQL 1", "");
    assert_found(&report, Level::Fine, "migrations", "applied", "");
    assert_found(&report, Level::Fine, "tables", "every column", "");
    assert_found(&report, Level::Fine, "queue", "RabbitMQ", "");
    assert_found(&report, Level::Fine, "backlog", "everything that Stripe's events said was recognised", "");
    assert_found(&report, Level::Fine, "queue", "lets us in", "");
    assert_found(&report, Level::Fine, "backlog", "no event fails", "");
}

#[tokio::test]
async fn an_empty_database_needs_the_migrations() {
    let database = TestDatabase::stubbed().await;
    let report = examine(&config(&database)).await;
    assert_found(&report, Level::Failed, "migrations", "create_crm_system", "memberflow migrate");
    assert_found(&report, Level::Failed, "tables", "public.user_revenue_metrics", "memberflow migrate");
}

#[tokio::test]
async fn missing_or_open_tables_are_named_with_fixes() {
    let database = TestDatabase::migrated().await;
    run(
        &database.pool,
        "alter table public.user_revenue_metrics drop column currency;
         drop table public.sms_messages cascade;
         alter table public.leads disable row level security;
         alter table public.payment_history alter column amount type integer;",
    )
    .await;
    let report = examine(&config(&database)).await;
    assert_found(
        &report,
        Level::Failed,
        "tables",
        "public.user_revenue_metrics.currency",
        "memberflow migrate",
    );
    assert_found(&report, Level::Failed, "tables", "public.sms_messages", "memberflow migrate");
    let enable = "alter table public.leads enable row level security";
    assert_found(&report, Level::Failed, "tables", "anon key can read and write: leads", enable);
    let alter = "alter table public.payment_history alter column amount type bigint";
    assert_found(&report, Level::Warning, "tables", "payment_history.amount holds 32 bits", alter);

    run(&database.pool, "alter table public.leads enable row level security").await;
    let report = examine(&config(&database)).await;
    assert_found(&report, Level::Fine, "tables", "row level security is on", "");
}

#[tokio::test]
async fn backlogs_are_counted() {
    let database = TestDatabase::migrated().await;
    run(
        &database.pool,
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state)
         select 'stripe', 'evt_' || i, 'invoice.paid', now(), now(), '{}', 'pending' from generate_series(1, 3) i;
         insert into ingest.parked (subject, reason, detail, parked_at)
         values ('cus_1', 'unknown_user', '', now()), ('cus_2', 'unknown_user', '', now()),
                ('sub_1', 'no_tier', 'price_1', now()), ('sub_2', 'needs_stripe', '', now());
         insert into ingest.unrecognised (what, value, events, example)
         values ('subscription.status', 'dormant', 3, 'evt_7'), ('invoice.currency', '', 1, 'evt_8');
         insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         values ('stripe', 'evt_9', 'invoice.paid', now(), now(), '{}', 'dead', 'a reason', now());
         insert into ingest.events
             (source, event_id, event_type, occurred_at, received_at, body, state, attempts, alone, reason, next_attempt_at)
         select 'stripe', 'evt_1' || i, 'invoice.paid', now(), now(), '{}', 'pending', i, true, 'not today', now()
         from generate_series(1, 2) i;",
    )
    .await;
    let report = examine(&config(&database)).await;
    assert_found(&report, Level::Fine, "backlog", "pending events: 5", "");
    assert_found(&report, Level::Note, "backlog", "needs_stripe 1, no_tier 1, unknown_user 2", "");
    let tier = "set stripe_price_id = 'price_1'";
    assert_found(
        &report,
        Level::Warning,
        "backlog",
        "prices that no tier names, with their subscriptions: price_1 (1)",
        tier,
    );
    let resolve = "memberflow reconcile stripe --fix";
    assert_found(
        &report,
        Level::Warning,
        "backlog",
        "only Stripe's API can resolve: needs_stripe 1",
        resolve,
    );
    let words =
        "subscription.status \"dormant\" (3 events, evt_7), invoice.currency missing (1 events, evt_8)";
    assert_found(&report, Level::Warning, "backlog", words, "memberflow rebuild");
    assert_found(&report, Level::Warning, "backlog", "dead letters: 1: a reason (1)", "dead-letters list");
    let fail = "events that fail and are tried again: 2: not today (2)";
    assert_found(&report, Level::Warning, "backlog", fail, "memberflow events show evt_11");
}

#[tokio::test]
async fn messages_without_text_or_with_contradicting_statuses_are_counted() {
    let database = TestDatabase::migrated().await;
    let report = examine(&config(&database)).await;
    assert!(!report.findings.iter().any(|it| it.message.contains("only Twilio's API")), "{report:?}");
    run(
        &database.pool,
        "insert into ingest.sms_facts (sid, direction, body, media_urls, media_types, status, tied, received_at, state)
         values ('SM1', 'outbound', null, '{}', '{}', 'delivered', true, now(), '{}'),
                ('SM2', 'outbound', null, '{}', '{}', 'delivered', false, now(), '{}'),
                ('SM3', 'inbound', '', '{https://x/0}', '{image/png}', 'received', false, now(), '{}');
         insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, created_at)
         values ('outbound', '+15550100', '+12025550112', 'Hello', 'delivered', 'SM1', now() - interval '2 hours'),
                ('outbound', '+15550100', '+12025550112', '', 'delivered', 'SM2', now() - interval '2 hours'),
                ('inbound', '+12025550112', '+15550100', '', 'received', 'SM3', now() - interval '2 hours')",
    )
    .await;
    let report = examine(&config(&database)).await;
    let counted = "only Twilio's API can complete: contradicting_status 1, without a text 1";
    assert_found(&report, Level::Warning, "backlog", counted, "memberflow reconcile twilio --fix");
}

#[tokio::test]
async fn unreachable_dependency_is_down_without_password() {
    let away = Config {
        amqp_url: Some(secret("amqp://user:hunter2@127.0.0.1:1/%2f")),
        ..Config::new("postgres://user:hunter2@127.0.0.1:1/nothing")
    };
    let report = examine(&away).await;
    assert_eq!(report.worst(), Level::Down);
    assert_found(&report, Level::Down, "database", "127.0.0.1:1", "start PostgreSQL");
    assert_found(&report, Level::Down, "queue", "127.0.0.1:1", "start RabbitMQ");
    assert!(!format!("{report:?}").contains("hunter2"));
}

#[tokio::test]
async fn wrong_credentials_differ_from_outage() {
    let database = TestDatabase::migrated().await;
    let url = format!("amqp://guest:wrong@{}/%2f", broker_address());
    let wrong = Config { amqp_url: Some(secret(&url)), ..config(&database) };
    let report = examine(&wrong).await;
    assert_found(&report, Level::Failed, "queue", "refuses", "AMQP_URL");
}

#[tokio::test]
async fn without_a_broker_the_queue_is_in_postgres() {
    let database = TestDatabase::migrated().await;
    let report = examine(&Config { amqp_url: None, ..config(&database) }).await;
    assert_found(&report, Level::Fine, "queue", "in Postgres", "");
}

#[tokio::test]
async fn missing_or_outdated_triggers_are_named() {
    let database = TestDatabase::migrated().await;
    let mut config = config(&database);
    let install = "memberflow supabase install";
    let report = examine(&config).await;
    assert_found(&report, Level::Note, "triggers", "none: logins", install);

    triggers::install(&database.pool, &config.activity_tables).await.unwrap();
    let report = examine(&config).await;
    assert_found(
        &report,
        Level::Fine,
        "triggers",
        "they record changes of auth.users, auth.sessions, storage.objects",
        "",
    );

    run(
        &database.pool,
        "drop trigger \"00_memberflow\" on auth.sessions;
         alter table storage.objects disable trigger \"00_memberflow\";
         comment on function ingest.\"outbox_auth.users\"() is 'of another version'",
    )
    .await;
    for entry in
        ["public.tracks:user_id:audio_generated_count", "public.leads:owner:vision_board_image_count"]
    {
        config.activity_tables = config.activity_tables.with(entry.parse().unwrap());
    }
    let report = examine(&config).await;
    for (says, fix) in [
        ("missing on auth.sessions", install),
        ("switched off by hand on storage.objects", install),
        ("made by another version, or for other columns, on auth.users", install),
        ("public.leads has no column owner", "MEMBERFLOW_ACTIVITY_TABLES"),
        ("name public.tracks, which is not there", "MEMBERFLOW_ACTIVITY_TABLES"),
    ] {
        assert_found(&report, Level::Warning, "triggers", says, fix);
    }
}

#[tokio::test]
async fn lost_triggers_of_migrations_are_named_and_restored() {
    let database = TestDatabase::migrated().await;
    let (pool, tables) = (&database.pool, ActivityTables::default());
    let unrecorded: Vec<String> = sqlx::query_scalar(
        "select t.tgname::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid
         where not t.tgisinternal and p.pronamespace = 'ingest'::regnamespace and t.tgname like 'memberflow%'
           and t.tgname not in (select name from ingest.deriving_triggers)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(unrecorded, [""; 0], "a migration adds its triggers to ingest.deriving_triggers");
    let lost = async || triggers::lost(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(lost().await, []);
    run(
        pool,
        "drop trigger memberflow_note_new_tickets on public.support_tickets;
         alter table public.sms_messages disable trigger memberflow_complete_sms_message;",
    )
    .await;
    let report = examine(&config(&database)).await;
    let says = "missing: memberflow_note_new_tickets on public.support_tickets; \
                disabled: memberflow_complete_sms_message on public.sms_messages";
    assert_found(&report, Level::Warning, "triggers", says, "memberflow supabase install");
    let script = triggers::install_script(pool, &tables).await.unwrap();
    assert!(script.contains("enable trigger \"memberflow_complete_sms_message\""), "{script}");
    triggers::install(pool, &tables).await.unwrap();
    assert_eq!(lost().await, []);
}
