//! `/problems`: what each problem means and what to do about it, for everybody. Every problem's `help` leads here.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem::Problem;

/// The page with the table of all problems.
const PAGE: &str = include_str!("../../docs/problems.md");
/// For texts that change with the version alone.
const HEADERS: [(axum::http::HeaderName, &str); 2] =
    [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];

/// Where a problem of this kind is explained.
pub(super) fn address(kind: &str) -> String {
    format!("/problems/{kind}")
}

/// Serves the page and each of its rows.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/problems", get(async || (HEADERS, PAGE).into_response()))
        .route("/problems/{kind}", get(show))
}

async fn show(Path(kind): Path<String>) -> Response {
    match explain(&kind) {
        Some(text) => (HEADERS, text).into_response(),
        None => Problem::not_found(&address(&kind)).into_response(),
    }
}

/// The row of this kind, as text.
fn explain(kind: &str) -> Option<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let mut rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let field = kind.rsplit_once('-').map(|(_, end)| format!("<field>-{end}"));
    let cells = rows.find(|cells| {
        let name = cells[0].trim_end_matches('`');
        name == kind || field.as_deref() == Some(name)
    })?;
    let [_, status, when, what] = cells[..] else { return None };
    Some(format!("{kind} ({status})\n\nWhen: {when}\nWhat to do: {what}\n\nAll problems: /problems\n"))
}

#[cfg(test)]
mod tests {
    use super::super::problem::KINDS;
    use super::*;

    #[test]
    fn every_kind_is_explained() {
        for kind in KINDS.into_iter().chain(["created-missing", "event_id-invalid"]) {
            let text = explain(kind).unwrap_or_default();
            assert!(
                text.starts_with(&format!("{kind} (")) && text.contains("What to do: "),
                "{kind}: {text}"
            );
        }
        assert_eq!(explain("nonsense"), None);
        assert_eq!(explain("<field>"), None);
    }
}
