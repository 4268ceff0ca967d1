//! `/console/members.csv`: the whole list of the present filter, streamed a page at a time. An act, and audited as one.

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Console;
use super::html::page::PageError;
use super::members::Params;
use super::signing_in::session::Session;
use crate::ops::members::{self, ListError, MAX_LIMIT, Member, PageRequest};
use crate::store::audit::{self, Act};

const HEADER: &str = "user_id,full_name,email,phone,subscription_tier,subscription_status,mrr,ltv,total_spent,\
currency,engagement_status,health_status,last_login_at,vision_count,created_at\r\n";

/// Streams it. Amounts are minor units of `currency`.
pub(super) async fn download(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let mut request = params.request(MAX_LIMIT).map_err(PageError::Invalid)?;
    // Whatever page is shown, the file begins with the first.
    request.cursor = None;
    let first = page(&console, &mut request).await.map_err(refused)?;
    let act =
        Act { actor: &session.actor, act: "members export", arguments: params.audited(), outcome: json!({}) };
    audit::record(&mut *console.pool().acquire().await?, act, console.now()).await?;
    let (head, rest) = (format!("{HEADER}{first}"), Rest { console, request });
    let lines = stream::unfold((Some(head), rest), next);
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"members.csv\""),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// What is still to be read; its cursor is gone after the last page.
struct Rest {
    console: Console,
    request: PageRequest,
}

type Chunk = Result<Bytes, ListError>;

async fn next((ready, mut rest): (Option<String>, Rest)) -> Option<(Chunk, (Option<String>, Rest))> {
    if let Some(lines) = ready {
        return Some((Ok(lines.into()), (None, rest)));
    }
    rest.request.cursor.as_ref()?;
    let lines = page(&rest.console, &mut rest.request).await;
    if let Err(error) = &lines {
        // The reader sees a file that breaks off.
        tracing::warn!(%error, "export broken off");
        rest.request.cursor = None;
    }
    Some((lines.map(Bytes::from), (None, rest)))
}

/// The lines of the page that `request` asks for, which then asks for the next.
async fn page(console: &Console, request: &mut PageRequest) -> Result<String, ListError> {
    let page = members::list(console.pool(), request, console.now()).await?;
    request.cursor = page.next_cursor;
    Ok(page.members.iter().map(line).collect())
}

fn refused(error: ListError) -> PageError {
    match error {
        ListError::Database(error) => error.into(),
        error => PageError::Invalid(error.to_string()),
    }
}

fn line(member: &Member) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let moment = |it: Option<OffsetDateTime>| it.and_then(|it| it.format(&Rfc3339).ok()).unwrap_or_default();
    let cells = [
        member.user_id.to_string(),
        text(&member.full_name),
        text(&member.email),
        text(&member.phone),
        text(&member.subscription_tier),
        text(&member.subscription_status),
        member.mrr.to_string(),
        member.ltv.to_string(),
        member.total_spent.to_string(),
        text(&member.currency),
        text(&member.engagement_status),
        text(&member.health_status),
        moment(member.last_login_at),
        member.vision_count.to_string(),
        moment(member.created_at),
    ];
    format!("{}\r\n", cells.map(|cell| quoted(&cell)).join(","))
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
