//! `/console/settings`: what the doctor finds, each with what fixes it. For those who can do something about it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::html::error::PageError;
use super::html::format;
use super::html::page::{Frame, page};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::doctor::{Examined, Level};

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    frame: Frame,
    examined: Examined,
    failed: usize,
    warnings: usize,
}

/// What a level is called, and its class in CSS.
fn shown(level: &Level) -> (&'static str, &'static str) {
    match level {
        Level::Fine => ("in order", "good"),
        Level::Note => ("note", "quiet"),
        Level::Warning => ("warning", "warn"),
        Level::Failed => ("failed", "bad"),
        Level::Down => ("down", "bad"),
    }
}

/// Shows it.
pub(super) async fn show(State(console): State<Console>, session: Session) -> Result<Response, PageError> {
    session.require(ConsoleRole::Operator)?;
    let examined = console.0.doctor.examined(console.now()).await;
    let count = |levels: &[Level]| examined.findings.iter().filter(|it| levels.contains(&it.level)).count();
    let (failed, warnings) = (count(&[Level::Failed, Level::Down]), count(&[Level::Warning]));
    let frame = Frame::of(&session, "Settings", "Settings");
    Ok(page(&Settings { frame, examined, failed, warnings }))
}
