//! The table in `docs/bad-requests.md`: each of its requests is sent as raw bytes, and gets the documented
//! answer.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use memberflow::verify::secrets::{split_stripe, split_supabase};
use memberflow::verify::{StripeSecrets, SupabaseSecrets, standard_webhooks, stripe};

use super::bad_texts;
use crate::support::receiver::{ADMIN_TOKEN, NOW, STRIPE_SECRETS, SUPABASE_SECRETS, TestReceiver};

const TABLE: &str = include_str!("../../../docs/bad-requests.md");
/// The listener's limit: as much as this without an end is refused.
const HEADERS_MAX_BYTES: usize = 64 * 1024;
pub(super) const LIMIT_BYTES: usize = 256 * 1024;
const GOOD: [(&str, &str); 3] = [
    ("stripe", r#"{"id":"good","object":"event","type":"invoice.paid","created":1764158399}"#),
    ("auth", r#"{"metadata":{"uuid":"good","time":"2025-11-26T11:59:59Z","name":"after-user-created"}}"#),
    ("database", r#"{"type":"INSERT","schema":"public","table":"t","record":null,"old_record":null}"#),
];

/// A row of the table.
struct Row {
    input: String,
    endpoint: String,
    status: u16,
    kind: String,
    stored: String,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.starts_with('|')).skip(2);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [input, endpoint, status, kind, stored] = cells[..].try_into().expect("five cells");
            let text = str::to_owned;
            let (input, endpoint) = (text(input), text(endpoint));
            Row { input, endpoint, status: status.parse().unwrap(), kind: text(kind), stored: text(stored) }
        })
        .collect()
}

#[tokio::test]
async fn bad_requests_match_the_documented_table() {
    let receiver = TestReceiver::with(|config| config.body_limit_bytes = LIMIT_BYTES).await;
    let rows = rows();
    assert!(rows.len() >= 40);
    let mut wrong = Vec::new();
    let mut pending = 0;
    for Row { input, endpoint, status, kind, stored } in &rows {
        let answer = send(&receiver, &Request::named(input, endpoint).wire()).await;
        let all = receiver.pending().await;
        let new: Vec<&str> = all[pending..].iter().map(|event| event.event_id.as_str()).collect();
        pending = all.len();
        let expected = (*status, kind.as_str(), stored.as_str());
        let was = (answer.status, answer.kind.as_str(), new.first().copied().unwrap_or("nothing"));
        if was != expected || new.len() > 1 {
            wrong.push(format!("{input} to {endpoint}: {was:?}, the table says {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(receiver.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn hook_without_metadata_is_answered_by_its_fields() {
    let receiver = TestReceiver::start().await;
    for (input, answer) in [
        ("metadata missing", "{}"),
        ("token hook without metadata", r#"{"claims":{"exp":1, "a":1.50}}"#),
        ("MFA hook without metadata", r#"{"decision":"continue"}"#),
    ] {
        let body = body(input, "auth").unwrap();
        assert_eq!(super::text(receiver.supabase("auth", "msg_1", body)).await, (200, answer.to_owned()));
    }
    let body = body("SMS hook without metadata", "auth").unwrap();
    let (_, answer) = super::text(receiver.supabase("auth", "msg_1", body)).await;
    assert!(answer.contains("only observes"), "{answer}");
    assert!(receiver.pending().await.is_empty());
}

/// What came back.
struct Answer {
    status: u16,
    /// The end of the problem's type; `-` where it is none.
    kind: String,
}

async fn send(receiver: &TestReceiver, wire: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    // A server that has heard enough may close before everything is written.
    stream.write_all(wire).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let document =
        answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
    let kind = document.filter(|_| status >= 400).map_or("-".to_owned(), |document| {
        assert!(document["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{document}");
        document["type"].as_str().unwrap().replace("urn:memberflow:problem:", "")
    });
    Answer { status, kind }
}

/// A request, in the parts in which it can be bad.
struct Request {
    line: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// The request that the table calls `input`.
    fn named(input: &str, endpoint: &str) -> Self {
        let path = match endpoint {
            "stripe" => "/webhooks/stripe",
            "auth" | "database" => &format!("/webhooks/supabase/{endpoint}"),
            "twilio" => "/webhooks/twilio/messages",
            "twilio-status" => "/webhooks/twilio/status",
            "twilio-json" => &bad_texts::json_path(input),
            path => path,
        };
        let method = match input {
            "GET" | "HEAD" | "PUT" => input,
            _ if endpoint.starts_with("/api/members/") => "PATCH",
            _ if endpoint.starts_with("/api/") && input != "POST" => "GET",
            _ => "POST",
        };
        let good = GOOD.iter().find(|(name, _)| *name == endpoint).map_or("{}", |(_, body)| body);
        let body = match endpoint {
            of if of.starts_with("twilio") => bad_texts::body(input),
            _ => body(input, endpoint).unwrap_or_else(|| good.as_bytes().to_vec()),
        };
        let signature = match endpoint {
            "stripe" => stripe_headers(input, &body),
            path if path.starts_with("/api/") => bearer(input),
            of if of.starts_with("twilio") => bad_texts::headers(input, path, &body),
            _ => supabase_headers(input, &body),
        };
        let mut headers = vec![("host", b"x".to_vec()), ("connection", b"close".to_vec())];
        headers.extend(signature);
        let is_form =
            endpoint.starts_with("twilio") && endpoint != "twilio-json" && !input.starts_with("JSON");
        let kind = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        headers.push(("content-type", kind.as_bytes().to_vec()));
        headers.push(("content-length", body.len().to_string().into_bytes()));
        let mut request = Self { line: format!("{method} {path} HTTP/1.1"), headers, body };
        request.spoil(input);
        request
    }

    /// What is bad about the request around its body and signature.
    fn spoil(&mut self, input: &str) {
        let length = self.body.len();
        match input {
            "content-type text/plain" => self.set("content-type", "text/plain"),
            "no content-type" => self.headers.retain(|(name, _)| *name != "content-type"),
            "gzip" => self.headers.push(("content-encoding", b"gzip".to_vec())),
            "announced far over the limit" => self.set("content-length", "9999999999"),
            "content-length too short" => self.set("content-length", &(length - 1).to_string()),
            "two content-lengths" => self.headers.push(("content-length", b"1".to_vec())),
            "headers too large" => self.headers.push(("x-padding", vec![b'x'; 100_000])),
            "line that is not HTTP" => "HELO example.org".clone_into(&mut self.line),
            "over the limit, chunked" => {
                self.headers.retain(|(name, _)| *name != "content-length");
                self.headers.push(("transfer-encoding", b"chunked".to_vec()));
                let body = std::mem::take(&mut self.body);
                self.body = [format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            }
            _ => {}
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let header = self.headers.iter_mut().find(|(of, _)| *of == name).unwrap();
        header.1 = value.as_bytes().to_vec();
    }

    fn wire(&self) -> Vec<u8> {
        let mut wire = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            wire.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let mut wire = [wire.as_slice(), b"\r\n", &self.body].concat();
        if self.headers.iter().any(|(name, _)| *name == "x-padding") {
            // No more than makes the server give up: what it leaves unread would break the connection
            // before the answer is here.
            wire.truncate(HEADERS_MAX_BYTES);
        }
        wire
    }
}

/// When a request says that it was signed.
fn signed_at(input: &str) -> i64 {
    let offset_s = match input {
        "signature made 301 s ago" => -301,
        "signature made 301 s ahead" => 301,
        _ => 0,
    };
    NOW.unix_timestamp() + offset_s
}

/// What a timestamp that cannot be one is written as.
fn bad_timestamp(input: &str) -> Option<&'static str> {
    match input {
        "timestamp not digits" => Some("now"),
        "timestamp beyond all years" => Some("99999999999999999"),
        _ => None,
    }
}

fn bearer(input: &str) -> Headers {
    let header = match input {
        "no token" => return Vec::new(),
        "token without Bearer" => ADMIN_TOKEN.to_owned(),
        "wrong token" => "Bearer wrong".to_owned(),
        _ => format!("Bearer {ADMIN_TOKEN}"),
    };
    vec![("authorization", header.into_bytes())]
}

pub(super) type Headers = Vec<(&'static str, Vec<u8>)>;

fn stripe_headers(input: &str, body: &[u8]) -> Headers {
    let secrets =
        if input == "signature by an unknown secret" { "whsec_unknown_one" } else { STRIPE_SECRETS };
    let secrets = StripeSecrets::new(&split_stripe(secrets)).unwrap().unwrap();
    let signed: &[u8] = if input == "signature of another body" { b"{}" } else { body };
    let good = stripe::sign(&secrets, signed_at(input), signed);
    let (timestamp, macs) = good.split_once(',').unwrap();
    let decoy = "0".repeat(64);
    let signature = match input {
        "no signature header" | "unsigned empty body" => return Vec::new(),
        "signature header empty" => Vec::new(),
        "signature header not ASCII" => b"t=1,v1=\xff".to_vec(),
        "signature header nonsense" => b"nonsense".to_vec(),
        "signature of an unknown scheme" => good.replace("v1=", "v2=").into_bytes(),
        "good signature among decoys" => format!("{timestamp},v1={decoy},{macs},v0=x,v1=y").into_bytes(),
        _ => match bad_timestamp(input) {
            Some(text) => format!("t={text},{macs}").into_bytes(),
            None => good.into_bytes(),
        },
    };
    vec![(stripe::HEADER, signature)]
}

fn supabase_headers(input: &str, body: &[u8]) -> Headers {
    const UNKNOWN: &str = "v1,whsec_dW5rbm93biBrZXksIHVua25vd24ga2V5LCB1bmtub3c=";
    let secrets = if input == "signature by an unknown secret" { UNKNOWN } else { SUPABASE_SECRETS };
    let secrets = SupabaseSecrets::new(&split_supabase(secrets)).unwrap().unwrap();
    let id = match input {
        "good signature among decoys" => "good".to_owned(),
        "unmapped table" => "unmapped".to_owned(),
        "webhook-id of 300 bytes" => "x".repeat(300),
        _ => "msg_1".to_owned(),
    };
    let signed: &[u8] = if input == "signature of another body" { b"{}" } else { body };
    let good = standard_webhooks::sign(&secrets, &id, signed_at(input), signed);
    let signature = match input {
        "no signature header" | "unsigned empty body" => return Vec::new(),
        "signature header empty" => Vec::new(),
        "signature header not ASCII" => b"v1,\xff".to_vec(),
        "signature header nonsense" => b"nonsense".to_vec(),
        "signature of an unknown scheme" => good.signature.replace("v1,", "v2,").into_bytes(),
        "good signature among decoys" => format!("v1,AAAA, v2,x {} v1,", good.signature).into_bytes(),
        _ => good.signature.into_bytes(),
    };
    let timestamp = bad_timestamp(input).map_or(good.timestamp, str::to_owned);
    let mut headers = vec![
        (standard_webhooks::TIMESTAMP, timestamp.into_bytes()),
        (standard_webhooks::SIGNATURE, signature),
    ];
    if input != "webhook-id missing" {
        headers.push((standard_webhooks::ID, id.into_bytes()));
    }
    headers
}

/// The body of the request that the table calls `input`; nothing where the body is good.
fn body(input: &str, endpoint: &str) -> Option<Vec<u8>> {
    let bytes = match input {
        "empty body" | "unsigned empty body" | "GET" | "HEAD" => Vec::new(),
        "not JSON" => b"id=evt_1".to_vec(),
        "JSON cut off" => br#"{"id":"evt_1","type":"#.to_vec(),
        "two documents" => b"{}{}".to_vec(),
        "array" => b"[]".to_vec(),
        "null" => b"null".to_vec(),
        "byte order mark" => b"\xef\xbb\xbf{}".to_vec(),
        "not UTF-8" => b"{\"id\":\"\xff\"}".to_vec(),
        "over the limit" | "over the limit, chunked" => vec![b' '; LIMIT_BYTES + 1],
        _ => match endpoint {
            "stripe" => stripe_body(input)?.into_bytes(),
            "auth" => hook_body(input)?.to_owned().into_bytes(),
            "database" => row_body(input)?.into_bytes(),
            _ => return None,
        },
    };
    Some(bytes)
}

fn stripe_body(input: &str) -> Option<String> {
    let event =
        |id: &str, kind: &str, created: &str| format!(r#"{{"id":{id},"type":{kind},"created":{created}}}"#);
    let id = |id: &str| event(id, r#""t""#, "1");
    let created = |created: &str| event(r#""evt_1""#, r#""t""#, created);
    let data = |id: &str, data: &str| format!(r#"{{"id":"{id}","type":"t","created":1,"data":{data}}}"#);
    Some(match input {
        "id missing" => r#"{"type":"t","created":1}"#.to_owned(),
        "id null" => id("null"),
        "id empty" => id(r#""""#),
        "id a number" => id("7"),
        "id of 256 bytes" => id(&format!("\"{}\"", "x".repeat(256))),
        "id of 100,000 bytes" => id(&format!("\"{}\"", "x".repeat(100_000))),
        "id with NUL" => id(r#""evt_\u0000""#),
        "id with a lone surrogate" => id(r#""evt_\ud800""#),
        "id twice" => r#"{"id":"evt_1","id":"evt_2","type":"t","created":1}"#.to_owned(),
        "type missing" => r#"{"id":"evt_1","created":1}"#.to_owned(),
        "type an object" => event(r#""evt_1""#, "{}", "1"),
        "created missing" => r#"{"id":"evt_1","type":"t"}"#.to_owned(),
        "created in words" => created(r#""soon""#),
        "created 1e400" => created("1e400"),
        "created beyond all years" => created("9223372036854775807"),
        "created before 1970" => created("-1"),
        "unknown type" => event(r#""evt_unknown""#, r#""of.tomorrow""#, "1"),
        "data twice" => data("evt_twice", r#"{},"data":{}"#),
        "data with a lone surrogate" => data("evt_lone", r#""\ud800""#),
        "data with NUL" => data("evt_nul", r#""\u0000""#),
        "data with 1e400" => data("evt_huge", "1e400"),
        "data 90,000 deep" => data("evt_deep", &["[".repeat(90_000), "]".repeat(90_000)].concat()),
        _ => return None,
    })
}

fn hook_body(input: &str) -> Option<&'static str> {
    Some(match input {
        "hook of an unknown kind" => {
            r#"{"metadata":{"uuid":"uuid-new","time":"2025-11-26T11:59:59Z","name":"hook-of-tomorrow"}}"#
        }
        "metadata missing" => r#"{"user":{}}"#,
        "metadata an array" => r#"{"metadata":[]}"#,
        "metadata.uuid missing" => {
            r#"{"metadata":{"time":"2025-11-26T11:59:59Z","name":"after-user-created"}}"#
        }
        "metadata.time in words" => r#"{"metadata":{"uuid":"u","time":"soon","name":"after-user-created"}}"#,
        "token hook without metadata" => r#"{"user_id":"u","claims":{"exp":1, "a":1.50}}"#,
        "MFA hook without metadata" => r#"{"user_id":"u","factor_id":"f","valid":true}"#,
        "SMS hook" => r#"{"metadata":{"uuid":"u","time":"2025-11-26T11:59:59Z","name":"send-sms"},"sms":{}}"#,
        "SMS hook without metadata" => r#"{"user":{},"sms":{"otp":"561166"}}"#,
        "token hook without claims" => {
            r#"{"metadata":{"uuid":"u","time":"2025-11-26T11:59:59Z","name":"customize-access-token"}}"#
        }
        _ => return None,
    })
}

fn row_body(input: &str) -> Option<String> {
    Some(match input {
        "unmapped table" => {
            r#"{"type":"INSERT","schema":"public","table":"nobody_maps_it","record":{}}"#.to_owned()
        }
        "type missing" => r#"{"schema":"public","table":"t"}"#.to_owned(),
        "type TRUNCATE" => r#"{"type":"TRUNCATE","schema":"public","table":"t"}"#.to_owned(),
        "schema missing" => r#"{"type":"INSERT","table":"t"}"#.to_owned(),
        "table a number" => r#"{"type":"INSERT","schema":"public","table":7}"#.to_owned(),
        "table of 300 bytes" => {
            format!(r#"{{"type":"INSERT","schema":"public","table":"{}"}}"#, "x".repeat(300))
        }
        "auth row that is an array" => {
            r#"{"type":"INSERT","schema":"auth","table":"users","record":[]}"#.to_owned()
        }
        _ => return None,
    })
}
