//! The API's description: the snapshot in the tree is what the service gives, and every operation answers as it says.

use std::collections::BTreeSet;
use std::{env, fs};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use jsonschema::Validator;
use memberflow::api::description;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ask, made};
use crate::applying::statements::app_with_members;
use crate::support::api::{TOKEN, api_at, send};
use crate::support::app::{NOW, TestApp};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
/// Set to write the snapshot again.
const RENEW: &str = "MEMBERFLOW_RENEW_SNAPSHOT";

#[test]
fn the_snapshot_in_the_tree_is_the_description() {
    let is = description().to_pretty_json().unwrap() + "\n";
    if env::var_os(RENEW).is_some() {
        fs::write(SNAPSHOT, &is).unwrap();
    }
    let stands = fs::read_to_string(SNAPSHOT).unwrap_or_default();
    assert!(
        stands == is,
        "docs/openapi.json differs: look whether callers can live with the change, then renew it with\n\
         {RENEW}=1 cargo nextest run -E 'test(the_snapshot_in_the_tree_is_the_description)'"
    );
}

#[tokio::test]
async fn the_description_is_there_for_everybody() {
    let app = TestApp::begin().await;
    let api = api_at(&app.database.pool, Some(TOKEN), NOW);
    let reply = send(&api, Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((reply.status, reply.content_type.as_str()), (StatusCode::OK, "application/json"));
    assert_eq!(reply.body["openapi"], "3.1.0");
    assert_eq!(reply.body, serde_json::to_value(description()).unwrap());
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let app = app_with_everything().await;
    let description = Description::new();
    let mut missing = description.operations();
    for (method, template, path, body) in requests() {
        let reply = ask(&app, method.clone(), &path, &body).await;
        let operation = format!("{} {template}", method.as_str().to_lowercase());
        assert!(reply.status.is_success(), "{operation}: {} {}", reply.status, reply.body);
        assert_eq!(reply.cache_control.as_deref(), Some("no-store"), "{operation}");
        description.check(&operation, reply.status, &reply.body);
        missing.remove(&operation);
    }
    assert_eq!(missing, BTreeSet::new(), "no request shows what these answer");
}

#[tokio::test]
async fn every_operation_refuses_as_it_is_described() {
    let app = TestApp::begin().await;
    let description = Description::new();
    let api = api_at(&app.database.pool, Some(TOKEN), NOW);
    for (method, template, path, _) in requests() {
        let operation = format!("{} {template}", method.as_str().to_lowercase());
        let request = Request::builder().method(&method).uri(&path).body(Body::empty()).unwrap();
        let unknown = send(&api, request).await;
        assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
        description.check(&operation, unknown.status, &unknown.body);
        if description.takes_body(&operation) {
            let wrong = ask(&app, method, &path, &json!({"colour": "red"})).await;
            assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{operation}: {}", wrong.body);
            description.check(&operation, wrong.status, &wrong.body);
        }
    }
}

/// Members with subscriptions and payments, a ticket, a campaign, dead letters, something parked, acts.
async fn app_with_everything() -> TestApp {
    let app = app_with_members(2).await;
    for id in ["evt_dead_1", "evt_dead_2"] {
        app.store.dead_letter(&[(made(id), "too often".to_owned())]).await.unwrap();
    }
    for statement in [
        "insert into ingest.parked (subject, reason, detail, parked_at) values ('cus', 'unknown_user', 'no user', now())",
        "insert into ingest.audit_log (at, actor, act, arguments, outcome) values (now(), 'ada', 'rebuild', '{}', '{}')",
        "insert into ingest.last_checks values ('rebuild', now(), 'ada', false, 1, 1,
             '[{\"object\": \"t\", \"field\": \"mrr\", \"here\": 1, \"there\": null}]')",
        "insert into public.sms_messages (direction, from_number, to_number, body) values ('inbound', '+1', '+2', 'Hi')",
        "insert into public.marketing_campaigns (name, slug, utm_source) values ('Spring', 'spring', 'google')",
        "insert into public.leads (email, campaign_id) select 'a@example.com', id from public.marketing_campaigns",
        "insert into public.support_tickets (id, user_id, subject, description, ticket_number)
         select md5('one')::uuid, id, 'Help', 'It is broken.', 'T-1' from auth.users limit 1",
    ] {
        app.execute(statement).await;
    }
    app
}

/// A request for each operation: its method and path as described, its address, and its body.
fn requests() -> Vec<(Method, &'static str, String, Value)> {
    let user = Uuid::from_u128(1);
    let get = |template: &'static str, path: String| (Method::GET, template, path, Value::Null);
    let plain = |template: &'static str| get(template, template.to_owned());
    let member = "/api/members/{user_id}";
    let ticket = "/api/tickets/{ticket}";
    vec![
        get("/api/members", "/api/members?count=true".to_owned()),
        get(member, format!("/api/members/{user}")),
        (Method::PATCH, member, format!("/api/members/{user}"), json!({"custom_tags": ["vip"]})),
        get("/api/members/{user_id}/mrr", format!("/api/members/{user}/mrr?date=2026-03-31")),
        get("/api/members/{user_id}/timeline", format!("/api/members/{user}/timeline?limit=2")),
        get("/api/members/{user_id}/events", format!("/api/members/{user}/events?limit=2")),
        plain("/api/mrr"),
        plain("/api/mrr/waterfall"),
        plain("/api/mrr/cohorts"),
        get(
            "/api/mrr/cohorts/customers",
            "/api/mrr/cohorts/customers?currency=usd&began=2026-01&month=2026-02&count=true".to_owned(),
        ),
        get(
            "/api/mrr/movements",
            "/api/mrr/movements?currency=usd&month=2026-01&kind=new&count=true".to_owned(),
        ),
        get("/api/tickets", "/api/tickets?count=true".to_owned()),
        (Method::PATCH, ticket, "/api/tickets/T-1".to_owned(), json!({"status": "in_progress"})),
        (
            Method::POST,
            "/api/tickets/{ticket}/replies",
            "/api/tickets/T-1/replies".to_owned(),
            json!({"message": "It is fixed."}),
        ),
        get(ticket, "/api/tickets/T-1".to_owned()),
        get("/api/campaigns", "/api/campaigns?count=true".to_owned()),
        get("/api/campaigns/{campaign}", "/api/campaigns/spring".to_owned()),
        get("/api/events", "/api/events?count=true".to_owned()),
        get("/api/events/{source}/{event_id}", "/api/events/stripe/evt_sub_1?body=true".to_owned()),
        get("/api/dead-letters", "/api/dead-letters?count=true".to_owned()),
        plain("/api/dead-letters/causes"),
        (
            Method::POST,
            "/api/dead-letters/redrive",
            "/api/dead-letters/redrive".to_owned(),
            json!({"all": true, "dry_run": true}),
        ),
        (
            Method::POST,
            "/api/dead-letters/drop",
            "/api/dead-letters/drop".to_owned(),
            json!({"reason": "often"}),
        ),
        (
            Method::POST,
            "/api/events/replay",
            "/api/events/replay".to_owned(),
            json!({"ids": ["evt_sub_1"], "dry_run": true}),
        ),
        get("/api/parked", "/api/parked?count=true".to_owned()),
        plain("/api/parked/reasons"),
        get("/api/audit", "/api/audit?count=true".to_owned()),
        plain("/api/overview"),
        get("/api/throughput", "/api/throughput?period=7d&source=stripe".to_owned()),
        plain("/api/doctor"),
        get("/api/messages", "/api/messages?count=true".to_owned()),
        (Method::POST, "/api/jobs", "/api/jobs".to_owned(), json!({"operation": "rebuild", "is_fix": true})),
        get("/api/jobs", "/api/jobs?count=true".to_owned()),
        get("/api/jobs/{job}", "/api/jobs/1".to_owned()),
        (Method::POST, "/api/jobs/{job}/cancel", "/api/jobs/1/cancel".to_owned(), Value::Null),
    ]
}

/// The description as JSON Schema, closed: a field that is not described is an error.
struct Description(Value);

impl Description {
    fn new() -> Self {
        let mut description = serde_json::to_value(description()).unwrap();
        let mut parts = BTreeSet::new();
        parts_of_others(&description, &mut parts);
        for (name, schema) in description["components"]["schemas"].as_object_mut().unwrap() {
            let is_map = schema.get("additionalProperties").is_some();
            if !parts.contains(name) && !is_map && name != "Problem" {
                schema["unevaluatedProperties"] = json!(false);
            }
        }
        Self(description)
    }

    /// As `get /api/members`.
    fn operations(&self) -> BTreeSet<String> {
        let methods = |(path, item): (&String, &Value)| {
            let path = path.clone();
            let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
            methods.into_iter().map(move |method| format!("{method} {path}"))
        };
        self.0["paths"].as_object().unwrap().iter().flat_map(methods).collect()
    }

    fn takes_body(&self, operation: &str) -> bool {
        let (method, path) = operation.split_once(' ').unwrap();
        self.0["paths"][path][method].get("requestBody").is_some()
    }

    /// Fails where the answer is none that is described.
    fn check(&self, operation: &str, status: StatusCode, body: &Value) {
        let (method, path) = operation.split_once(' ').unwrap();
        let responses = &self.0["paths"][path][method]["responses"];
        let response = responses.get(status.as_str()).unwrap_or(&responses["default"]);
        let content = response["content"].as_object().unwrap().values().next().unwrap();
        let mut schema = content["schema"].clone();
        schema["components"] = self.0["components"].clone();
        let schema: Validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let wrong: Vec<String> =
            schema.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{operation}: {}\n{body:#}", wrong.join("\n"));
    }
}

/// The schemas that others are put together from: their fields are not all that there are.
fn parts_of_others(value: &Value, parts: &mut BTreeSet<String>) {
    if let Some(all) = value.get("allOf").and_then(Value::as_array) {
        let names = all.iter().filter_map(|one| one["$ref"].as_str()).filter_map(|it| it.rsplit('/').next());
        parts.extend(names.map(str::to_owned));
    }
    match value {
        Value::Array(all) => all.iter().for_each(|one| parts_of_others(one, parts)),
        Value::Object(fields) => fields.values().for_each(|one| parts_of_others(one, parts)),
        _ => {}
    }
}
