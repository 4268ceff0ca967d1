//! What each trigger records, and what it does not copy.

use memberflow::project::supabase::ActivityTables;
use serde_json::json;

use super::{ANN, BOB, activity, body, counts, drained, taken, waiting, watched};

/// A file of so many bytes.
fn upload(id: u8, owner: uuid::Uuid, bytes: u64) -> String {
    format!(
        "insert into storage.objects (id, name, owner_id, metadata)
         values ('00000000-0000-4000-8000-0000000000{id:02}', '{id}.png', '{owner}', '{{\"size\": {bytes}, \"eTag\": \"x\"}}')"
    )
}

#[tokio::test]
async fn metrics_match_sql_activity() {
    let app = watched(&ActivityTables::default()).await;
    for statement in [
        &format!(
            "insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), '{ANN}', now())"
        ),
        &format!("insert into auth.sessions (id, user_id) values (gen_random_uuid(), '{ANN}')"),
        &format!(
            "insert into auth.sessions (id, user_id, created_at, oauth_client_id) values (gen_random_uuid(), '{ANN}', now(), gen_random_uuid())"
        ),
        &upload(1, ANN, 1_048_576),
        &upload(2, ANN, 1),
        &upload(3, ANN, 5),
        "update storage.objects set metadata = '{\"size\": 524288}' where name = '2.png'",
        "update storage.objects set name = 'moved/2.png' where name = '2.png'",
        "delete from storage.objects where name = '3.png'",
        &format!(
            "insert into public.vision_versions (user_id, title, is_draft) values ('{ANN}', 'a', true), ('{ANN}', 'b', true), ('{ANN}', 'c', false)"
        ),
        "update public.vision_versions set is_draft = false where title = 'b'",
        &format!("insert into public.journal_entries (user_id) values ('{ANN}'), ('{ANN}'), ('{BOB}')"),
        &format!(
            "update public.journal_entries set user_id = '{BOB}' where id = (select id from public.journal_entries where user_id = '{ANN}' limit 1)"
        ),
        &format!(
            "insert into public.user_profiles (user_id, first_name, email) values ('{ANN}', 'Ann', 'a@x.org')"
        ),
        "delete from auth.sessions",
    ] {
        app.execute(statement).await;
    }
    drained(&app).await;
    assert_eq!(activity(&app, ANN).await, counts(2, 2, 1.5, 2, 1, 50));
    assert_eq!(activity(&app, BOB).await, counts(0, 0, 0.0, 0, 2, 0));
}

#[tokio::test]
async fn user_changes_are_recorded() {
    let app = watched(&ActivityTables::default()).await;
    let eve = uuid::Uuid::from_u128(0xe);
    app.sign_up(eve, "eve@example.org").await;
    app.execute(&format!("update auth.users set deleted_at = now(), email = 'gone' where id = '{eve}'"))
        .await;
    drained(&app).await;
    assert_ne!(activity(&app, eve).await, json!(null), "soft-deleted, still there");
    app.execute(&format!("insert into public.journal_entries (user_id) values ('{eve}')")).await;
    app.execute(&format!("delete from auth.users where id = '{eve}'")).await;
    let recorded_types: Vec<String> =
        waiting(&app.database.pool).await.into_iter().map(|event| event.event_type).collect();
    assert_eq!(
        recorded_types,
        ["public.journal_entries.insert", "auth.users.delete", "public.journal_entries.delete"]
    );
    drained(&app).await;
    let gone = app.rows("select id from ingest.users where gone_at is not null").await;
    assert_eq!(gone, [json!({"id": eve})]);
}

#[tokio::test]
async fn only_used_columns_are_copied() {
    let app = watched(&ActivityTables::default()).await;
    app.execute(&format!(
        "update auth.users set email = 'new@example.org', encrypted_password = 'SECRET', recovery_token = 'SECRET',
             raw_app_meta_data = '{{\"a\": \"SECRET\"}}' where id = '{ANN}'"
    ))
    .await;
    app.execute(&format!(
        "insert into auth.sessions (id, user_id, created_at, refresh_token_hmac_key, ip) values
             ('00000000-0000-4000-8000-000000000001', '{ANN}', '2026-01-02T03:04:05Z', 'SECRET', '10.0.0.1')"
    ))
    .await;
    app.execute(&upload(1, ANN, 7)).await;
    let events = taken(&app.database.pool).await;
    let bodies: Vec<_> = events.iter().map(body).collect();
    let mut user = bodies[0].clone();
    let confirmed = user["record"].as_object_mut().unwrap().remove("email_confirmed_at").unwrap();
    assert!(confirmed.is_string());
    assert_eq!(
        user,
        json!({"type": "UPDATE", "schema": "auth", "table": "users",
               "record": {"id": ANN, "email": "new@example.org", "deleted_at": null}})
    );
    assert_eq!(bodies[1]["record"]["user_id"], json!(ANN));
    assert_eq!(bodies[1]["record"].as_object().unwrap().len(), 4, "{}", bodies[1]);
    assert_eq!(
        bodies[2]["record"],
        json!({"id": "00000000-0000-4000-8000-000000000001", "metadata": {"size": 7}, "owner": null,
               "owner_id": ANN})
    );
    assert!(events.iter().all(|event| !String::from_utf8_lossy(&event.body).contains("SECRET")));
}

#[tokio::test]
async fn change_of_other_columns_is_not_recorded() {
    let app = watched(&ActivityTables::default()).await;
    app.execute(&upload(1, ANN, 7)).await;
    taken(&app.database.pool).await;
    for statement in [
        "update auth.users set last_sign_in_at = now(), encrypted_password = 'x', updated_at = now()",
        "update storage.objects set name = 'moved/1.png', last_accessed_at = now(), updated_at = now()",
        "update storage.objects set metadata = metadata || '{\"eTag\": \"y\"}'",
        "update public.journal_entries set user_id = user_id",
    ] {
        app.execute(statement).await;
        assert_eq!(waiting(&app.database.pool).await, [], "{statement}");
    }
}

#[tokio::test]
async fn row_with_changed_id_is_another_row() {
    let app = watched(&ActivityTables::default()).await;
    let insert =
        format!("insert into public.journal_entries (id, user_id) values (gen_random_uuid(), '{ANN}')");
    app.execute(&insert).await;
    app.execute("update public.journal_entries set id = gen_random_uuid()").await;
    drained(&app).await;
    assert_eq!(activity(&app, ANN).await["entries"], 1);
    app.execute("delete from public.journal_entries").await;
    drained(&app).await;
    assert_eq!(activity(&app, ANN).await["entries"], 0);
}
