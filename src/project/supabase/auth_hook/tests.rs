//! Hooks as Supabase sends them.

use serde_json::{Value, json};
use time::macros::datetime;
use uuid::{Uuid, uuid};

use crate::project::internal::LoginEvidence;
use crate::project::payload::{Login, UserReport};
use crate::project::{DecodeError, Payload};

const USER: Uuid = uuid!("8ccaa7af-909f-44e7-84cb-67cdccb56be6");
const SESSION: &str = "00000000-0000-4000-8000-0000000000aa";

fn token(method: &str, aud: &Value) -> Value {
    json!({
        "metadata": {
            "uuid": "5f5e9d2a-6c5e-4d6c-9b35-3a5f1b0b0001", "time": "2026-03-04T05:06:07.089Z",
            "name": "customize-access-token", "ip_address": "203.0.113.9",
        },
        "user_id": USER,
        "claims": {
            "iss": "https://x.supabase.co/auth/v1", "sub": USER, "aud": aud, "exp": 1_772_600_000,
            "iat": 1_772_596_400, "email": "ada@x.org", "phone": "", "app_metadata": {}, "user_metadata": {},
            "role": "authenticated", "aal": "aal1", "amr": [{"method": "password", "timestamp": 1_772_596_400}],
            "session_id": SESSION, "is_anonymous": false,
        },
        "authentication_method": method,
    })
}

fn decode(body: &Value) -> Result<Payload, DecodeError> {
    super::decode(body.to_string().as_bytes())
}

fn login(body: &Value) -> Option<Login> {
    match decode(body).expect("a readable hook") {
        Payload::Login(login) => Some(login),
        Payload::Ignored => None,
        other => panic!("{other:?}"),
    }
}

fn user(name: &str, user: &Value) -> UserReport {
    let body = json!({"metadata": {"name": name, "uuid": "u", "time": "2026-03-04T05:06:07Z"}, "user": user});
    match decode(&body).expect("a readable hook") {
        Payload::User(user) => user,
        other => panic!("{other:?}"),
    }
}

#[test]
fn token_after_authentication_is_a_login() {
    let expected = Login {
        evidence: LoginEvidence::Session,
        session_id: SESSION.to_owned(),
        user_id: USER,
        logged_in_at: datetime!(2026-03-04 05:06:07.089 UTC),
    };
    let methods = [
        "password",
        "otp",
        "totp",
        "oauth",
        "recovery",
        "invite",
        "sso/saml",
        "magiclink",
        "email/signup",
        "email_change",
        "anonymous",
        "mfa/phone",
        "mfa/webauthn",
        "web3",
        "passkey",
        "a method of tomorrow",
    ];
    for method in methods {
        assert_eq!(login(&token(method, &json!("authenticated"))), Some(expected.clone()), "{method}");
    }
    let several = json!(["authenticated", "other"]);
    assert_eq!(login(&token("password", &several)), Some(expected.clone()));
    let mut unsaid = token("password", &Value::Null);
    unsaid["authentication_method"].take();
    assert_eq!(login(&unsaid), Some(expected));
}

#[test]
fn refresh_and_oauth_grant_are_not_logins() {
    for method in ["token_refresh", "oauth_provider/authorization_code"] {
        assert_eq!(login(&token(method, &json!("authenticated"))), None, "{method}");
    }
}

#[test]
fn session_id_is_normalised() {
    let mut body = token("password", &json!("authenticated"));
    body["claims"]["session_id"] = json!(SESSION.to_uppercase());
    assert_eq!(login(&body).map(|it| it.session_id).as_deref(), Some(SESSION));
}

#[test]
fn incomplete_login_is_undecodable() {
    let cases: [(&[&str], &str); 3] = [
        (&["claims", "session_id"], "claims.session_id"),
        (&["user_id"], "user_id"),
        (&["metadata", "time"], "metadata.time"),
    ];
    for (path, expected) in cases {
        for broken in [Value::Null, json!(""), json!({})] {
            let mut body = token("password", &json!("authenticated"));
            *path.iter().fold(&mut body, |at, key| &mut at[*key]) = broken;
            let Err(DecodeError::Field { field, event_type }) = decode(&body) else { panic!("{body}") };
            assert_eq!((field, event_type.as_str()), (expected, "customize-access-token"));
        }
    }
}

#[test]
fn sign_up_hooks_report_a_user() {
    let ada = json!({"id": USER, "aud": "authenticated", "email": "Ada@X.org", "identities": null,
                     "created_at": "0001-01-01T00:00:00Z", "is_anonymous": false});
    let expected = UserReport { user_id: USER, emails: vec!["ada@x.org".to_owned()], is_deleted: false };
    assert_eq!(user("before-user-created", &ada), expected);
    assert_eq!(user("after-user-created", &ada), expected);
    let by_phone = json!({"id": USER, "email": "", "phone": "12025550112"});
    assert_eq!(user("after-user-created", &by_phone).emails, [""; 0]);
    let nobody = json!({"metadata": {"name": "after-user-created"}, "user": {"email": "a@x.org"}});
    assert!(matches!(decode(&nobody), Err(DecodeError::Field { field: "user.id", .. })));
}

#[test]
fn other_hooks_are_ignored() {
    for name in ["mfa-verification", "password-verification", "send-sms", "send-email", "of-tomorrow"] {
        let body = json!({"metadata": {"name": name}, "user_id": USER, "valid": true});
        assert!(matches!(decode(&body), Ok(Payload::Ignored)), "{name}");
    }
    for body in [json!({}), json!([]), json!(null), json!({"metadata": {"name": 7}})] {
        assert!(matches!(decode(&body), Ok(Payload::Ignored)), "{body}");
    }
}

#[test]
fn deep_metadata_does_not_affect_login() {
    let mut body = token("password", &json!("authenticated"));
    body["claims"]["user_metadata"] = json!("DEEP");
    let deep = format!("{}1{}", "{\"a\":[".repeat(150), "]}".repeat(150));
    let text = body.to_string().replace("\"DEEP\"", &deep);
    assert!(serde_json::from_str::<Value>(&text).is_err(), "too deep to be parsed whole");
    assert!(matches!(super::decode(text.as_bytes()), Ok(Payload::Login(_))), "{text}");
    let user = format!(
        r#"{{"metadata":{{"name":"after-user-created"}},"user":{{"id":"{USER}","user_metadata":{deep}}}}}"#
    );
    assert!(matches!(super::decode(user.as_bytes()), Ok(Payload::User(_))), "{user}");
}
