//! An account at Twilio as an HTTP server: its messages page by page, their files, its numbers and services, and refusals
//! in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use memberflow::config::Config;
use memberflow::verify::secrets::split_twilio;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::receiver::{TWILIO_ACCOUNT, TWILIO_TOKENS};

/// Few, so that the list has several pages.
const PAGE: usize = 2;

#[derive(Default)]
struct Inner {
    /// The newest first.
    messages: Vec<Value>,
    /// The files of each message.
    media: BTreeMap<String, Vec<Value>>,
    /// What the requests with these numbers get instead of an answer.
    refusals: BTreeMap<usize, u16>,
    /// What else is shown, by path.
    shown: BTreeMap<String, Value>,
    requests: Vec<String>,
    circles: bool,
}

/// The account, stopped on drop.
pub struct TwilioAccount {
    pub base: String,
    inner: Arc<Mutex<Inner>>,
    _stop: DropGuard,
}

impl TwilioAccount {
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
        account.shows("", json!({"sid": TWILIO_ACCOUNT, "status": "active"}));
        account
    }

    /// The settings that lead here.
    pub fn config(&self, database_url: impl Into<String>) -> Config {
        Config {
            twilio_account_sid: Some(TWILIO_ACCOUNT.to_owned()),
            // The account's own is the second one.
            twilio_auth_tokens: split_twilio(TWILIO_TOKENS),
            twilio_api_base: Some(self.base.clone()),
            ..super::config(database_url)
        }
    }

    /// Has this message, in the place of what had its id.
    pub fn has(&self, message: Value) {
        let mut inner = self.inner.lock().unwrap();
        inner.messages.retain(|other| other["sid"] != message["sid"]);
        inner.messages.insert(0, message);
    }

    /// Has a file of a message.
    pub fn has_file(&self, message: &str, file: &str, kind: &str) {
        let uri = format!("/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Messages/{message}/Media/{file}.json");
        let file = json!({"sid": file, "content_type": kind, "uri": uri});
        self.inner.lock().unwrap().media.entry(message.to_owned()).or_default().push(file);
    }

    /// Shows this at a path: one of the account's (`/IncomingPhoneNumbers`), or one of its own (`v1/Services`).
    pub fn shows(&self, path: &str, answer: Value) {
        let path = match path.strip_prefix("v1/") {
            Some(_) => format!("/{path}"),
            None => format!("/2010-04-01/Accounts/{TWILIO_ACCOUNT}{path}.json"),
        };
        self.inner.lock().unwrap().shown.insert(path, answer);
    }

    /// Shows the first page of messages again and again.
    pub fn repeats(&self) {
        self.inner.lock().unwrap().circles = true;
    }

    /// Refuses the request with this number, counted from now on. A token that does not open counts as one.
    pub fn refuses(&self, number: usize, status: u16) {
        let mut inner = self.inner.lock().unwrap();
        let number = inner.requests.len() + number;
        inner.refusals.insert(number, status);
    }

    /// The addresses asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().requests.clone()
    }
}

/// A message as the API shows it.
pub fn message(sid: &str, direction: &str, from: &str, to: &str, body: &str, status: &str) -> Value {
    json!({
        "sid": sid, "account_sid": TWILIO_ACCOUNT, "messaging_service_sid": null, "direction": direction,
        "from": from, "to": to, "body": body, "status": status, "num_segments": "1", "num_media": "0",
        "error_code": null, "error_message": null, "price": "-0.0075", "price_unit": "USD",
        "date_created": "Thu, 19 Nov 2026 12:00:00 +0000", "date_sent": "Thu, 19 Nov 2026 12:00:01 +0000",
        "date_updated": "Thu, 19 Nov 2026 12:00:02 +0000", "api_version": "2010-04-01",
        "uri": format!("/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Messages/{sid}.json")
    })
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, uri: Uri, headers: HeaderMap) -> Response {
    let mut inner = inner.lock().unwrap();
    let number = inner.requests.len();
    inner.requests.push(uri.to_string());
    if let Some(status) = inner.refusals.get(&number) {
        let error = json!({"code": 20429, "message": format!("refused with {status}"), "status": status});
        let status = StatusCode::from_u16(*status).unwrap();
        return (status, [("retry-after", "1")], error.to_string()).into_response();
    }
    if !opens(&headers) {
        let error = json!({"code": 20003, "message": "Authenticate", "status": 401});
        return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
    }
    let account = format!("/2010-04-01/Accounts/{TWILIO_ACCOUNT}");
    let shown = inner.shown.get(uri.path()).cloned();
    let of_account = uri.path().strip_prefix(&account);
    let found = shown.or_else(|| match of_account? {
        "/Messages.json" => Some(page(&inner, &uri, &account)),
        path => {
            let sid = path.strip_prefix("/Messages/")?.strip_suffix("/Media.json")?;
            Some(json!({"media_list": inner.media.get(sid).cloned().unwrap_or_default()}))
        }
    });
    match found {
        Some(found) => found.to_string().into_response(),
        None => (StatusCode::NOT_FOUND, json!({"code": 20404, "message": "not found"}).to_string())
            .into_response(),
    }
}

fn opens(headers: &HeaderMap) -> bool {
    let token = TWILIO_TOKENS.rsplit(',').next().unwrap();
    let good = base64::engine::general_purpose::STANDARD.encode(format!("{TWILIO_ACCOUNT}:{token}"));
    headers.get("authorization").is_some_and(|given| given.to_str().unwrap() == format!("Basic {good}"))
}

fn page(inner: &Inner, uri: &Uri, account: &str) -> Value {
    let from = uri
        .query()
        .and_then(|query| query.split_once("PageToken=PA"))
        .map_or(0, |(_, at)| at.parse().unwrap());
    let until = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "DateSent<")
        .map(|(_, at)| OffsetDateTime::parse(&at, &Rfc3339).unwrap());
    let sent_at = |it: &Value| OffsetDateTime::parse(it["date_sent"].as_str().unwrap(), &Rfc2822).unwrap();
    let listed: Vec<&Value> =
        inner.messages.iter().filter(|it| until.is_none_or(|until| sent_at(it) <= until)).collect();
    let messages: Vec<&Value> = listed.iter().copied().skip(from).take(PAGE).collect();
    let next = from + messages.len();
    let next = if inner.circles { Some(0) } else { Some(next).filter(|next| *next < listed.len()) };
    let query = uri.query().and_then(|query| query.split("&PageToken").next()).unwrap_or_default();
    let next = next.map(|next| format!("{account}/Messages.json?{query}&PageToken=PA{next}"));
    json!({"messages": messages, "next_page_uri": next, "page_size": PAGE})
}
