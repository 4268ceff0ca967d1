//! Error responses: `application/problem+json` (RFC 9457), whose detail says what to do.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::problem_docs;
use crate::envelope::Malformed;
use crate::verify::SignatureError;

const NOT_DURABLE: &str = "not-durable";
/// `Retry-After` of 429 and 503, in seconds.
const RETRY_AFTER_S: u16 = 5;

/// The machine-readable name of every problem, except those about event fields: `<field>-missing` and
/// `<field>-invalid`. Each is explained in `docs/problems.md`.
pub const KINDS: [&str; 46] = [
    "api-off",
    "bad-request",
    "body-broken-off",
    "body-not-an-object",
    "body-not-json",
    "body-not-utf8",
    "body-too-large",
    "body-too-slow",
    "campaign-not-found",
    "content-encoding-unsupported",
    "content-type-not-a-form",
    "content-type-not-json",
    "database-away",
    "dependency-down",
    "dependency-unchecked",
    "event-not-found",
    "idempotency-key-in-use",
    "idempotency-key-reused",
    "internal",
    "job-ended",
    "job-not-found",
    "job-of-another-object",
    "job-only-compares",
    "member-not-found",
    "method-not-allowed",
    "not-durable",
    "not-found",
    "overloaded",
    "precondition-failed",
    "rate-limited",
    "scope-missing",
    "signature-absent",
    "signature-header-malformed",
    "signature-header-missing",
    "signature-mismatch",
    "signature-of-another-body",
    "signature-timestamp-invalid",
    "signature-too-new",
    "signature-too-old",
    "signature-without-body",
    "source-not-configured",
    "stopping",
    "ticket-not-found",
    "token-malformed",
    "token-missing",
    "token-wrong",
];

fn is_known(kind: &str) -> bool {
    KINDS.contains(&kind) || kind.ends_with("-missing") || kind.ends_with("-invalid")
}

/// The stable `type` of a problem of this kind.
#[must_use]
pub fn type_of(kind: &str) -> String {
    format!("urn:memberflow:problem:{kind}")
}

/// An error response.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: Cow<'static, str>,
    title: &'static str,
    detail: String,
    extra: Map<String, Value>,
}

impl Problem {
    /// A problem whose `type` ends in `kind`.
    pub fn new(
        status: StatusCode,
        kind: impl Into<Cow<'static, str>>,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let kind = kind.into();
        debug_assert!(is_known(&kind), "{kind} is not among KINDS");
        Self { status, kind, title, detail: detail.into(), extra: Map::new() }
    }

    /// Adds an extension member to the document.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// The machine-readable name.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The `detail` of the document.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the sender must change the request (4xx); otherwise it is ours to fix.
    pub(crate) fn is_client_error(&self) -> bool {
        self.status.is_client_error()
    }

    /// Whether this is [`Problem::not_durable`].
    pub(crate) fn is_not_durable(&self) -> bool {
        self.kind == NOT_DURABLE
    }

    pub(crate) fn not_configured(variable: &str) -> Self {
        let detail = format!(
            "no signing secret is configured for this source, and nothing unsigned is ever taken: set {variable} and start memberflow again"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "source-not-configured", "Source not configured", detail)
    }

    pub(crate) fn not_durable() -> Self {
        let detail = "the event was not made durable in time: send it again; if it was stored after all, the repeat changes nothing";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, NOT_DURABLE, "Event not durable", detail)
    }

    pub(crate) fn overloaded() -> Self {
        let detail = "as many requests as allowed are under way for this source: send it again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "Too many requests under way", detail)
    }

    /// 500. The caller learns nothing about the cause.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "see the log of the service; `memberflow doctor` finds what is missing";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something is wrong on our side", detail)
    }

    pub(crate) fn not_found(path: &str) -> Self {
        let detail = format!(
            "there is nothing at {path}: webhooks go to /webhooks/stripe, /webhooks/supabase/auth, /webhooks/supabase/database, /webhooks/twilio/messages or /webhooks/twilio/status"
        );
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    pub(crate) fn method_not_allowed(method: &Method) -> Self {
        let detail = format!("{method} is not for this address: the header Allow names what is");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("the body is longer than the {limit_bytes} bytes taken here: send less at once");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
    }

    pub(crate) fn not_json() -> Self {
        let detail = "send the body as it was signed, with content-type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type-not-json", "Not JSON", detail)
    }

    pub(crate) fn not_a_form() -> Self {
        let detail = "send application/x-www-form-urlencoded as Twilio does, or application/json with its SHA-256 as bodySHA256 in the address";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type-not-a-form", "Not a form", detail)
    }

    pub(crate) fn encoded() -> Self {
        let detail = "send the body as it was signed, without a content-encoding";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding-unsupported", "Encoded body", detail)
    }

    pub(crate) fn too_slow() -> Self {
        let detail = "the body did not arrive in time: send it again";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "Body too slow", detail)
    }

    pub(crate) fn broken_off() -> Self {
        let detail = "the body ended before its announced end: send it again";
        Self::new(StatusCode::BAD_REQUEST, "body-broken-off", "Body incomplete", detail)
    }
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.kind(), "Signature not accepted", error.to_string())
    }
}

impl From<Malformed> for Problem {
    fn from(error: Malformed) -> Self {
        let detail = format!("{error}: send the event as the provider makes it");
        Self::new(StatusCode::BAD_REQUEST, error.kind(), "Not an event", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = self.extra;
        document.insert("type".to_owned(), json!(type_of(&self.kind)));
        document.insert("title".to_owned(), json!(self.title));
        document.insert("status".to_owned(), json!(self.status.as_u16()));
        document.insert("detail".to_owned(), json!(self.detail));
        document.insert("help".to_owned(), json!(problem_docs::address(&self.kind)));
        let mut response = (self.status, Value::Object(document).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}
