//! Tokens for programs: made, used, limited to their scopes, revoked, and named by the audit log.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use memberflow::ops::tokens::{self, Scope, TokenError};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use time::Duration;

use super::with_letters;
use crate::support::api::{Reply, TOKEN, api_at, assert_problem, send};
use crate::support::app::{NOW, TestApp};
use crate::support::process::{Settings, memberflow};

async fn make(app: &TestApp, name: &str, scopes: &[Scope]) -> String {
    let made = tokens::create(&app.database.pool, name, scopes, None, "ada@crm-1", NOW).await.unwrap();
    made.expose_secret().to_owned()
}

async fn ask(app: &TestApp, token: &str, method: Method, path: &str, body: &Value) -> Reply {
    ask_at(app, Some(TOKEN), token, NOW, method, path, body).await
}

async fn ask_at(
    app: &TestApp,
    admin: Option<&str>,
    token: &str,
    now: time::OffsetDateTime,
    method: Method,
    path: &str,
    body: &Value,
) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    send(&api_at(&app.database.pool, admin, now), request).await
}

async fn get(app: &TestApp, token: &str, path: &str) -> Reply {
    ask(app, token, Method::GET, path, &Value::Null).await
}

#[tokio::test]
async fn a_token_does_what_its_scopes_allow_and_no_more() {
    let app = with_letters().await;
    let reads = make(&app, "reader", &[Scope::EventsRead, Scope::MembersRead]).await;
    for path in ["/api/events", "/api/dead-letters/causes", "/api/parked", "/api/jobs", "/api/members"] {
        assert_eq!(get(&app, &reads, path).await.status, StatusCode::OK, "{path}");
    }
    for (path, scope) in [
        ("/api/mrr", "revenue:read"),
        ("/api/campaigns", "revenue:read"),
        ("/api/tickets", "tickets:read"),
        ("/api/audit", "admin"),
    ] {
        let refused = get(&app, &reads, path).await;
        assert_problem(&refused, StatusCode::FORBIDDEN, scope);
        assert_eq!(refused.body["type"], "urn:memberflow:problem:scope-missing");
    }
    let user = "/api/members/00000000-0000-0000-0000-000000000001";
    for (method, path, scope) in [
        (Method::PATCH, user, "members:write"),
        (Method::PATCH, "/api/tickets/T-1", "tickets:write"),
        (Method::POST, "/api/tickets/T-1/replies", "tickets:write"),
        (Method::POST, "/api/dead-letters/redrive", "events:act"),
        (Method::POST, "/api/dead-letters/drop", "events:act"),
        (Method::POST, "/api/jobs", "events:act"),
        (Method::POST, "/api/jobs/1/cancel", "events:act"),
    ] {
        let refused = ask(&app, &reads, method, path, &json!({"all": true})).await;
        assert_problem(&refused, StatusCode::FORBIDDEN, scope);
    }
    let dead = app.rows("select 1 from ingest.events where state = 'dead'").await;
    assert_eq!(dead.len(), 3);

    let all = make(&app, "all", &[Scope::Admin]).await;
    assert_eq!(get(&app, &all, "/api/audit").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_audit_log_names_the_token_that_acted() {
    let app = with_letters().await;
    let acts = make(&app, "redriver", &[Scope::EventsAct]).await;
    let done = ask(&app, &acts, Method::POST, "/api/dead-letters/redrive", &json!({"all": true})).await;
    assert_eq!(done.body["letters"], 3, "{}", done.body);
    let lines = app.rows("select actor, act from ingest.audit_log order by id").await;
    assert_eq!(
        lines,
        [
            json!({"actor": "ada@crm-1", "act": "tokens create"}),
            json!({"actor": "token:redriver", "act": "dead-letters redrive"})
        ]
    );
}

#[tokio::test]
async fn revoked_expired_and_invented_tokens_are_refused() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    let token = make(&app, "crm", &[Scope::MembersRead]).await;
    let taken = tokens::create(pool, "crm", &[Scope::Admin], None, "ada", NOW).await.unwrap_err();
    assert!(matches!(taken, TokenError::Taken(_)));
    tokens::revoke(pool, "crm", "ada@crm-1", NOW).await.unwrap();
    assert!(matches!(tokens::revoke(pool, "crm", "ada", NOW).await.unwrap_err(), TokenError::NotFound(_)));

    let end = NOW + Duration::days(90);
    let ending = tokens::create(pool, "crm", &[Scope::MembersRead], Some(end), "ada", NOW).await.unwrap();
    let ending = ending.expose_secret();
    assert_eq!(get(&app, ending, "/api/members").await.status, StatusCode::OK);
    let late = ask_at(&app, Some(TOKEN), ending, end, Method::GET, "/api/members", &Value::Null).await;
    let invented = format!("{}{}", &ending[..40], &token[40..]);
    for refused in [late, get(&app, &token, "/api/members").await, get(&app, &invented, "/api/members").await]
    {
        assert_problem(&refused, StatusCode::UNAUTHORIZED, "tokens list");
        assert!(refused.challenge.is_some());
    }
}

#[tokio::test]
async fn tokens_work_where_no_admin_token_is_set() {
    let app = TestApp::begin().await;
    let token = make(&app, "crm", &[Scope::MembersRead]).await;
    let reply = ask_at(&app, None, &token, NOW, Method::GET, "/api/members", &Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = ask_at(&app, None, "guess", NOW, Method::GET, "/api/members", &Value::Null).await;
    assert_problem(&reply, StatusCode::FORBIDDEN, "MEMBERFLOW_ADMIN_TOKEN");
}

#[tokio::test]
async fn only_the_hash_is_stored_and_uses_are_noted_by_the_minute() {
    let app = TestApp::begin().await;
    let token = make(&app, "crm", &[Scope::MembersRead]).await;
    let stored = app.rows("select t::text as row from ingest.api_tokens t").await;
    let audited = app.rows("select a::text as row from ingest.audit_log a").await;
    for row in stored.iter().chain(&audited) {
        assert!(!row["row"].as_str().unwrap().contains(&token[4..40]), "{row}");
    }
    let used =
        async || app.rows("select last_used_at from ingest.api_tokens").await[0]["last_used_at"].clone();
    assert_eq!(used().await, Value::Null);
    for (seconds, noted) in [(0, "12:00:00"), (59, "12:00:00"), (60, "12:01:00")] {
        let now = NOW + Duration::seconds(seconds);
        ask_at(&app, Some(TOKEN), &token, now, Method::GET, "/api/members", &Value::Null).await;
        let last = used().await;
        assert!(last.as_str().unwrap().contains(noted), "{seconds}: {last}");
    }
}

#[tokio::test]
async fn a_program_hears_how_many_requests_it_has_left() {
    let metrics = memberflow::telemetry::metrics().unwrap();
    let app = TestApp::begin().await;
    let token = make(&app, "crm", &[Scope::MembersRead]).await;
    let api = api_at(&app.database.pool, Some(TOKEN), NOW);
    let ask = async || {
        use tower::ServiceExt as _;
        let request =
            Request::get("/api/members?limit=x").header(header::AUTHORIZATION, format!("Bearer {token}"));
        api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let first = ask().await;
    assert_eq!(first.headers()["ratelimit-limit"], "600");
    assert_eq!(first.headers()["ratelimit-remaining"], "599");
    for _ in 1..600 {
        assert_eq!(ask().await.status(), StatusCode::BAD_REQUEST);
    }
    let over = ask().await;
    assert_eq!(
        (over.status(), &over.headers()["ratelimit-remaining"]),
        (StatusCode::TOO_MANY_REQUESTS, &"0".parse().unwrap())
    );
    assert_eq!(over.headers()["retry-after"], over.headers()["ratelimit-reset"]);
    let counted = "memberflow_api_limited_total{outcome=\"over\"} 1";
    assert!(metrics.render().contains(counted), "{}", metrics.render());
}

#[tokio::test]
async fn the_admin_token_has_its_own_rate_limit() {
    use tower::ServiceExt as _;
    let app = TestApp::begin().await;
    let api = api_at(&app.database.pool, Some(TOKEN), NOW);
    for remaining in ["5999", "5998"] {
        let request =
            Request::get("/api/members?limit=x").header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        let answer = api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["ratelimit-limit"], "6000");
        assert_eq!(answer.headers()["ratelimit-remaining"], remaining);
    }
}

#[tokio::test]
async fn the_command_makes_lists_and_revokes_tokens() {
    let app = TestApp::begin().await;
    let settings: Settings = vec![("DATABASE_URL", app.database.url())];
    let run = |args: &[&str]| {
        let output = memberflow(&settings).args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (exit, token, said) = run(&[
        "tokens",
        "create",
        "crm",
        "--scope",
        "members:read",
        "--scope",
        "tickets:read",
        "--expires",
        "90d",
    ]);
    assert!(exit == 0 && tokens::is_well_formed(token.trim()) && said.contains("not shown again"), "{said}");
    let (_, list, _) = run(&["tokens", "list", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["scopes"], json!(["members:read", "tickets:read"]));
    assert!(run(&["tokens", "list"]).1.contains("crm"));
    assert_eq!(run(&["tokens", "create", "crm", "--scope", "admin"]).0, 2);
    assert_eq!(run(&["tokens", "create", "x", "--scope", "everything"]).0, 2);
    assert_eq!(run(&["tokens", "create", "a b", "--scope", "admin"]).0, 2);
    assert_eq!(run(&["tokens", "revoke", "crm"]).0, 0);
    assert_eq!(run(&["tokens", "revoke", "crm"]).0, 5);
    assert!(run(&["tokens", "list"]).1.contains("revoked"));
}
