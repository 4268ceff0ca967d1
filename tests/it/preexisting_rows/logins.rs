//! Logins from sessions, the audit log and the last sign-in: each counts once across its evidence.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{MEMBER, OTHER, activity, assert_sound, backfill, populated};
use crate::support::app::{TestApp, row};

/// Three logins of Ada: one with a session, one only in the audit log, and the last.
async fn with_history() -> TestApp {
    let app = populated().await;
    for statement in [
        format!("insert into auth.sessions (id, user_id, created_at) values ('{}', '{MEMBER}', '2026-11-10T12:00:00.5Z')", Uuid::from_u128(1)),
        format!("insert into auth.sessions (id, user_id, created_at, oauth_client_id) values (gen_random_uuid(), '{MEMBER}', '2026-11-11', gen_random_uuid())"),
        "insert into auth.audit_log_entries (id, payload, created_at)
         select gen_random_uuid(), json_build_object('action', action, 'actor_id', actor), at::timestamptz
         from (values ('login', 'MEMBER', '2026-11-10T12:00:00.4Z'), ('login', 'MEMBER', '2026-11-05T08:00:00Z'),
                      ('token_refreshed', 'MEMBER', '2026-11-06'), ('login', 'nobody', '2026-11-06'),
                      ('login', '00000000-0000-4000-8000-000000000001', '2026-11-06')) as e (action, actor, at)"
            .replace("MEMBER", &MEMBER.to_string()),
        format!("update auth.users set last_sign_in_at = '2026-11-12T09:00:00Z' where id = '{MEMBER}'"),
        format!("update auth.users set last_sign_in_at = '2026-11-01T09:00:00.25Z' where id = '{OTHER}'"),
    ] {
        app.execute(&statement).await;
    }
    app.store.initial_import().await.unwrap();
    app
}

async fn logins(app: &TestApp, member: Uuid) -> (Value, Value) {
    let row = app
        .rows(&format!(
            "select total_logins, last_login_at from public.user_activity_metrics where user_id = '{member}'"
        ))
        .await
        .pop()
        .unwrap();
    (row["total_logins"].clone(), row["last_login_at"].clone())
}

fn session(id: u128, member: Uuid, at: &str) -> memberflow::envelope::Envelope {
    let record = json!({"id": Uuid::from_u128(id), "user_id": member, "created_at": at});
    row(&format!("msg_{id}"), "INSERT", "auth.sessions", record, json!(null))
}

#[tokio::test]
async fn login_counts_once_across_evidence() {
    let app = with_history().await;
    assert_eq!(logins(&app, MEMBER).await, (json!(3), json!("2026-11-12T09:00:00+00:00")));
    assert_eq!(logins(&app, OTHER).await, (json!(1), json!("2026-11-01T09:00:00.25+00:00")));
    assert_sound(&app, "switched on").await;
    let report = backfill(&app).await;
    assert_eq!(
        (report.imported["sessions"], report.imported["audit log"], report.imported["last sign-ins"]),
        (0, 0, 0)
    );
    assert_eq!(report.limitations[0].count, Some(1), "of Eve's logins only the last is known");
}

#[tokio::test]
async fn later_session_replaces_weaker_evidence() {
    let app = with_history().await;
    // The sessions of the two logins that are known from less: each within the second, in different batches.
    app.apply([session(2, MEMBER, "2026-11-05T08:00:01Z")]).await;
    app.apply([session(3, MEMBER, "2026-11-12T08:59:59.9Z"), session(1, MEMBER, "2026-11-10T12:00:00.5Z")])
        .await;
    assert_eq!(activity(&app, MEMBER).await["total_logins"], 3);
    assert_sound(&app, "reported").await;
    // One more, and a session whose earlier moment turns out not to be within the second of Eve's sign-in.
    app.apply([session(4, OTHER, "2026-11-01T09:00:01Z"), session(5, MEMBER, "2026-11-13T00:00:00Z")]).await;
    assert_eq!(
        (
            activity(&app, MEMBER).await["total_logins"].clone(),
            activity(&app, OTHER).await["total_logins"].clone()
        ),
        (json!(4), json!(1))
    );
    let earlier = json!({"id": Uuid::from_u128(4), "user_id": OTHER, "created_at": "2026-11-01T08:00:00Z"});
    app.apply([row("msg_again", "UPDATE", "auth.sessions", earlier, json!(null))]).await;
    assert_eq!(activity(&app, OTHER).await["total_logins"], 2);
    assert_sound(&app, "reported again").await;
}

#[tokio::test]
async fn lost_logins_are_imported() {
    let app = with_history().await;
    app.execute(&format!("insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), '{MEMBER}', '2026-11-15')")).await;
    app.execute(&format!(
        "update auth.users set last_sign_in_at = '2026-11-15T00:00:00.7Z' where id = '{MEMBER}'"
    ))
    .await;
    app.execute(&format!("update auth.users set last_sign_in_at = '2026-11-16' where id = '{OTHER}'")).await;
    let report = backfill(&app).await;
    assert_eq!((report.imported["sessions"], report.imported["last sign-ins"]), (1, 1));
    assert_eq!(logins(&app, MEMBER).await, (json!(4), json!("2026-11-15T00:00:00+00:00")));
    assert_eq!(logins(&app, OTHER).await, (json!(2), json!("2026-11-16T00:00:00+00:00")));
    assert_sound(&app, "found").await;
}
