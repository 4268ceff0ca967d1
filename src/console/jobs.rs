//! `/console/jobs` and `/console/jobs/{job}`: long operations that run in the background, and what came of each.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use super::html::error::PageError;
use super::html::page::{Frame, page, page_with};
use super::html::query::{Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::jobs::{self, CancelError, Filter, Job, Operation};

/// Where the list is.
const HERE: &str = "/console/jobs";
/// Jobs on a page.
const LIMIT: u32 = 50;

/// The query string.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    cursor: String,
}

#[derive(Template)]
#[template(path = "jobs/list.html")]
struct Jobs {
    frame: Frame,
    jobs: Vec<Job>,
    pages: Pages,
    error: Option<String>,
}

/// What a state is shown as, in CSS.
fn class(state: &str) -> &'static str {
    match state {
        "done" => "good",
        "failed" => "bad",
        "running" => "warn",
        _ => "quiet",
    }
}

async fn read(console: &Console, params: &Params) -> Result<Rows<Job>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = jobs::list(console.pool(), &Filter::default(), cursor, LIMIT).await?;
    Ok(Rows { rows: page.jobs, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let address = |cursor: &str| query::address(HERE, [("cursor", cursor)]);
    let Listed { status, rows: jobs, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, address)?;
    let frame = Frame::of(&session, "Attention", "Jobs");
    Ok(page_with(status, &Jobs { frame, jobs, pages, error }))
}

#[derive(Template)]
#[template(path = "jobs/show.html")]
struct JobPage {
    frame: Frame,
    job: Job,
    /// The summary, each value with its name.
    result: Vec<(String, String)>,
}

impl JobPage {
    /// What is being done, and how much of it is done.
    fn progress(&self) -> String {
        let part = self.job.part.as_deref().unwrap_or("starting");
        match (self.job.done.unwrap_or_default(), self.total()) {
            (0, None) => part.to_owned(),
            (done, None) => format!("{part}, {done} so far"),
            (done, Some(total)) => format!("{part}, {done} of {total}"),
        }
    }

    /// Of the pieces, if somebody knows.
    fn total(&self) -> Option<i64> {
        self.job.total.filter(|total| *total > 0)
    }
}

/// Shows the job with this number.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&name)?;
    let job = jobs::show(console.pool(), id).await?.ok_or_else(|| unknown(&name))?;
    let result = job.result.as_ref().map(|result| lines(&result.0)).unwrap_or_default();
    let frame = Frame::of(&session, "Attention", format!("Job {}", job.id));
    Ok(page(&JobPage { frame, job, result }))
}

/// What is requested.
#[derive(Debug, Deserialize)]
pub(super) struct Requested {
    operation: String,
    is_fix: bool,
    object: Option<String>,
}

/// Requests it, and leads to the job; to the one there, if one of the operation waits or runs that does as much.
pub(super) async fn request(
    State(console): State<Console>,
    session: Session,
    fields: Result<Form<Requested>, FormRejection>,
) -> Result<Redirect, PageError> {
    session.require(ConsoleRole::Operator)?;
    let Form(Requested { operation, is_fix, object }) = fields?;
    let operation: Operation = operation.parse().map_err(PageError::Invalid)?;
    let (pool, now) = (console.pool(), console.now());
    let (job, _) = jobs::request(pool, operation, is_fix, object.as_deref(), &session.actor, now).await?;
    Ok(to(job.id))
}

/// Cancels the job, unless it has ended: its page shows how.
pub(super) async fn cancel(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Redirect, PageError> {
    session.require(ConsoleRole::Operator)?;
    let id = number(&name)?;
    match jobs::cancel(console.pool(), id, &session.actor, console.now()).await {
        Ok(_) | Err(CancelError::Ended { .. }) => Ok(to(id)),
        Err(CancelError::NotFound(_)) => Err(unknown(&name)),
        Err(CancelError::Database(error)) => Err(error.into()),
    }
}

fn to(id: i64) -> Redirect {
    Redirect::to(&format!("{HERE}/{id}"))
}

fn number(name: &str) -> Result<i64, PageError> {
    name.parse().map_err(|_| unknown(name))
}

fn unknown(name: &str) -> PageError {
    PageError::Unknown(format!("There is no job {name}."))
}

/// A summary line by line: those of a part are named after it. What was asked for stands elsewhere on the page.
fn lines(summary: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, value) in summary.as_object().into_iter().flatten() {
        let name = match name.as_str() {
            "fix" | "check" => continue,
            "took_s" => "seconds".to_owned(),
            // What summaries have always called it.
            name => name.replace("mended", "fixed").replace('_', " "),
        };
        match value {
            Value::Object(parts) => {
                lines.extend(parts.iter().map(|(part, value)| (format!("{name}: {part}"), text(value))));
            }
            Value::Array(values) if values.is_empty() => {}
            Value::Array(values) => {
                lines.push((name, values.iter().map(text).collect::<Vec<_>>().join(", ")));
            }
            value => lines.push((name, text(value))),
        }
    }
    lines
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summary_is_shown_line_by_line() {
        let summary = json!({
            "fix": true, "mended_members": 2, "took_s": 1.5, "objects": {"customer": 3}, "drifted": {},
            "skipped": ["auth.sessions", "storage.objects"], "notes": []
        });
        let mut shown: Vec<String> =
            lines(&summary).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "fixed members=2",
                "objects: customer=3",
                "seconds=1.5",
                "skipped=auth.sessions, storage.objects"
            ]
        );
    }
}
