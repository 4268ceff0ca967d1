//! Forged requests: what changes something must come from a page of our own.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site`, which no page can set. Those that leave it out (old ones,
//! and all of them over plain HTTP from another host) must send an `Origin` that is the address they called.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::console::html::error::PageError;

/// Refuses a request that would change something and comes from elsewhere.
pub(in crate::console) async fn require(request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe || is_of_our_own(request.headers()) {
        return next.run(request).await;
    }
    PageError::Forbidden(
        "This request did not come from a page of the console. Open the console over HTTPS, or at \
         http://localhost on the machine itself, and try again there.",
    )
    .into_response()
}

fn is_of_our_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some_and(|origin| !origin.is_empty() && text(HOST.as_str()) == Some(origin))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_page_of_the_same_origin_changes_anything() {
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://crm.example"),
                    ("host", "crm.example"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "https://crm.example"), ("host", "crm.example")], true),
            (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true),
            (&[("origin", "https://evil.example"), ("host", "crm.example")], false),
            (&[("origin", "https://crm.example.evil.example"), ("host", "crm.example")], false),
            (&[("origin", "null"), ("host", "crm.example")], false),
            (&[("host", "crm.example")], false),
            (&[], false),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_of_our_own(&map), expected, "{headers:?}");
        }
    }
}
