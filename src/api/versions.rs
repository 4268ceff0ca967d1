//! `ETag` and `If-Match`: two who change the same thing do not overwrite each other unseen.

use axum::Json;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};

use crate::ops::version::Expected;

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
