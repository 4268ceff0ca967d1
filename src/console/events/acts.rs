//! `POST /console/events/acts`: redrives, drops or applies again those that were selected, or all that match. First it shows
//! what that would do.

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;

use super::chosen::Chosen;
use super::replay;
use crate::config::console_roles::ConsoleRole;
use crate::console::html::confirm;
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page};
use crate::console::html::selection::Selection;
use crate::console::session::Session;
use crate::console::state::Console;
use crate::ops::dead_letters::{self, Acted, Cause, Limits};

/// What an act on dead letters would do.
#[derive(Template)]
#[template(path = "letters_preview.html")]
struct Preview {
    frame: Frame,
    choice: Chosen,
    letters: i64,
    is_capped: bool,
    /// Events that were selected and are no dead letters.
    others: i64,
    causes: Vec<Cause>,
}

impl Preview {
    fn is_confirmed_by_number(&self) -> bool {
        confirm::is_needed(self.letters)
    }
}

/// What it did.
#[derive(Template)]
#[template(path = "letters_done.html")]
struct Done {
    frame: Frame,
    choice: Chosen,
    acted: Acted,
    back: String,
}

/// Shows what would be done, or does it.
pub(in crate::console) async fn act(
    State(console): State<Console>,
    session: Session,
    body: Bytes,
) -> Result<Response, PageError> {
    session.require(ConsoleRole::Operator)?;
    let choice = Chosen::parse(&body)?;
    match choice.act.as_str() {
        "replay" => replay::of(&console, &session, choice).await,
        "redrive" | "drop" => of_letters(&console, &session, choice).await,
        other => {
            Err(PageError::Invalid(format!("act is redrive, drop or replay; {other:?} is none of them")))
        }
    }
}

/// Shows what applying these events again would change, by their sources and ids.
pub(in crate::console) async fn apply_again(
    console: &Console,
    session: &Session,
    events: Vec<String>,
) -> Result<Response, PageError> {
    let selection = Selection { rows: events, ..Selection::default() };
    replay::of(console, session, Chosen { act: "replay".to_owned(), selection, ..Chosen::default() }).await
}

async fn of_letters(console: &Console, session: &Session, choice: Chosen) -> Result<Response, PageError> {
    let selection = letters(console, &choice).await?;
    let pool = console.pool();
    let nothing = !choice.selection.is_all && selection.ids.is_empty();
    if nothing {
        let detail = "None of the selected events is a dead letter: only those are redriven or dropped.";
        return Err(PageError::Invalid(detail.to_owned()));
    }
    let counted = dead_letters::causes(pool, &selection).await?;
    if choice.is_sure {
        confirm::check(counted.letters, "dead letters", &choice.confirm)?;
        let acted = make(console, session, &choice, &selection).await?;
        let (frame, back) = (Frame::of(session, "Events", "Done"), choice.selection.params.address(""));
        return Ok(page(&Done { frame, choice, acted, back }));
    }
    let chosen = i64::try_from(choice.selection.rows.len()).unwrap_or(i64::MAX);
    let others = if choice.selection.is_all { 0 } else { (chosen - counted.letters).max(0) };
    let frame = Frame::of(session, "Events", "What this would do");
    let (letters, is_capped, causes) = (counted.letters, counted.is_capped, counted.causes);
    Ok(page(&Preview { frame, choice, letters, is_capped, others, causes }))
}

/// The letters that are meant.
async fn letters(console: &Console, choice: &Chosen) -> Result<dead_letters::Selection, PageError> {
    if choice.selection.is_all {
        return choice.matching_letters(console.now());
    }
    let (sources, ids) = choice.names();
    let ids = dead_letters::named(console.pool(), &sources, &ids).await?;
    Ok(dead_letters::Selection { ids, ..dead_letters::Selection::default() })
}

async fn make(
    console: &Console,
    session: &Session,
    choice: &Chosen,
    selection: &dead_letters::Selection,
) -> Result<Acted, sqlx::Error> {
    let limits = Limits::ONE_REQUEST;
    let (pool, clock, actor) = (console.pool(), &console.0.clock, session.actor.as_str());
    match choice.act.as_str() {
        "redrive" => dead_letters::redrive(pool, selection, limits, actor, clock).await,
        _ => dead_letters::drop_all(pool, selection, limits, actor, clock).await,
    }
}
