//! The endpoints.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{APP_CODE, KEY, Mail, PASSWORD, Project, User};

pub(super) fn routes(project: Project) -> Router {
    let paths = Router::new()
        .route("/.well-known/jwks.json", get(keys))
        .route("/token", post(token))
        .route("/otp", post(otp))
        .route("/verify", post(verify))
        .route("/factors/{id}/challenge", post(challenge))
        .route("/factors/{id}/verify", post(answer_challenge));
    Router::new()
        .nest("/auth/v1", paths)
        .layer(from_fn_with_state(project.clone(), gateway))
        .with_state(project)
}

/// What stands before the Auth API: it wants the project's key.
async fn gateway(State(project): State<Project>, request: Request, next: Next) -> Response {
    let outage = {
        let mut inner = project.inner();
        inner.requests.push(request.uri().path().trim_start_matches("/auth/v1").to_owned());
        inner.outage.clone()
    };
    if let Some((status, body)) = outage {
        return (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
    }
    let is_for_all = request.uri().path().contains("/.well-known/");
    if !is_for_all && request.headers().get("apikey").is_none_or(|key| key != KEY) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"message": "Invalid API key"}))).into_response();
    }
    next.run(request).await
}

async fn keys(State(project): State<Project>) -> Response {
    let keys: Vec<Value> = project.inner().keys.iter().map(|key| key.jwk()).collect();
    ([("cache-control", "public, max-age=600")], Json(json!({"keys": keys}))).into_response()
}

fn refuse(status: u16, code: &str, msg: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, Json(json!({"code": status.as_u16(), "error_code": code, "msg": msg}))).into_response()
}

fn user_of(project: &Project, email: &Value) -> Option<(String, User)> {
    let inner = project.inner();
    inner.users.get_key_value(email.as_str()?).map(|(email, user)| (email.clone(), user.clone()))
}

async fn grant(project: &Project, (email, user): (String, User), aal: &str) -> Response {
    Json(project.grant(&email, &user, aal).await).into_response()
}

async fn token(
    State(project): State<Project>,
    Query(query): Query<BTreeMap<String, String>>,
    Json(fields): Json<Value>,
) -> Response {
    match query["grant_type"].as_str() {
        "password" => match user_of(&project, &fields["email"]) {
            Some(user) if fields["password"] == PASSWORD => grant(&project, user, "aal1").await,
            _ => refuse(400, "invalid_credentials", "Invalid login credentials"),
        },
        "pkce" => {
            let Some(mail) = take_mail(&project, |mail| fields["auth_code"] == mail.auth_code) else {
                return refuse(404, "flow_state_not_found", "invalid flow state, no valid flow state found");
            };
            let verifier = fields["code_verifier"].as_str().unwrap();
            if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != mail.challenge {
                return refuse(
                    400,
                    "bad_code_verifier",
                    "code challenge does not match previously saved code verifier",
                );
            }
            grant(&project, user_of(&project, &json!(mail.to)).unwrap(), "aal1").await
        }
        _ => refuse(400, "validation_failed", "unsupported_grant_type"),
    }
}

/// An e-mail works once.
fn take_mail(project: &Project, is_it: impl Fn(&Mail) -> bool) -> Option<Mail> {
    let mut inner = project.inner();
    let place = inner.mail.iter().position(is_it)?;
    Some(inner.mail.remove(place))
}

async fn otp(
    State(project): State<Project>,
    Query(query): Query<BTreeMap<String, String>>,
    Json(fields): Json<Value>,
) -> Response {
    assert_eq!((&fields["create_user"], &fields["code_challenge_method"]), (&json!(false), &json!("s256")));
    let Some((to, _)) = user_of(&project, &fields["email"]) else {
        return refuse(422, "otp_disabled", "Signups not allowed for otp");
    };
    let mail = Mail {
        to,
        code: "271828".to_owned(),
        redirect_to: query["redirect_to"].clone(),
        challenge: fields["code_challenge"].as_str().unwrap().to_owned(),
        auth_code: Uuid::new_v4().to_string(),
    };
    project.inner().mail.push(mail);
    Json(json!({})).into_response()
}

async fn verify(State(project): State<Project>, Json(fields): Json<Value>) -> Response {
    assert_eq!(fields["type"], "email");
    match take_mail(&project, |mail| fields["email"] == mail.to && fields["token"] == mail.code) {
        Some(mail) => grant(&project, user_of(&project, &json!(mail.to)).unwrap(), "aal1").await,
        None => refuse(403, "otp_expired", "Token has expired or is invalid"),
    }
}

/// Whose factor this is.
fn user_with(project: &Project, factor: Uuid) -> Option<(String, User)> {
    let inner = project.inner();
    let has = |user: &User| user.factors.iter().any(|it| it["id"] == json!(factor));
    inner.users.iter().find(|(_, user)| has(user)).map(|(email, user)| (email.clone(), user.clone()))
}

async fn challenge(State(project): State<Project>, Path(factor): Path<Uuid>, request: Request) -> Response {
    let bearer =
        request.headers().get("authorization").is_some_and(|it| it.to_str().unwrap().starts_with("Bearer "));
    if !bearer || user_with(&project, factor).is_none() {
        return refuse(401, "no_authorization", "This endpoint requires a valid Bearer token");
    }
    Json(json!({"id": Uuid::new_v4(), "type": "totp", "expires_at": 0})).into_response()
}

async fn answer_challenge(
    State(project): State<Project>,
    Path(factor): Path<Uuid>,
    Json(fields): Json<Value>,
) -> Response {
    if fields["challenge_id"].is_null() || fields["code"] != APP_CODE {
        return refuse(422, "mfa_verification_failed", "Invalid TOTP code entered");
    }
    grant(&project, user_with(&project, factor).unwrap(), "aal2").await
}
