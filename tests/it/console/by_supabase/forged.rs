//! Tokens that must not be believed. Each differs from a right one in one respect.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ADA, NOW, Project};
use crate::support::auth_server::PASSWORD;
use crate::support::auth_server::keys::SigningKey;
use crate::support::auth_server::token::{Draft, Signer};

type Change = Box<dyn Fn(&mut Draft) + Send>;

fn change(it: impl Fn(&mut Draft) + Send + 'static) -> Change {
    Box::new(it)
}

fn claim(name: &'static str, value: impl Into<Value>) -> Change {
    let value = value.into();
    change(move |draft| draft.claims[name] = value.clone())
}

fn header(name: &'static str, value: impl Into<Value>) -> Change {
    let value = value.into();
    change(move |draft| draft.header[name] = value.clone())
}

fn without(name: &'static str) -> Change {
    change(move |draft| {
        draft.claims.as_object_mut().unwrap().remove(name);
    })
}

fn from_now(seconds: i64) -> i64 {
    NOW.unix_timestamp() + seconds
}

#[tokio::test]
async fn right_tokens_are_believed() {
    let cases: [(&str, Change); 5] = [
        ("as it comes", change(|_| {})),
        ("several audiences", claim("aud", json!(["other", "authenticated"]))),
        ("expired within the leeway", claim("exp", from_now(-29))),
        ("a clock that is ahead of ours", claim("iat", from_now(29))),
        ("valid already", claim("nbf", from_now(-1))),
    ];
    for (case, forging) in cases {
        let project = Project::open().await;
        project.auth.forges(forging);
        let page = project.browser().sign_in_as(ADA, PASSWORD).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{case}: {}", page.body);
    }
    let project = Project::open().await;
    project.auth.rotates(SigningKey::rs256("rsa"), false);
    project.browser().enter_as(ADA).await;
}

#[tokio::test]
async fn forged_foreign_and_expired_tokens_sign_nobody_in() {
    let project = Project::open().await;
    let admin = project.auth.sign_up("anna@example.com", json!({"role": "admin"})).await;
    let (key, other) = (project.auth.key(), Arc::new(SigningKey::es256("key-1")));
    let (text, raw) = (key.public_text(), Arc::clone(&key));
    let cases: Vec<(&str, Change)> = vec![
        (
            "alg none",
            change(|draft| {
                draft.header["alg"] = json!("none");
                draft.signed_by = Signer::Nobody;
            }),
        ),
        ("no signature", change(|draft| draft.signed_by = Signer::Nobody)),
        (
            "HS256 with the public key",
            change(move |draft| {
                draft.header["alg"] = json!("HS256");
                draft.signed_by = Signer::SharedText(text.clone());
            }),
        ),
        (
            "a key of somebody else with the same name",
            change(move |draft| draft.signed_by = Signer::Key(Arc::clone(&other))),
        ),
        (
            "other claims than those signed",
            change(move |draft| draft.signed_by = Signer::KeyOfOtherClaims(Arc::clone(&raw))),
        ),
        ("an algorithm that is not the key's", header("alg", "RS256")),
        ("an algorithm that nobody knows", header("alg", "XY1")),
        ("a key that is not published", header("kid", "key-2")),
        ("no key named", header("kid", Value::Null)),
        ("critical extensions", header("crit", json!(["exp"]))),
        ("expired", claim("exp", from_now(-31))),
        ("expired long ago", claim("exp", 0)),
        ("without an end", without("exp")),
        ("an end that is no number", claim("exp", "never")),
        ("not valid yet", claim("nbf", from_now(31))),
        ("made in the future", claim("iat", from_now(31))),
        ("of another project", claim("iss", "https://other.supabase.co/auth/v1")),
        ("of several issuers", claim("iss", json!(["x"]))),
        ("without an issuer", without("iss")),
        ("for another audience", claim("aud", "other")),
        ("for nobody", claim("aud", json!([]))),
        ("without an audience", without("aud")),
        ("of the service role", claim("role", "service_role")),
        ("of an anonymous user", claim("is_anonymous", true)),
        ("of an OAuth client", claim("client_id", Uuid::nil().to_string())),
        ("without a session", without("session_id")),
        ("without an assurance level", without("aal")),
        ("without a user", without("sub")),
        ("of a user that is none", claim("sub", "admin")),
        ("of a user who does not exist", claim("sub", Uuid::nil().to_string())),
        ("of another user than the session's", claim("sub", admin.to_string())),
        ("of a session that does not exist", claim("session_id", Uuid::nil().to_string())),
    ];
    for (case, forging) in cases {
        project.auth.forges(forging);
        let mut browser = project.browser();
        browser.sign_in_as(ADA, PASSWORD).await.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
        project.assert_nobody_is_in(&mut browser, case).await;
    }
    project.auth.forges(|_| {});
    project.browser().enter_as(ADA).await;
}

#[tokio::test]
async fn a_token_without_the_second_factor_is_not_believed_of_a_user_who_has_one() {
    let project = Project::open().await;
    project.auth.has_factor(ADA, "totp", "verified");
    project.auth.forges(claim("aal", "aal1"));
    let mut browser = project.browser();
    let fields = [("email", ADA), ("password", PASSWORD), ("code", crate::support::auth_server::APP_CODE)];
    let page = browser.post("/console/sign-in/password", &fields).await;
    page.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    project.assert_nobody_is_in(&mut browser, "aal1").await;
}

#[tokio::test]
async fn keys_are_read_once_and_a_new_one_is_found_at_once() {
    let project = Project::open().await;
    let mut browser = project.browser();
    let read = || project.auth.asked("/.well-known/jwks.json");
    for _ in 0..3 {
        browser.enter_as(ADA).await;
    }
    assert_eq!(read(), 1);
    project.auth.rotates(SigningKey::rs256("key-2"), true);
    browser.enter_as(ADA).await;
    assert_eq!(read(), 2);
    project.auth.forges(header("kid", "invented"));
    for _ in 0..5 {
        browser.sign_in_as(ADA, PASSWORD).await.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    }
    assert!(read() < 5, "whoever invents keys asks for them all the time: {}", read());
}
