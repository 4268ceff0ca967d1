//! What staff write about a member is for admins: on a new database and on a deployment's.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{apply, execute};
use crate::support::database::TestDatabase;

const ANN: &str = "00000000-0000-0000-0000-00000000000a";
const BOB: &str = "00000000-0000-0000-0000-00000000000b";
const NOTE: &str =
    "update public.user_activity_metrics set admin_notes = 'suspected fraud', custom_tags = '{vip}'
                    where user_id = '00000000-0000-0000-0000-00000000000a'";
const TABLE: &str = "select user_id, admin_notes, custom_tags from public.user_activity_metrics order by 1";
const VIEW: &str = "select * from public.own_activity_metrics";

fn member(user: &str) -> Value {
    json!({"sub": user, "role": "authenticated", "user_metadata": {"role": "admin"}})
}

fn admin() -> Value {
    json!({"sub": BOB, "role": "authenticated", "app_metadata": {"role": "admin"}})
}

/// The rows that a role sees with these claims, or the SQLSTATE. What it changes stays.
async fn ask(pool: &PgPool, role: &str, claims: &Value, sql: &str) -> Result<Vec<Value>, String> {
    let (tx, answer) = super::ask(pool, role, claims, sql).await;
    if answer.is_ok() {
        tx.commit().await.unwrap();
    }
    answer
}

async fn fresh() -> TestDatabase {
    let database = TestDatabase::migrated().await;
    execute(&database.pool, include_str!("members.sql")).await;
    database
}

/// A deployment with policies of its own: members read their rows, and admins, known its own way, all of them.
async fn deployed() -> TestDatabase {
    let database = TestDatabase::stubbed().await;
    execute(&database.pool, include_str!("deployment.sql")).await;
    execute(
        &database.pool,
        "insert into user_activity_metrics (user_id) values ('00000000-0000-0000-0000-00000000000b');
         alter table user_activity_metrics enable row level security;
         grant select, update on user_activity_metrics to authenticated;
         create policy \"Own metrics\" on user_activity_metrics for select to authenticated
             using (auth.uid() = user_id);
         create policy \"Admins\" on user_activity_metrics for all to authenticated using (is_admin())",
    )
    .await;
    database
}

#[tokio::test]
async fn new_database_shows_notes_and_tags_to_admins_alone() {
    let database = fresh().await;
    let pool = &database.pool;
    let written =
        ask(pool, "authenticated", &admin(), &format!("{NOTE} returning user_id, admin_notes")).await;
    assert_eq!(written, Ok(vec![json!({"user_id": ANN, "admin_notes": "suspected fraud"})]));
    let noted = json!({"user_id": ANN, "admin_notes": "suspected fraud", "custom_tags": ["vip"]});
    let plain = json!({"user_id": BOB, "admin_notes": null, "custom_tags": []});
    let all = Ok(vec![noted, plain]);
    assert_eq!(ask(pool, "authenticated", &admin(), TABLE).await, all);
    assert_eq!(ask(pool, "service_role", &json!({"role": "service_role"}), TABLE).await, all);

    for user in [ANN, BOB] {
        assert_eq!(
            ask(pool, "authenticated", &member(user), TABLE).await,
            Ok(vec![]),
            "noted or not: {user}"
        );
    }
    let changed = ask(pool, "authenticated", &member(ANN), &format!("{NOTE} returning admin_notes")).await;
    assert_eq!(changed, Ok(vec![]));
    for sql in [TABLE, VIEW] {
        let denied = ask(pool, "anon", &json!({"role": "anon"}), sql).await;
        assert_eq!(denied, Err("42501".to_owned()), "{sql}");
    }
}

#[tokio::test]
async fn member_reads_own_metrics_in_the_view_without_notes() {
    for database in [fresh().await, deployed().await] {
        let pool = &database.pool;
        apply(&database).await;
        execute(pool, NOTE).await;
        execute(
            pool,
            "update public.user_activity_metrics set vision_count = 7 where admin_notes is not null",
        )
        .await;
        let seen = ask(pool, "authenticated", &member(ANN), VIEW).await.unwrap();
        assert_eq!((seen.len(), &seen[0]["user_id"], &seen[0]["vision_count"]), (1, &json!(ANN), &json!(7)));
        let text = seen[0].to_string();
        assert!(
            !text.contains("fraud") && !text.contains("admin_notes") && !text.contains("custom_tags"),
            "{text}"
        );
        for claims in [json!({}), member("00000000-0000-0000-0000-0000000000ff")] {
            assert_eq!(ask(pool, "authenticated", &claims, VIEW).await, Ok(vec![]), "{claims}");
        }
        let written =
            ask(pool, "authenticated", &member(ANN), "delete from public.own_activity_metrics returning 1")
                .await;
        assert!(written.is_err(), "{written:?}");
    }
}

#[tokio::test]
async fn deployments_own_queries_give_what_they_gave_less_the_notes() {
    let database = deployed().await;
    let pool = &database.pool;
    let own = "select user_id, vision_count from public.user_activity_metrics";
    let asked = async || {
        let as_member = ask(pool, "authenticated", &member(BOB), own).await.unwrap();
        // Ann is an admin by the deployment's own rule, and no admin by app_metadata.
        let as_admin = ask(pool, "authenticated", &member(ANN), TABLE).await.unwrap();
        (as_member, as_admin)
    };
    let before = asked().await;
    assert_eq!((before.0.len(), before.1.len()), (1, 2));
    for _ in 0..2 {
        apply(&database).await;
        assert_eq!(asked().await, before);
    }
    let note = "update public.user_activity_metrics set admin_notes = 'call him' where user_id = '{BOB}'"
        .replace("{BOB}", BOB);
    let written = ask(pool, "authenticated", &member(ANN), &format!("{note} returning user_id")).await;
    assert_eq!(written, Ok(vec![json!({"user_id": BOB})]), "its admins write as before");
    let (as_member, as_admin) = asked().await;
    assert_eq!(as_member, [] as [Value; 0]);
    assert_eq!((as_admin.len(), &as_admin[1]["admin_notes"]), (2, &json!("call him")));

    // Each file may be applied again, in any run of the Supabase CLI.
    for file in super::files() {
        execute(pool, &file).await;
    }
    assert_eq!(ask(pool, "authenticated", &member(BOB), TABLE).await, Ok(vec![]));
    execute(pool, "update public.user_activity_metrics set admin_notes = null").await;
    assert_eq!(asked().await, before);
}
