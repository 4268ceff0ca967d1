//! Who may do what through Supabase's API: each role, with the claims that PostgREST sets.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use super::{begin_as, code, execute, texts};
use crate::support::database::TestDatabase;

const ANN: &str = "00000000-0000-0000-0000-00000000000a";
const BOB: &str = "00000000-0000-0000-0000-00000000000b";

/// Tables with one row of Ann's and one of Bob's.
const OF_MEMBERS: [&str; 9] = [
    "user_profiles",
    "customer_subscriptions",
    "payment_history",
    "vision_versions",
    "journal_entries",
    "user_revenue_metrics",
    "user_revenue_by_currency",
    "support_tickets",
    "support_ticket_replies",
];
/// Tables with one row that is no member's business.
const OF_THE_CRM: [&str; 5] =
    ["marketing_campaigns", "leads", "sms_messages", "lead_tracking_events", "mrr_movements"];

async fn populated() -> TestDatabase {
    let database = TestDatabase::migrated().await;
    execute(&database.pool, include_str!("members.sql")).await;
    database
}

fn member(user: &str) -> Value {
    json!({ "sub": user, "role": "authenticated" })
}

fn admin() -> Value {
    json!({ "sub": BOB, "role": "authenticated", "app_metadata": { "role": "admin" } })
}

/// Runs one statement as PostgREST does, and takes it back. The rows it saw or touched, or the SQLSTATE.
async fn as_role(pool: &PgPool, role: &str, claims: &Value, sql: &str) -> Result<u64, String> {
    let mut transaction = begin_as(pool, role, claims).await;
    let outcome = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    outcome.map(|done| done.rows_affected()).map_err(|error| code(&error))
}

async fn seen(pool: &PgPool, role: &str, claims: &Value, table: &str) -> Result<u64, String> {
    as_role(pool, role, claims, &format!("select * from public.{table}")).await
}

const DENIED: Result<u64, &str> = Err("42501");

fn same(outcome: &Result<u64, String>, expected: Result<u64, &str>) -> bool {
    outcome.as_ref().map_err(String::as_str).copied() == expected
}

#[tokio::test]
async fn anon_sees_and_does_nothing() {
    let database = populated().await;
    for table in OF_MEMBERS.iter().chain(&OF_THE_CRM).chain(&["membership_tiers"]) {
        for sql in [
            format!("select 1 from public.{table}"),
            format!("delete from public.{table}"),
            format!("truncate public.{table}"),
        ] {
            let outcome = as_role(&database.pool, "anon", &json!({ "role": "anon" }), &sql).await;
            assert!(same(&outcome, DENIED), "{sql}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_member_sees_the_own_rows_alone() {
    let database = populated().await;
    for table in OF_MEMBERS {
        assert_eq!(seen(&database.pool, "authenticated", &member(ANN), table).await, Ok(1), "{table}");
        let strangers =
            seen(&database.pool, "authenticated", &member(&uuid::Uuid::new_v4().to_string()), table).await;
        assert_eq!(strangers, Ok(0), "{table}");
    }
    for table in OF_THE_CRM {
        assert_eq!(seen(&database.pool, "authenticated", &member(ANN), table).await, Ok(0), "{table}");
    }
    assert_eq!(seen(&database.pool, "authenticated", &member(ANN), "membership_tiers").await, Ok(1));
}

#[tokio::test]
async fn a_member_changes_nothing_not_even_of_the_own() {
    let database = populated().await;
    for table in OF_MEMBERS.iter().chain(&OF_THE_CRM).chain(&["membership_tiers"]) {
        let outcome =
            as_role(&database.pool, "authenticated", &member(ANN), &format!("delete from public.{table}"))
                .await;
        assert!(same(&outcome, Ok(0)) || same(&outcome, DENIED), "{table}: {outcome:?}");
        let truncated = as_role(
            &database.pool,
            "authenticated",
            &member(ANN),
            &format!("truncate public.{table} cascade"),
        )
        .await;
        assert!(same(&truncated, DENIED), "{table}: {truncated:?}");
    }
    for sql in [
        "update public.user_revenue_metrics set mrr = 0",
        "update public.user_activity_metrics set engagement_status = 'champion'",
        "update public.support_tickets set status = 'closed'",
    ] {
        assert_eq!(as_role(&database.pool, "authenticated", &member(ANN), sql).await, Ok(0), "{sql}");
    }
}

#[tokio::test]
async fn a_member_opens_tickets_and_replies_for_themselves_only() {
    let database = populated().await;
    let ann = member(ANN);
    let ticket = |columns: &str, values: &str| {
        format!(
            "insert into public.support_tickets (subject, description, {columns}) values ('a', 'b', {values})"
        )
    };
    let own_ticket = format!("(select id from public.support_tickets where user_id = '{ANN}')");
    let reply = |ticket: &str, user: &str, staff: bool| {
        format!(
            "insert into public.support_ticket_replies (ticket_id, user_id, is_staff, message)
             values ({ticket}, '{user}', {staff}, 'Thanks')"
        )
    };
    let cases = [
        (ticket("user_id", &format!("'{ANN}'")), Ok(1)),
        (ticket("user_id", &format!("'{BOB}'")), DENIED),
        (ticket("user_id, assigned_to", &format!("'{ANN}', '{BOB}'")), DENIED),
        (ticket("user_id, status", &format!("'{ANN}', 'closed'")), DENIED),
        (ticket("user_id, ticket_number", &format!("'{ANN}', 'SUPP-0007'")), DENIED),
        (reply(&own_ticket, ANN, false), Ok(1)),
        (reply(&own_ticket, ANN, true), DENIED),
        (reply(&own_ticket, BOB, false), DENIED),
        (reply("'00000000-0000-0000-0000-0000000000b2'", ANN, false), DENIED),
    ];
    for (sql, expected) in cases {
        let outcome = as_role(&database.pool, "authenticated", &ann, &sql).await;
        assert!(same(&outcome, expected), "{sql}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_admin_by_app_metadata_sees_all_and_writes_the_crm() {
    let database = populated().await;
    for table in OF_MEMBERS {
        let own_alone = matches!(table, "vision_versions" | "journal_entries");
        let expected = if own_alone { 1 } else { 2 };
        assert_eq!(seen(&database.pool, "authenticated", &admin(), table).await, Ok(expected), "{table}");
    }
    for table in OF_THE_CRM {
        assert_eq!(seen(&database.pool, "authenticated", &admin(), table).await, Ok(1), "{table}");
    }
    for (sql, rows) in [
        ("update public.leads set status = 'qualified'", 1),
        ("update public.support_tickets set status = 'closed', closed_at = now()", 2),
        ("update public.user_activity_metrics set admin_notes = 'called', custom_tags = '{vip}'", 2),
        ("insert into public.marketing_campaigns (name, slug) values ('Autumn', 'autumn')", 1),
        (
            "insert into public.support_tickets (guest_email, subject, description) values ('g@example.org', 'a', 'b')",
            1,
        ),
        ("delete from public.sms_messages", 1),
    ] {
        assert_eq!(as_role(&database.pool, "authenticated", &admin(), sql).await, Ok(rows), "{sql}");
    }
}

#[tokio::test]
async fn what_users_can_write_themselves_makes_no_admin() {
    let database = populated().await;
    let claims = [
        json!({ "sub": ANN, "role": "authenticated", "user_metadata": { "role": "admin", "is_admin": true } }),
        json!({ "sub": ANN, "role": "admin" }),
        json!({ "sub": ANN, "app_metadata": { "role": "Admin" } }),
        json!({ "sub": ANN, "app_metadata": "admin" }),
        json!({ "sub": ANN, "app_metadata": null }),
    ];
    for claim in claims {
        assert_eq!(seen(&database.pool, "authenticated", &claim, "leads").await, Ok(0), "{claim}");
        assert_eq!(seen(&database.pool, "authenticated", &claim, "payment_history").await, Ok(1), "{claim}");
    }
    assert_eq!(seen(&database.pool, "authenticated", &json!({}), "payment_history").await, Ok(0));
}

#[tokio::test]
async fn service_role_reads_and_writes_everything_public_by_its_grants() {
    let database = populated().await;
    let service = json!({ "role": "service_role" });
    for table in OF_MEMBERS {
        assert_eq!(seen(&database.pool, "service_role", &service, table).await, Ok(2), "{table}");
    }
    for table in OF_MEMBERS.iter().chain(&OF_THE_CRM).filter(|table| **table != "customer_subscriptions") {
        let outcome =
            as_role(&database.pool, "service_role", &service, &format!("delete from public.{table}")).await;
        assert!(outcome.is_ok_and(|rows| rows > 0), "{table}");
    }
    let ticket = "insert into public.support_tickets (guest_email, subject, description) values ('g@example.org', 'a', 'b')";
    assert_eq!(as_role(&database.pool, "service_role", &service, ticket).await, Ok(1));
}

#[tokio::test]
async fn the_private_schema_is_out_of_reach() {
    let database = populated().await;
    execute(&database.pool, "create table ingest.of_the_future (id int)").await;
    for role in ["anon", "authenticated"] {
        for table in ["inbox", "outbox", "customers", "schema_migrations", "of_the_future"] {
            for claims in [member(ANN), admin()] {
                let outcome =
                    as_role(&database.pool, role, &claims, &format!("select 1 from ingest.{table}")).await;
                assert!(same(&outcome, DENIED), "{role} {table}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_new_function_in_the_private_schema_is_nobodys_to_execute() {
    let database = populated().await;
    let new = "create function ingest.of_the_future() returns int language sql as 'select 1';
               create function public.of_the_application() returns int language sql as 'select 1'";
    execute(&database.pool, new).await;
    let may = "select r.name || ' ' || f.name from (values ('anon'), ('authenticated')) r (name),
                   (values ('ingest.of_the_future()'), ('public.of_the_application()')) f (name)
               where has_function_privilege(r.name, f.name, 'execute') order by 1";
    let expected = ["anon public.of_the_application()", "authenticated public.of_the_application()"];
    assert_eq!(texts(&database.pool, may).await, expected);
    let open = "select p.oid::regprocedure::text from pg_proc p where pronamespace = 'ingest'::regnamespace
                and has_function_privilege('anon', p.oid, 'execute')";
    assert_eq!(texts(&database.pool, open).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_default_that_was_closed_before_is_not_opened_again() {
    let database = TestDatabase::stubbed().await;
    execute(&database.pool, "alter default privileges revoke execute on functions from public").await;
    super::apply(&database).await;
    execute(&database.pool, "create function public.closed() returns int language sql as 'select 1'").await;
    let may = "select 1::text where has_function_privilege('anon', 'public.closed()', 'execute')";
    assert_eq!(texts(&database.pool, may).await, Vec::<String>::new());
}
