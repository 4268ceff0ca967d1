//! Rows as the CRM's application writes them are taken, words beyond ours among them, on a database that memberflow
//! has made and on a deployment's; what a deployment checks itself stays.

use super::{apply, execute, texts};
use crate::support::database::TestDatabase;

/// A database that memberflow has made, and a deployment's, whose server may do anything, as Supabase grants it.
async fn databases() -> [TestDatabase; 2] {
    let deployed = TestDatabase::stubbed().await;
    execute(&deployed.pool, include_str!("deployment.sql")).await;
    execute(&deployed.pool, "grant all on all tables in schema public to service_role").await;
    apply(&deployed).await;
    [TestDatabase::migrated().await, deployed]
}

/// The number of rows of a table.
async fn rows(database: &TestDatabase, table: &str) -> usize {
    texts(&database.pool, &format!("select id::text from public.{table}")).await.len()
}

/// As the application's server, which the row level security doesn't hold back.
async fn insert(database: &TestDatabase, statement: &str) {
    execute(&database.pool, &format!("begin; set local role service_role; {statement}; commit")).await;
}

#[tokio::test]
async fn tickets_of_every_category_are_taken() {
    for database in databases().await {
        let before = rows(&database, "support_tickets").await;
        for category in ["'technical'", "'billing'", "'bug'", "'guide'", "'coaching'", "'other'", "null"] {
            insert(
                &database,
                &format!(
                    "insert into public.support_tickets (user_id, guest_email, subject, description, priority, category)
                     values (null, 'ann@example.org', 'Help', 'It is broken.', 'normal', {category})"
                ),
            )
            .await;
        }
        assert_eq!(rows(&database, "support_tickets").await, before + 7);
        let unnumbered = "select id::text from public.support_tickets where ticket_number is null";
        assert!(texts(&database.pool, unnumbered).await.is_empty());
        insert(
            &database,
            "insert into public.support_ticket_replies (ticket_id, user_id, message, is_staff, attachments)
             select id, null, 'Is it?', true, null from public.support_tickets",
        )
        .await;
    }
}

#[tokio::test]
async fn leads_of_every_type_are_taken() {
    for database in databases().await {
        let before = rows(&database, "leads").await;
        for kind in ["contact", "demo", "intensive_intake", "assessment"] {
            insert(
                &database,
                &format!(
                    "insert into public.leads
                         (type, first_name, email, phone, source, metadata, utm_source, session_id, video_engagement,
                          pages_visited, time_on_site)
                     values ('{kind}', null, 'lead@example.org', null, 'website', '{{}}', null, null, null, null, null)"
                ),
            )
            .await;
        }
        assert_eq!(rows(&database, "leads").await, before + 4);
        insert(
            &database,
            "insert into public.marketing_campaigns (name, slug, creative_urls) values ('Summer', 'summer', null)",
        )
        .await;
    }
}

/// Twilio's words, as the callback's route writes them: the first by inserting, the others by updating.
#[tokio::test]
async fn messages_with_twilios_statuses_and_without_media_are_taken() {
    let words = [
        "accepted",
        "scheduled",
        "queued",
        "sending",
        "sent",
        "delivered",
        "undelivered",
        "failed",
        "canceled",
        "partially_delivered",
        "read",
        "receiving",
        "received",
    ];
    for database in databases().await {
        for word in words {
            insert(
                &database,
                &format!(
                    "insert into public.sms_messages
                         (user_id, lead_id, from_number, to_number, body, direction, status, twilio_sid, media_urls)
                     values (null, null, '+15550100', '+15550101', '', 'outbound', '{word}', 'SM_{word}', null)"
                ),
            )
            .await;
            insert(
                &database,
                &format!("update public.sms_messages set status = '{word}' where twilio_sid = 'SM_accepted'"),
            )
            .await;
        }
        let taken =
            "select twilio_sid from public.sms_messages where media_urls is null and twilio_sid is not null";
        assert_eq!(texts(&database.pool, taken).await.len(), words.len());
    }
}

#[tokio::test]
async fn checks_of_a_deployment_stay() {
    let database = TestDatabase::stubbed().await;
    execute(
        &database.pool,
        "create table public.leads (
             id uuid primary key default gen_random_uuid(), email text not null,
             type text not null check (type in ('contact', 'demo', 'intensive_intake')),
             pages_visited text[] not null
         );
         create table public.support_tickets (
             id uuid primary key default gen_random_uuid(), ticket_number text not null unique,
             subject text not null, description text not null,
             category text check (category in ('technical', 'billing', 'account', 'feature', 'other'))
         );
         comment on column public.support_tickets.category is 'Their own words.'",
    )
    .await;
    apply(&database).await;
    let checks = "select conname::text from pg_constraint
        where contype = 'c' and conname in ('leads_type_check', 'support_tickets_category_check') order by 1";
    assert_eq!(texts(&database.pool, checks).await, ["leads_type_check", "support_tickets_category_check"]);
    let columns = "select attname::text from pg_attribute
        where attrelid = 'public.leads'::regclass and attnotnull and attname in ('type', 'pages_visited') order by 1";
    assert_eq!(texts(&database.pool, columns).await, ["pages_visited", "type"]);
    let words = "select col_description('public.support_tickets'::regclass, attnum) from pg_attribute
        where attrelid = 'public.support_tickets'::regclass and attname = 'category'";
    assert_eq!(texts(&database.pool, words).await, ["Their own words."]);
}
