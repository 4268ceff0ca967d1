//! Which bodies are events, which errors the others get, and which columns of `auth` are removed.

use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2025-11-26 12:00:00 UTC);

fn stripe_text(body: &str) -> Result<Envelope, Malformed> {
    stripe(Bytes::copy_from_slice(body.as_bytes()), NOW)
}

fn hook_text(body: &str) -> Result<AuthHook, Malformed> {
    auth_hook(Bytes::copy_from_slice(body.as_bytes()), NOW)
}

fn database_text(body: &str) -> Result<Envelope, Malformed> {
    database("msg_1", NOW, Bytes::copy_from_slice(body.as_bytes()), NOW)
}

#[test]
fn stripe_event_has_id_and_unchanged_body() {
    let body = r#" { "data":{"object":{"n":1e400,"deep":[[["\ud800","\u0000"]]]}}, "created" : 1700000000,
        "type":"invoice.paid","id":"evt_1","object":"event" } "#;
    let envelope = stripe_text(body).unwrap();
    assert_eq!((envelope.event_id.as_str(), envelope.event_type.as_str()), ("evt_1", "invoice.paid"));
    assert_eq!(envelope.occurred_at.unix_timestamp(), 1_700_000_000);
    assert_eq!((envelope.received_at, envelope.source), (NOW, Source::Stripe));
    assert_eq!(envelope.body, body);
}

#[test]
fn thin_event_time_is_rfc3339() {
    let thin = |created: &str| {
        stripe_text(&format!(
            r#"{{"id":"evt_1","object":"v2.core.event","type":"v1.invoice.paid","created":{created}}}"#
        ))
    };
    let envelope = thin(r#""2025-11-26T13:00:00.123+01:00""#).unwrap();
    assert_eq!(envelope.occurred_at, datetime!(2025-11-26 12:00:00.123 UTC));
    assert_eq!(thin("1700000000").unwrap_err().kind(), "created-invalid");
}

#[test]
fn invalid_stripe_events_are_explained() {
    let long = format!(r#"{{"id":"{}","type":"t","created":1}}"#, "x".repeat(256));
    let deep = "[".repeat(200_000);
    for (body, kind) in [
        ("", "body-not-json"),
        ("{", "body-not-json"),
        ("nonsense", "body-not-json"),
        (deep.as_str(), "body-not-json"),
        ("\u{feff}{\"id\":\"a\",\"type\":\"t\",\"created\":1}", "body-not-json"),
        (r#"{"id":"a","id":"b","type":"t","created":1}"#, "body-not-json"),
        (r#"{"id":"a","type":"t","created":1} trailing"#, "body-not-json"),
        ("[]", "body-not-an-object"),
        (r#"["event","evt_1","t",1]"#, "body-not-an-object"),
        ("null", "body-not-an-object"),
        ("1e400", "body-not-an-object"),
        ("{}", "id-missing"),
        (r#"{"id":null,"type":"t","created":1}"#, "id-missing"),
        (r#"{"id":"","type":"t","created":1}"#, "id-invalid"),
        (r#"{"id":7,"type":"t","created":1}"#, "id-invalid"),
        (r#"{"id":"a\u0000b","type":"t","created":1}"#, "id-invalid"),
        (r#"{"id":"\ud800","type":"t","created":1}"#, "id-invalid"),
        (long.as_str(), "id-invalid"),
        (r#"{"id":"a","created":1}"#, "type-missing"),
        (r#"{"id":"a","type":["t"],"created":1}"#, "type-invalid"),
        (r#"{"id":"a","type":"t"}"#, "created-missing"),
        (r#"{"id":"a","type":"t","created":"1"}"#, "created-invalid"),
        (r#"{"id":"a","type":"t","created":-1}"#, "created-invalid"),
        (r#"{"id":"a","type":"t","created":1.5}"#, "created-invalid"),
        (r#"{"id":"a","type":"t","created":1e400}"#, "created-invalid"),
        (r#"{"id":"a","type":"t","created":99999999999999}"#, "created-invalid"),
    ] {
        assert_eq!(stripe_text(body).unwrap_err().kind(), kind, "{}", &body[..body.len().min(80)]);
    }
    let not_utf8 = stripe(Bytes::from_static(b"{\"id\":\"\xff\"}"), NOW);
    assert_eq!(not_utf8, Err(Malformed::NotUtf8));
}

#[test]
fn hook_id_is_metadata_uuid_and_claims_are_unchanged() {
    let body = r#"{"metadata":{"uuid":"u-1","time":"2025-11-26T11:59:59.5Z","name":"customize-access-token","ip_address":"::1"},
        "user_id":"x","claims": {"exp":1700003600, "aud":["a"],  "n":1.50} ,"authentication_method":"password"}"#;
    let hook = hook_text(body).unwrap();
    assert_eq!(hook.envelope.event_id, "u-1");
    assert_eq!(hook.envelope.event_type, "customize-access-token");
    assert_eq!(hook.envelope.occurred_at, datetime!(2025-11-26 11:59:59.5 UTC));
    let kept = r#"{"metadata":{"name":"customize-access-token","time":"2025-11-26T11:59:59.5Z","uuid":"u-1"},"user_id":"x","claims":{},"authentication_method":"password"}"#;
    assert_eq!(hook.envelope.body, kept);
    assert_eq!(hook.claims.unwrap(), r#"{"exp":1700003600, "aud":["a"],  "n":1.50}"#);
}

#[test]
fn hook_body_keeps_only_used_fields() {
    let call = |name: &str, method: &str| {
        let user = r#"{"id":"u","email":"a@b.c","phone":"1","user_metadata":{"private":1},"identities":[]}"#;
        hook_text(&format!(
            r#"{{"metadata":{{"uuid":"u-1","time":"2025-11-26T12:00:00Z","name":"{name}","ip_address":"::1"}},
                "user_id":"u","user":{user},"valid":true,"authentication_method":"{method}",
                "claims":{{"session_id":"s","email":"a@b.c","phone":"1","user_metadata":{{"private":1}}}}}}"#
        ))
    };
    let metadata = |name: &str| json!({"uuid": "u-1", "time": "2025-11-26T12:00:00Z", "name": name});
    let id_alone = json!({"metadata": {"uuid": "u-1"}});
    let token = "customize-access-token";
    let cases = [
        (
            token,
            "otp",
            json!({"metadata": metadata(token), "user_id": "u", "claims": {"session_id": "s"},
            "authentication_method": "otp"}),
        ),
        (token, "token_refresh", id_alone.clone()),
        (token, "oauth_provider/authorization_code", id_alone.clone()),
        (
            "after-user-created",
            "",
            json!({"metadata": metadata("after-user-created"),
            "user": {"id": "u", "email": "a@b.c"}}),
        ),
        ("password-verification", "", id_alone.clone()),
        ("mfa-verification", "", id_alone.clone()),
        ("hook-of-tomorrow", "", id_alone),
    ];
    for (name, method, expected) in cases {
        let envelope = call(name, method).unwrap().envelope;
        assert_eq!(serde_json::from_slice::<Value>(&envelope.body).unwrap(), expected, "{name} {method}");
        assert_eq!((envelope.event_id.as_str(), envelope.event_type.as_str()), ("u-1", name));
    }
}

#[test]
fn one_time_code_is_found_in_any_hook() {
    let carries = |fields: &str| {
        let body = format!(r#"{{"metadata":{{"name":"send-push"}}{fields}}}"#);
        hook_kind(&Bytes::from(body)).unwrap().carries_code
    };
    for fields in [
        r#","sms":{"otp":"654321"}"#,
        r#","sms":{"\u006ftp":"654321"}"#,
        r#","email_data":{"token":"654321"}"#,
        r#","email_data":{"token_hash":"x"}"#,
        r#","email_data":{"token_new":"x"}"#,
    ] {
        assert!(carries(fields), "{fields}");
    }
    for fields in ["", r#","sms":{"phone":"1"}"#, r#","email_data":[]"#, r#","user":{"otp":1}"#] {
        assert!(!carries(fields), "{fields}");
    }
}

#[test]
fn reserved_ids_are_rejected_from_outside() {
    for id in [
        "trigger/9223372036854775807",
        "found/user/x",
        "match/c/u",
        "corrected/1",
        "snapshot/x",
        "unreadable/1",
    ] {
        let stripe = stripe_text(&format!(r#"{{"id":"{id}","type":"t","created":1}}"#));
        let hook = format!(r#"{{"metadata":{{"uuid":"{id}","name":"n","time":"2025-11-26T12:00:00Z"}}}}"#);
        let row = Bytes::from_static(br#"{"type":"INSERT","schema":"public","table":"t"}"#);
        assert_eq!(stripe.unwrap_err().kind(), "id-invalid", "{id}");
        assert_eq!(hook_text(&hook).unwrap_err().kind(), "metadata-uuid-invalid", "{id}");
        assert_eq!(database(id, NOW, row, NOW).unwrap_err().kind(), "webhook-id-invalid", "{id}");
    }
    assert!(stripe_text(r#"{"id":"evt_trigger/1","type":"t","created":1}"#).is_ok());
}

#[test]
fn invalid_hooks_are_explained() {
    for (body, kind) in [
        (r#"{"claims":{}}"#, "metadata-missing"),
        (r#"{"metadata":["u","n","2025-11-26T12:00:00Z"]}"#, "metadata-invalid"),
        (r#"{"metadata":{"name":"n","time":"2025-11-26T12:00:00Z"}}"#, "metadata-uuid-missing"),
        (r#"{"metadata":{"uuid":"u","time":"2025-11-26T12:00:00Z"}}"#, "metadata-name-missing"),
        (r#"{"metadata":{"uuid":"u","name":"n"}}"#, "metadata-time-missing"),
        (r#"{"metadata":{"uuid":"u","name":"n","time":"yesterday"}}"#, "metadata-time-invalid"),
        (r#"{"metadata":{"uuid":"u","name":"n","time":1700000000}}"#, "metadata-time-invalid"),
    ] {
        assert_eq!(hook_text(body).unwrap_err().kind(), kind, "{body}");
    }
}

#[test]
fn row_change_type_is_table_and_operation() {
    let body = r#"{"type":"UPDATE","schema":"public","table":"vision_versions","record":{"s":"\u0000"},"old_record":null}"#;
    let envelope = database_text(body).unwrap();
    assert_eq!(envelope.event_id, "msg_1");
    assert_eq!(envelope.event_type, "public.vision_versions.update");
    assert_eq!(envelope.body, body);
}

#[test]
fn invalid_row_changes_are_explained() {
    let long = format!(r#"{{"type":"INSERT","schema":"public","table":"{}"}}"#, "x".repeat(250));
    for (body, kind) in [
        (r#"{"schema":"public","table":"t"}"#, "type-missing"),
        (r#"{"type":"insert","schema":"public","table":"t"}"#, "type-invalid"),
        (r#"{"type":"INSERT","table":"t"}"#, "schema-missing"),
        (r#"{"type":"INSERT","schema":"public"}"#, "table-missing"),
        (r#"{"type":"INSERT","schema":"public","table":""}"#, "table-invalid"),
        (long.as_str(), "table-invalid"),
        (r#"{"type":"INSERT","schema":"auth","table":"users","record":"text"}"#, "record-invalid"),
        (r#"{"type":"INSERT","schema":"auth","table":"users","record":[1]}"#, "record-invalid"),
        (r#"{"type":"DELETE","schema":"auth","table":"users","old_record":7}"#, "old-record-invalid"),
    ] {
        assert_eq!(database_text(body).unwrap_err().kind(), kind, "{body}");
    }
    let body = Bytes::from_static(br#"{"type":"INSERT","schema":"public","table":"t"}"#);
    let long_id = database(&"x".repeat(256), NOW, body, NOW);
    assert_eq!(long_id.unwrap_err().kind(), "webhook-id-invalid");
}

#[test]
fn auth_rows_keep_only_harmless_columns() {
    let secrets = json!({
        "encrypted_password": "SECRET", "confirmation_token": "SECRET", "recovery_token": "SECRET",
        "reauthentication_token": "SECRET", "token": "SECRET", "refresh_token_hmac_key": "SECRET",
        "code_challenge": "SECRET", "otp_code": "SECRET", "a_column_of_tomorrow": "SECRET",
    });
    for (table, kept) in [
        ("users", json!({"id": "u", "email": "a@b.c", "raw_user_meta_data": {"deep": [1.50]}})),
        ("sessions", json!({"id": "s", "user_id": "u", "oauth_client_id": null})),
        ("refresh_tokens", json!({"id": 7, "user_id": "u", "created_at": "2025-11-26T12:00:00Z"})),
    ] {
        let mut row = secrets.clone();
        row.as_object_mut().unwrap().extend(kept.as_object().unwrap().clone());
        let body = json!({"type": "UPDATE", "schema": "auth", "table": table,
            "record": row, "old_record": row, "secret": "SECRET"});
        let envelope = database_text(&body.to_string()).unwrap();
        let reported: Value = serde_json::from_slice(&envelope.body).unwrap();
        let expected = json!({"type": "UPDATE", "schema": "auth", "table": table,
            "record": kept, "old_record": kept});
        assert_eq!(reported, expected);
    }
}

#[test]
fn escaped_keys_hide_no_secret() {
    let body = r#"{"type":"INSERT","schema":"\u0061uth","table":"users","record":{"id":"u","\u0065ncrypted_password":"SECRET"},"old_record":null}"#;
    let envelope = database_text(body).unwrap();
    assert_eq!(
        envelope.body,
        r#"{"type":"INSERT","table":"users","schema":"auth","record":{"id":"u"},"old_record":null}"#
    );
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let body = Bytes::from(body);
        let _ = stripe(body.clone(), NOW);
        let _ = (hook_kind(&body), auth_hook(body.clone(), NOW));
        let _ = database("msg_1", NOW, body, NOW);
    }

    #[test]
    fn any_json_like_text_does_not_panic(body in r#"\{("(id|type|created|metadata|schema|table|record)":("auth"|"INSERT"|"users"|-?[0-9]{1,30}|[0-9]e[0-9]{3}|\{"x":"\\ud[89a-f]00"\}|\[+|null),){0,6}"id":1?\}?"#) {
        let _ = stripe_text(&body);
        let _ = hook_text(&body);
        let _ = database_text(&body);
    }
}
