//! Applying events again: first the rows that it would change, before and after, then the change.

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use super::chosen::Chosen;
use super::show;
use crate::console::html::confirm;
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::rebuild::{BoundedError, Replayed, Report, replay_within};
use crate::store::rebuild::RowDifference;

#[derive(Template)]
#[template(path = "replay.html")]
struct Replay {
    frame: Frame,
    choice: Chosen,
    report: Report,
    rows: i64,
    differences: Vec<RowDifference>,
    back: String,
}

impl Replay {
    fn is_confirmed_by_number(&self) -> bool {
        confirm::is_needed(self.rows)
    }

    /// The columns of a row that differ, each with its value before and after.
    fn fields(&self, difference: &RowDifference) -> Vec<(String, String, String)> {
        show::fields(difference.before.as_ref(), difference.after.as_ref())
    }

    /// What the row is found by.
    fn key(&self, difference: &RowDifference) -> String {
        let part = |(column, value): (&String, &Value)| format!("{column}={}", show::shown(value));
        difference.key.iter().map(part).collect::<Vec<_>>().join(" ")
    }
}

/// Shows what applying the chosen events again would change, or changes it.
pub(super) async fn of(console: &Console, session: &Session, choice: Chosen) -> Result<Response, PageError> {
    let selection = choice.replayed(console.pool(), console.now()).await?;
    let (store, actor) = (&console.0.store, session.actor.as_str());
    let mut replayed = replay_within(store, &selection, true, actor).await?;
    if choice.is_sure {
        // What was typed is how many rows differed, and those may be others by now.
        confirm::check(replayed.report.differing_rows(), "rows", &choice.confirm)?;
        replayed = replay_within(store, &selection, false, actor).await?;
    }
    let Replayed { report, differences } = replayed;
    let (rows, back) = (report.differing_rows(), choice.selection.params.address(""));
    let title = if choice.is_sure { "Applied again" } else { "What applying again would change" };
    let frame = Frame::of(session, "Events", title);
    Ok(page(&Replay { frame, choice, report, rows, differences, back }))
}

impl From<BoundedError> for PageError {
    fn from(error: BoundedError) -> Self {
        match error {
            BoundedError::Database(error) => error.into(),
            error => Self::Invalid(format!("This cannot be done: {error}.")),
        }
    }
}
