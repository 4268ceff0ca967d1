//! `/console/members.csv`, `/console/events.json` and the like: a whole list of the present filter, streamed a page at a
//! time. An act, and audited as one.
//!
//! JSON has the rows as the API has them; CSV has some of their fields, amounts in minor units.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};

use super::{List, Rows};
use crate::console::html::error::PageError;
use crate::console::session::Session;
use crate::console::state::Console;
use crate::store::audit as log;

/// The forms that a list can be had in.
pub(in crate::console) const FORMATS: [&str; 2] = ["csv", "json"];

/// Streams it.
pub(in crate::console) async fn download(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let (list, arguments) = List::at(&uri, console.now())?;
    session.require(list.least())?;
    let file = uri.path().rsplit('/').next().unwrap_or_default();
    let (name, format) = file.split_once('.').ok_or(PageError::NotFound)?;
    let is_json = format == "json";
    // Whatever page is shown, the file begins with the first; what is wrong with the filter is said before it begins.
    let first = list.page(&console, None).await?;
    let act = format!("{name} export");
    let act = log::Act { actor: &session.actor, act: &act, arguments, outcome: json!({"format": format}) };
    log::record(&mut *console.pool().acquire().await?, act, console.now()).await?;
    let content_type = if is_json { "application/json" } else { "text/csv; charset=utf-8" };
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
    ];
    let rest = Rest { console, list, is_json, next: Some(first), is_begun: false, has_rows: false };
    Ok((headers, Body::from_stream(stream::unfold(rest, next))).into_response())
}

/// What is still to be written: after the last page nothing.
struct Rest {
    console: Console,
    list: List,
    is_json: bool,
    next: Option<Rows>,
    is_begun: bool,
    has_rows: bool,
}

type Chunk = Result<Bytes, PageError>;

async fn next(mut rest: Rest) -> Option<(Chunk, Rest)> {
    let Rows { rows, next } = rest.next.take()?;
    let mut text = rest.write(&rows);
    let Some(cursor) = next else {
        text += if rest.is_json { "\n]\n" } else { "" };
        return Some((Ok(text.into()), rest));
    };
    match rest.list.page(&rest.console, Some(cursor)).await {
        Ok(rows) => {
            rest.next = Some(rows);
            Some((Ok(text.into()), rest))
        }
        Err(error) => {
            // The reader sees a file that breaks off.
            tracing::warn!(%error, "export broken off");
            Some((Err(error), rest))
        }
    }
}

impl Rest {
    fn write(&mut self, rows: &[Value]) -> String {
        let columns = self.list.columns();
        let mut text = match (self.is_begun, self.is_json) {
            (true, _) => String::new(),
            (false, true) => "[".to_owned(),
            (false, false) => columns.join(",") + "\r\n",
        };
        for (at, row) in rows.iter().enumerate() {
            if self.is_json {
                text += if self.has_rows || at > 0 { ",\n" } else { "\n" };
                text += &row.to_string();
            } else {
                let cells: Vec<String> = columns.iter().map(|column| quoted(&cell(&row[*column]))).collect();
                text += &(cells.join(",") + "\r\n");
            }
        }
        self.is_begun = true;
        // A page of events may hold none and be followed by others.
        self.has_rows |= !rows.is_empty();
        text
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A cell as RFC 4180 writes it. What a spreadsheet would take for a formula is text, and begins with a quote; numbers and
/// phone numbers stay what they are.
fn quoted(cell: &str) -> String {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b" ()-".contains(&byte));
    let is_formula = match cell.as_bytes().first() {
        Some(b'+' | b'-') => !is_number(&cell[1..]),
        Some(first) => b"=@\t\r".contains(first),
        None => false,
    };
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        for (cell, expected) in [
            ("Ada", "Ada"),
            ("Ada, \"Countess\"", r#""Ada, ""Countess""""#),
            ("=HYPERLINK(\"https://evil.example\")", r#""'=HYPERLINK(""https://evil.example"")""#),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+1 (555) 010-0001", "+1 (555) 010-0001"),
            ("-500", "-500"),
            ("-2+cmd|' /C calc'!A0", "'-2+cmd|' /C calc'!A0"),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(quoted(cell), expected);
        }
    }
}
