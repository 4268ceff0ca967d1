//! `ETag` and `If-Match`: two who change the same thing do not overwrite each other unseen.

use axum::Json;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};

use crate::ops::version::Expected;

/// The header as the API's description shows it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by `expected`")]
pub(super) struct MatchHeader {
    /// The ETag of what was read: the change is refused where somebody made another meanwhile
    #[param(rename = "If-Match")]
    versions: Option<String>,
}

/// An answer with the version of what people set in it.
pub(super) type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// `body` with its version.
pub(super) fn tagged<T>(version: &str, body: T) -> Tagged<T> {
    ([(ETAG, format!("\"{version}\""))], Json(body))
}

/// The versions that a change is meant for: without the header any.
pub(super) fn expected(headers: &HeaderMap) -> Expected {
    let header = headers.get(IF_MATCH).map(|value| value.to_str().unwrap_or_default());
    header.map_or(Expected::Any, Expected::of_header)
}
