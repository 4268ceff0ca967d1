//! `/problems`: what each problem means and what to do about it, for everybody. Every problem's `help` leads here.

use std::sync::LazyLock;

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

/// A row of the table.
struct Row {
    /// A kind, or `<field>-` and how fields end.
    name: &'static str,
    status: &'static str,
    when: &'static str,
    what_to_do: &'static str,
}

/// The rows of the table, in its order.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
        let [name, status, when, what_to_do] = cells.collect::<Vec<_>>().try_into().ok()?;
        Some(Row { name: name.trim_end_matches('`'), status, when, what_to_do })
    };
    PAGE.lines().filter_map(row).collect()
});

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
    let field = kind.rsplit_once('-').map(|(_, end)| format!("<field>-{end}"));
    let is_of_kind = |row: &&Row| row.name == kind || field.as_deref() == Some(row.name);
    let Row { status, when, what_to_do, .. } = ROWS.iter().find(is_of_kind)?;
    Some(format!("{kind} ({status})\n\nWhen: {when}\nWhat to do: {what_to_do}\n\nAll problems: /problems\n"))
}

#[cfg(test)]
mod tests {
    use super::super::problem::KINDS;
    use super::*;

    #[test]
    fn every_problem_kind_is_documented_in_order() {
        let (fields, kinds): (Vec<&str>, Vec<&str>) =
            ROWS.iter().map(|row| row.name).partition(|name| name.contains('<'));
        assert_eq!(kinds, KINDS);
        assert_eq!(fields, ["<field>-missing", "<field>-invalid"]);
        assert_eq!(ROWS.len(), PAGE.lines().filter(|line| line.starts_with("| `")).count());
        for Row { name, status, when, what_to_do } in ROWS.iter() {
            assert!(status.parse::<u16>().is_ok_and(|status| (400..600).contains(&status)), "{name}");
            assert!(!when.is_empty() && !what_to_do.is_empty(), "{name}");
        }
    }

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
