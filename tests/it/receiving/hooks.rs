//! Auth Hooks: the neutral answer in time, even if the event is dropped.

use serde_json::Value;

use memberflow::verify::secrets::split_supabase;
use memberflow::verify::{SupabaseSecrets, standard_webhooks};

use super::{hook, text};
use crate::support::receiver::{NOW, TestReceiver, stall};

#[tokio::test]
async fn hook_secrets_do_not_verify_row_changes() {
    let own = "v1,whsec_b2YgdGhlIGhvb2tzIGFsb25lLCAzMiBieXRlcyBpbg==";
    let receiver = TestReceiver::with(|config| config.supabase_hook_secrets = split_supabase(own)).await;
    let secrets = SupabaseSecrets::new(&split_supabase(own)).unwrap().unwrap();
    let row = r#"{"type":"DELETE","schema":"auth","table":"users","record":null,"old_record":{"id":"u"}}"#;
    for (what, body, by_own, by_shared) in
        [("auth", hook("after-user-created", ""), 200, 400), ("database", row.to_owned(), 400, 200)]
    {
        let signed = standard_webhooks::sign(&secrets, "msg_1", NOW.unix_timestamp(), body.as_bytes());
        let request = receiver
            .post(&format!("/webhooks/supabase/{what}"), body.clone())
            .header("webhook-id", signed.id)
            .header("webhook-timestamp", signed.timestamp)
            .header("webhook-signature", signed.signature);
        assert_eq!(request.send().await.unwrap().status(), by_own, "{what}");
        assert_eq!(
            receiver.supabase(what, "msg_2", body).send().await.unwrap().status(),
            by_shared,
            "{what}"
        );
    }
}

#[tokio::test]
async fn hooks_get_the_neutral_answer_of_their_kind() {
    let receiver = TestReceiver::start().await;
    let claims =
        r#"{"iss":"x", "aud":["authenticated"],"exp":1764162000,"n":1.50,"deep":{"b":1,"a":"\u00e9"}}"#;
    let token = hook(
        "customize-access-token",
        &format!(r#","user_id":"u","claims": {claims} ,"authentication_method":"password""#),
    );
    let cases = [
        ("customize-access-token", token, format!(r#"{{"claims":{claims}}}"#)),
        ("before-user-created", hook("before-user-created", r#","user":{}"#), "{}".to_owned()),
        ("after-user-created", hook("after-user-created", r#","user":{}"#), "{}".to_owned()),
        ("mfa-verification", hook("mfa-verification", ""), r#"{"decision":"continue"}"#.to_owned()),
        ("password-verification", hook("password-verification", ""), r#"{"decision":"continue"}"#.to_owned()),
        ("hook-of-tomorrow", hook("hook-of-tomorrow", r#","x":1"#), "{}".to_owned()),
    ];
    for (name, body, answer) in &cases {
        assert_eq!(
            text(receiver.supabase("auth", "msg_1", body.clone())).await,
            (200, answer.clone()),
            "{name}"
        );
    }
    let pending = receiver.pending().await;
    assert_eq!(pending.len(), cases.len());
    for ((name, ..), pending) in cases.iter().zip(pending) {
        assert_eq!(pending.source, "supabase.auth");
        assert_eq!((pending.event_id, pending.event_type), (format!("uuid-{name}"), (*name).to_owned()));
    }
}

#[tokio::test]
async fn refresh_stores_only_its_id() {
    let receiver = TestReceiver::start().await;
    let claims = r#"{"session_id":"s","email":"ann@example.org","phone":"1","user_metadata":{"a":1}}"#;
    for method in ["token_refresh", "oauth_provider/authorization_code"] {
        let fields = format!(r#","user_id":"u","claims":{claims},"authentication_method":"{method}""#);
        let answer = text(receiver.supabase("auth", "msg_1", hook("customize-access-token", &fields))).await;
        assert_eq!(answer, (200, format!(r#"{{"claims":{claims}}}"#)), "the answer is the whole claims");
    }
    let pending = receiver.pending().await;
    let id_alone = br#"{"metadata":{"uuid":"uuid-customize-access-token"}}"#;
    assert!(pending.iter().all(|event| event.body == id_alone[..]), "{pending:?}");
}

#[tokio::test]
async fn login_with_deep_metadata_is_stored_without_it() {
    let receiver = TestReceiver::start().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(150), "}".repeat(150));
    let claims = format!(r#"{{"session_id":"s-1","email":"ann@example.org","user_metadata":{deep}}}"#);
    let fields = format!(r#","user_id":"u","claims":{claims},"authentication_method":"password""#);
    let answer = text(receiver.supabase("auth", "msg_1", hook("customize-access-token", &fields))).await;
    assert_eq!(answer, (200, format!(r#"{{"claims":{claims}}}"#)));
    let pending = receiver.pending().await;
    let body: Value = serde_json::from_slice(&pending[0].body).unwrap();
    assert_eq!(body["claims"], serde_json::json!({"session_id": "s-1"}));
    assert_eq!((&body["user_id"], &body["authentication_method"]), (&"u".into(), &"password".into()));
}

#[tokio::test]
async fn unknown_hook_with_code_is_rejected_not_stored() {
    let receiver = TestReceiver::start().await;
    for fields in [r#","sms":{"otp":"654321"}"#, r#","email_data":{"token":"654321"}"#] {
        let (status, answer) = text(receiver.supabase("auth", "msg_1", hook("send-push", fields))).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["error"]["http_code"]), (200, &422.into()));
    }
    assert!(receiver.pending().await.is_empty());
}

#[tokio::test]
async fn sending_hooks_are_rejected_not_stored() {
    let receiver = TestReceiver::start().await;
    for name in ["send-sms", "send-email"] {
        let body = hook(name, r#","user":{},"sms":{"otp":"561166"},"email_data":{"token":"305805"}"#);
        let (status, answer) = text(receiver.supabase("auth", "msg_1", body)).await;
        assert_eq!(status, 200, "Supabase reads the error from a 200 alone");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["http_code"], 422);
        assert!(answer["error"]["message"].as_str().unwrap().contains("only observes"));
    }
    assert!(receiver.pending().await.is_empty());
}

#[tokio::test]
async fn hook_is_answered_during_stall_event_stored_later() {
    let receiver = TestReceiver::start().await;
    let lock = stall(&receiver.database.pool).await;
    // Answered at all means: without waiting for the lock, which is still held.
    let (status, answer) = text(receiver.supabase("auth", "msg_1", hook("after-user-created", ""))).await;
    assert_eq!((status, answer.as_str()), (200, "{}"));
    lock.rollback().await.unwrap();
    receiver.wait_for_pending(1).await;
}

#[tokio::test]
async fn hook_is_answered_without_queue_drop_counted() {
    let receiver = TestReceiver::start().await;
    sqlx::query("drop view ingest.events").execute(&receiver.database.pool).await.unwrap();
    let lost = async || {
        let metrics = receiver.get("/metrics").await.text().await.unwrap();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("memberflow_hooks_dropped_total"))
            .map(str::to_owned);
        line.map_or(0, |line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap())
    };
    let before = lost().await;
    let (status, answer) = text(receiver.supabase("auth", "msg_1", hook("mfa-verification", ""))).await;
    assert_eq!((status, answer.as_str()), (200, r#"{"decision":"continue"}"#));
    assert!(lost().await > before);
}
