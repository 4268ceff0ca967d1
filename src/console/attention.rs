//! `/console/attention`: what needs somebody: dead letters by cause, and what is parked by reason.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{Redirect, Response};
use serde::Deserialize;

use super::Console;
use super::html::format;
use super::html::page::{Frame, PageError, page};
use super::signing_in::session::{Role, Session};
use crate::ops::dead_letters::{self, Causes, Limits, MAX_COUNTED, Selection};
use crate::ops::parked::{self, Parked};

/// Where it is.
const HERE: &str = "/console/attention";
/// More letters than these are acted on only where their number was typed.
const UNCONFIRMED_MAX: i64 = 100;

#[derive(Template)]
#[template(path = "attention.html")]
struct Attention {
    frame: Frame,
    may_change: bool,
    dead: Causes,
    parked: Vec<Parked>,
}

impl Attention {
    fn needs_confirmation(&self, letters: &i64) -> bool {
        *letters > UNCONFIRMED_MAX
    }
}

/// Shows it.
pub(super) async fn show(State(console): State<Console>, session: Session) -> Result<Response, PageError> {
    let dead = dead_letters::causes(console.pool(), &Selection::default()).await?;
    let parked = parked::reasons(console.pool()).await?;
    let frame = Frame::of(&session, "Attention", "Needs attention");
    Ok(page(&Attention { frame, may_change: session.may_change(), dead, parked }))
}

/// Which letters, and what is done with them.
#[derive(Debug, Deserialize)]
pub(super) struct Act {
    source: String,
    event_type: String,
    reason: String,
    act: String,
    /// Their number, typed.
    #[serde(default)]
    confirm: String,
}

/// Redrives or drops the letters of one cause.
pub(super) async fn act(
    State(console): State<Console>,
    session: Session,
    fields: Result<Form<Act>, FormRejection>,
) -> Result<Redirect, PageError> {
    session.require(Role::Operator)?;
    let Form(Act { source, event_type, reason, act, confirm }) = fields?;
    let chosen = Selection {
        source: Some(source),
        event_type: Some(event_type),
        reason: Some(reason),
        ..Selection::default()
    };
    let (pool, clock, actor) = (console.pool(), &console.0.clock, session.actor.as_str());
    let letters = dead_letters::causes(pool, &chosen).await?.letters;
    if letters > UNCONFIRMED_MAX && confirm.trim() != letters.to_string() {
        return Err(PageError::Invalid(format!(
            "These are {letters} dead letters. Go back, type {letters} beside the button, and press it again."
        )));
    }
    let limits = Limits { most: Some(MAX_COUNTED), ..Limits::default() };
    match act.as_str() {
        "redrive" => dead_letters::redrive(pool, &chosen, limits, actor, clock).await?,
        "drop" => dead_letters::drop_all(pool, &chosen, limits, actor, clock).await?,
        other => return Err(PageError::Invalid(format!("act is redrive or drop; {other:?} is neither"))),
    };
    Ok(Redirect::to(HERE))
}
