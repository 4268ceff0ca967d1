//! A deployment's application asks what it asked before: as the member, the admin and the server that it is. It gets what it
//! got, less what a member must not see.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{apply, ask, execute};
use crate::support::database::TestDatabase;

const ANN: &str = "00000000-0000-0000-0000-00000000000a";
const BOB: &str = "00000000-0000-0000-0000-00000000000b";

/// The tables whose rows are a member's own, with what says whose.
const OF_MEMBERS: [(&str, &str); 9] = [
    ("user_profiles", "auth.uid() = user_id"),
    ("customer_subscriptions", "auth.uid() = user_id"),
    ("payment_history", "auth.uid() = user_id"),
    ("vision_versions", "auth.uid() = user_id"),
    ("journal_entries", "auth.uid() = user_id"),
    ("user_activity_metrics", "auth.uid() = user_id"),
    ("support_tickets", "auth.uid() = user_id"),
    (
        "support_ticket_replies",
        "exists (select from support_tickets t where t.id = ticket_id and t.user_id = auth.uid())",
    ),
    ("sms_messages", "auth.uid() = user_id"),
];
const OF_THE_CRM: [&str; 3] = ["marketing_campaigns", "leads", "lead_tracking_events"];

/// Bob's rows.
const ROWS: &str = "
    insert into user_profiles (user_id, first_name, last_name, phone) values ('{BOB}', 'Bob', 'Baker', '+1 555 0100');
    insert into customer_subscriptions (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, status)
        values ('{BOB}', '00000000-0000-0000-0000-0000000000f1', 'cus_2', 'sub_2', 'trialing');
    insert into payment_history (user_id, stripe_payment_intent_id, amount, status) values ('{BOB}', 'pi_2', 9900, 'succeeded');
    insert into vision_versions (user_id, title) values ('{BOB}', 'A boat');
    insert into journal_entries (user_id, entry) values ('{BOB}', 'Today');
    insert into user_activity_metrics (user_id, vision_count) values ('{BOB}', 1);
    insert into support_tickets (id, user_id, subject, description)
        values ('00000000-0000-0000-0000-0000000000b3', '{BOB}', 'Help', 'It is slow.');
    insert into support_ticket_replies (ticket_id, user_id, is_staff, message) values
        ('00000000-0000-0000-0000-0000000000b3', '{BOB}', false, 'Still slow.'),
        ('00000000-0000-0000-0000-0000000000b3', '{ANN}', true, 'We look into it.');
    insert into sms_messages (user_id, direction, status, body) values ('{BOB}', 'outbound', 'sent', 'Hello');";

/// What the application's pages ask, besides all rows of each table.
const READS: [&str; 5] = [
    "select user_id, first_name, last_name, phone from user_profiles where is_active",
    "select s.user_id, s.status, t.name from customer_subscriptions s join membership_tiers t on t.id = s.membership_tier_id
     where s.status in ('active', 'trialing')",
    "select p.user_id, p.first_name, t.name as tier, s.status, m.vision_count, m.engagement_status, m.days_since_last_login
     from user_profiles p left join customer_subscriptions s on s.user_id = p.user_id and s.status in ('active', 'trialing')
     left join membership_tiers t on t.id = s.membership_tier_id
     left join user_activity_metrics m on m.user_id = p.user_id where p.is_active",
    "select t.ticket_number, t.status, count(r.id) as replies from support_tickets t
     left join support_ticket_replies r on r.ticket_id = t.id group by 1, 2",
    "select user_id, sum(amount) as paid from payment_history where status = 'succeeded' group by 1",
];

/// What it writes. Whether a caller may is the deployment's business.
const WRITES: [&str; 12] = [
    "insert into support_tickets (user_id, subject, description, category) values ('{BOB}', 'Again', 'Broken.', 'billing')
     returning user_id, subject, category, status",
    "insert into support_ticket_replies (ticket_id, user_id, message, attachments)
     values ('00000000-0000-0000-0000-0000000000b3', '{BOB}', 'Thanks', null) returning ticket_id, is_staff, message",
    "update support_tickets set status = 'resolved', resolved_at = '2026-11-01Z' where ticket_number = 'SUPP-0041'
     returning ticket_number, status, resolved_at",
    "insert into journal_entries (user_id, entry) values ('{BOB}', 'Tonight') returning user_id, entry",
    "update user_profiles set first_name = 'Rob' where user_id = '{BOB}' returning user_id, first_name",
    "insert into vision_versions (user_id, title, is_draft) values ('{BOB}', 'A car', true) returning user_id, title, is_draft",
    "update leads set status = 'contacted', notes = 'called' where email = 'lead@example.org' returning email, status, notes",
    "update marketing_campaigns set status = 'active', total_spent = 12.34 where slug = 'spring' returning status, total_spent",
    "insert into sms_messages (user_id, direction, from_number, to_number, body, media_urls, status, twilio_sid)
     values ('{BOB}', 'outbound', '+15550100', '+15550101', 'Hi', null, 'undelivered', 'SM1') returning status, body, media_urls",
    "insert into customer_subscriptions (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, status)
     values ('{BOB}', '00000000-0000-0000-0000-0000000000f1', 'cus_2', 'sub_2', 'active')
     on conflict (stripe_subscription_id) do update set status = excluded.status returning user_id, status",
    "update user_activity_metrics set vision_count = 5, engagement_status = 'vip' where user_id = '{BOB}'
     returning vision_count, engagement_status",
    "delete from payment_history where user_id = '{BOB}' returning user_id, amount",
];

/// The deployment with rows of two members, and policies of its own on every table.
async fn deployed() -> TestDatabase {
    let database = TestDatabase::stubbed().await;
    let pool = &database.pool;
    execute(pool, include_str!("deployment.sql")).await;
    execute(pool, &ROWS.replace("{BOB}", BOB).replace("{ANN}", ANN)).await;
    for (table, is_own) in OF_MEMBERS {
        execute(pool, &format!("create policy \"Own\" on {table} to authenticated using ({is_own})")).await;
    }
    for table in OF_MEMBERS.map(|(table, _)| table).into_iter().chain(OF_THE_CRM) {
        execute(
            pool,
            &format!(
                "alter table {table} enable row level security;
                 grant select, insert, update, delete on {table} to authenticated, service_role;
                 create policy \"Admins\" on {table} to authenticated using (is_admin())"
            ),
        )
        .await;
    }
    execute(pool, "grant select on membership_tiers to authenticated, service_role").await;
    database
}

/// Who asks: Bob is a member; Ann is an admin by the deployment's own rule, and no admin by `app_metadata`.
fn callers() -> [(&'static str, Value); 3] {
    let user = |id: &str| json!({"sub": id, "role": "authenticated"});
    [
        ("authenticated", user(BOB)),
        ("authenticated", user(ANN)),
        ("service_role", json!({"role": "service_role"})),
    ]
}

/// Every table's columns as they were before the migrations.
async fn selects(pool: &PgPool) -> Vec<String> {
    super::texts(
        pool,
        "select format('select %s from %I', string_agg(quote_ident(column_name), ', ' order by ordinal_position), table_name)
         from information_schema.columns where table_schema = 'public' group by table_name order by table_name",
    )
    .await
}

type Answers = BTreeMap<String, Result<Vec<String>, String>>;

/// Each caller's answers, rows in a stable order. Nothing that is written stays.
async fn answers(pool: &PgPool, statements: &[String]) -> Answers {
    let mut answers = Answers::new();
    for (role, claims) in callers() {
        for sql in statements {
            let (tx, answer) = ask(pool, role, &claims, sql).await;
            tx.rollback().await.unwrap();
            let answer = answer.map(|rows| {
                let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
                rows.sort();
                rows
            });
            answers.insert(format!("{role} {}: {sql}", claims["sub"]), answer);
        }
    }
    answers
}

#[tokio::test]
async fn application_reads_and_writes_what_it_did_as_member_admin_and_server() {
    let database = deployed().await;
    let pool = &database.pool;
    let mut statements = selects(pool).await;
    assert_eq!(statements.len(), 13, "the fixture has all tables");
    statements.extend(READS.iter().chain(&WRITES).map(|sql| sql.replace("{BOB}", BOB)));

    let before = answers(pool, &statements).await;
    let rows = |who: String| {
        let of = before.iter().filter(|(asked, _)| asked.starts_with(&who));
        of.filter(|(_, answer)| answer.as_ref().is_ok_and(|rows| !rows.is_empty())).count()
    };
    // So that nothing is compared with nothing: the member has no leads, campaigns and visits, nor may write all of it.
    let user = |id: &str| format!("authenticated \"{id}\"");
    assert_eq!(
        [rows(user(BOB)), rows(user(ANN)), rows("service_role".to_owned())],
        [24, 30, 30],
        "{before:#?}"
    );
    for _ in 0..2 {
        apply(&database).await;
        let after = answers(pool, &statements).await;
        for (asked, answer) in &before {
            assert_eq!(after.get(asked), Some(answer), "{asked}");
        }
    }
}

#[tokio::test]
async fn member_loses_sight_of_internal_replies_alone() {
    let database = deployed().await;
    let pool = &database.pool;
    apply(&database).await;
    let replies = ["select message from support_ticket_replies".to_owned()];
    let before = answers(pool, &replies).await;
    execute(
        pool,
        "insert into public.support_ticket_replies (ticket_id, is_staff, is_internal, message)
         values ('00000000-0000-0000-0000-0000000000b3', true, true, 'He is on the old plan.')",
    )
    .await;
    let after = answers(pool, &replies).await;
    for (asked, answer) in &after {
        let sees = answer.as_ref().unwrap().iter().any(|message| message.contains("old plan"));
        assert_eq!(sees, asked.starts_with("service_role"), "{asked}");
        let others: Vec<_> =
            answer.as_ref().unwrap().iter().filter(|message| !message.contains("old plan")).collect();
        assert_eq!(others, before[asked].as_ref().unwrap().iter().collect::<Vec<_>>(), "{asked}");
    }
}
