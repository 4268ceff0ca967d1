//! An account at Stripe as an HTTP server: lists page by page, objects by id, refusals in between, and a note of
//! when each request came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Few, so that every list has several pages.
const PAGE: usize = 2;

#[derive(Default)]
struct Inner {
    /// By path (`/v1/customers`): the objects of the list, newest first.
    lists: BTreeMap<String, Vec<Value>>,
    /// By path (`/v1/customers/cus_1`): objects that no list has.
    singles: BTreeMap<String, Value>,
    /// Lists that show their first page again and again.
    circles: BTreeSet<String>,
    /// What the requests with these numbers get instead of an answer.
    refusals: BTreeMap<usize, u16>,
    requests: Vec<(Instant, String)>,
    /// The account that each request named.
    accounts: Vec<Option<String>>,
}

/// The account, stopped on drop.
pub struct Account {
    pub base: String,
    inner: Arc<Mutex<Inner>>,
    _stop: DropGuard,
}

impl Account {
    pub async fn open() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let served = axum::serve(listener, app);
            served.with_graceful_shutdown(stopped.cancelled_owned()).await.unwrap();
        });
        let account = Self { base, inner, _stop: stop.drop_guard() };
        for list in [
            "products",
            "prices",
            "coupons",
            "customers",
            "subscriptions",
            "invoices",
            "invoice_payments",
            "charges",
            "refunds",
            "disputes",
            "events",
            "subscription_items",
        ] {
            account.inner.lock().unwrap().lists.insert(format!("/v1/{list}"), Vec::new());
        }
        account
    }

    /// Puts `object` into `list` (`customers`), in the place of what had its id.
    pub fn has(&self, list: &str, object: Value) {
        let mut inner = self.inner.lock().unwrap();
        let list = inner.lists.entry(format!("/v1/{list}")).or_default();
        list.retain(|other| other["id"] != object["id"]);
        list.insert(0, object);
    }

    /// Takes an object out of its list.
    pub fn forgets(&self, list: &str, id: &str) {
        self.inner.lock().unwrap().lists.get_mut(&format!("/v1/{list}")).unwrap().retain(|it| it["id"] != id);
    }

    /// Answers with `object` only where it is asked for by its id.
    pub fn shows(&self, path: &str, object: Value) {
        self.inner.lock().unwrap().singles.insert(format!("/v1/{path}"), object);
    }

    /// Has no such list.
    pub fn lacks(&self, list: &str) {
        self.inner.lock().unwrap().lists.remove(&format!("/v1/{list}"));
    }

    /// Shows the first page of `list` again and again.
    pub fn repeats(&self, list: &str) {
        self.inner.lock().unwrap().circles.insert(format!("/v1/{list}"));
    }

    /// Refuses the request with this number, counted from now on.
    pub fn refuses(&self, number: usize, status: u16) {
        let mut inner = self.inner.lock().unwrap();
        let number = inner.requests.len() + number;
        inner.refusals.insert(number, status);
    }

    /// The addresses asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().requests.iter().map(|(_, uri)| uri.clone()).collect()
    }

    /// The account that each request named.
    pub fn accounts(&self) -> Vec<Option<String>> {
        self.inner.lock().unwrap().accounts.clone()
    }

    /// The most requests that any one second saw.
    pub fn most_in_a_second(&self) -> usize {
        let inner = self.inner.lock().unwrap();
        let times: Vec<Instant> = inner.requests.iter().map(|(at, _)| *at).collect();
        let within = |from: &Instant| {
            times.iter().filter(|at| *at >= from && **at - *from < Duration::from_secs(1)).count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let mut inner = inner.lock().unwrap();
    let number = inner.requests.len();
    inner.requests.push((Instant::now(), uri.to_string()));
    let account = headers.get("stripe-account").map(|it| it.to_str().unwrap().to_owned());
    inner.accounts.push(account);
    if let Some(status) = inner.refusals.get(&number) {
        let error = json!({"error": {"type": "api_error", "message": format!("refused with {status}")}});
        let status = StatusCode::from_u16(*status).unwrap();
        return (status, [("retry-after", "1")], error.to_string()).into_response();
    }
    if let Some(objects) = inner.lists.get(uri.path()) {
        if inner.circles.contains(uri.path()) {
            return json!({"has_more": true, "data": objects}).to_string().into_response();
        }
        return list(objects, &asked).to_string().into_response();
    }
    let single = inner.singles.get(uri.path()).or_else(|| {
        let (list, id) = uri.path().rsplit_once('/')?;
        inner.lists.get(list)?.iter().find(|object| object["id"] == id)
    });
    match single {
        Some(object) => object.to_string().into_response(),
        None => {
            let error = json!({"error": {"type": "invalid_request_error", "message": "No such object"}});
            (StatusCode::NOT_FOUND, error.to_string()).into_response()
        }
    }
}

fn list(objects: &[Value], asked: &BTreeMap<String, String>) -> Value {
    let since: i64 = asked.get("created[gte]").map_or(0, |since| since.parse().unwrap());
    let undelivered = asked.get("delivery_success").is_some_and(|it| it == "false");
    let of = asked.get("subscription");
    let all: Vec<&Value> = objects
        .iter()
        .filter(|object| object["created"].as_i64().unwrap_or(i64::MAX) >= since)
        .filter(|object| !undelivered || object["pending_webhooks"] != 0)
        .filter(|object| of.is_none_or(|of| object["subscription"] == of.as_str()))
        .collect();
    let from = asked.get("starting_after").map_or(0, |after| {
        all.iter().position(|object| object["id"] == after.as_str()).expect("a cursor of this list") + 1
    });
    let page: Vec<&Value> = all[from..].iter().copied().take(PAGE).collect();
    json!({"object": "list", "has_more": from + page.len() < all.len(), "data": page})
}
