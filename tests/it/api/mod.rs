//! What operators see and do over HTTP: events, dead letters, what is parked, acts, campaigns.

mod acts;
mod campaigns;
mod conditions;
mod dead_letters;
mod events;
mod jobs;
mod members;
mod messages;
mod openapi;
mod parked;
mod peer;
mod throughput;
mod tokens;

use axum::http::{Method, StatusCode};
use memberflow::envelope::Envelope;
use serde_json::Value;

use crate::support::api::{Reply, TOKEN, api_at, request, send};
use crate::support::app::{NOW, TestApp, customer, stripe};

async fn ask(app: &TestApp, method: Method, path: &str, body: &Value) -> Reply {
    let api = api_at(&app.database.pool, Some(TOKEN), NOW);
    send(&api, request(method, path, &body.to_string())).await
}

async fn get(app: &TestApp, path: &str) -> Reply {
    ask(app, Method::GET, path, &Value::Null).await
}

/// The body of a good answer.
async fn read(app: &TestApp, path: &str) -> Value {
    let reply = get(app, path).await;
    assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
    reply.body
}

/// Every page of a list whose rows stand in `field`, `limit` rows a page: what `name` says of each row. On the way back
/// the pages hold the same.
async fn pages(app: &TestApp, path: &str, limit: u32, field: &str, name: &str) -> Vec<Vec<String>> {
    let read = async |cursor: &Value| {
        let sign = if path.contains('?') { '&' } else { '?' };
        let cursor = cursor.as_str().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        read(app, &format!("{path}{sign}limit={limit}{cursor}")).await
    };
    let names = |page: &Value| -> Vec<String> {
        page[field].as_array().unwrap().iter().map(|row| text(&row[name])).collect()
    };
    let (mut pages, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = read(&cursor).await;
        cursor = page["next_cursor"].clone();
        pages.push(page);
        if cursor.is_null() {
            break;
        }
    }
    let all: Vec<Vec<String>> = pages.iter().map(names).collect();
    assert_eq!(pages[0]["prev_cursor"], Value::Null);
    for at in (1..pages.len()).rev() {
        let before = read(&pages[at]["prev_cursor"]).await;
        assert_eq!(names(&before), all[at - 1], "back from page {at}");
        assert_eq!(before["prev_cursor"].is_string(), at > 1);
    }
    all
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The creation of a customer.
fn made(id: &str) -> Envelope {
    stripe(id, "customer.created", 0, customer("cus_1", "ada@example.com"))
}

/// Three letters, two of which were given up for the same reason.
async fn with_letters() -> TestApp {
    let app = TestApp::begin().await;
    for (id, reason) in [("evt_1", "too often"), ("evt_2", "the wrong kind"), ("evt_3", "too often")] {
        app.store.dead_letter(&[(made(id), reason.to_owned())]).await.unwrap();
    }
    app
}
