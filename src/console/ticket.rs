//! `/console/tickets/{ticket}`: a ticket with everything that was said, and what staff do about it.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::html::error::PageError;
use super::html::format;
use super::html::page::{Frame, page};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::tickets::{self, Change, ChangeError, Detail, Entry, STATUSES};

#[derive(Template)]
#[template(path = "tickets/show.html")]
struct TicketPage {
    frame: Frame,
    detail: Detail,
}

impl TicketPage {
    const STATUSES: [&'static str; 5] = STATUSES;

    /// What an entry is called.
    fn title(&self, entry: &Entry) -> &'static str {
        match (entry.kind.as_str(), entry.by.as_deref()) {
            ("note", _) => "Internal note",
            ("status", _) => "Status",
            ("sms", Some("staff")) => "Text message of staff",
            ("sms", _) => "Text message of the member",
            (_, Some("staff")) => "Reply of staff",
            _ => "Reply of the member",
        }
    }
}

/// Shows the ticket of this id or number.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let detail = tickets::show(console.pool(), &name).await?.ok_or_else(|| unknown(&name))?;
    let frame = Frame::of(&session, "Tickets", format!("Ticket {}", detail.ticket.ticket_number));
    Ok(page(&TicketPage { frame, detail }))
}

/// What is said.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    message: String,
    /// There where the box is ticked.
    is_internal: Option<String>,
}

/// Says it.
pub(super) async fn reply(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
    fields: Result<Form<Reply>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(Reply { message, is_internal }) = fields?;
    let message = message.replace("\r\n", "\n");
    let reply = Change::Reply { message, is_internal: is_internal.is_some(), user_id: None };
    change(&console, &session, &name, reply).await
}

/// Whose it is from now on.
#[derive(Debug, Deserialize)]
pub(super) struct Assignment {
    assigned_to: String,
}

/// Gives it to a colleague, or to nobody.
pub(super) async fn assign(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
    fields: Result<Form<Assignment>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(Assignment { assigned_to }) = fields?;
    let user = match assigned_to.trim() {
        "" => None,
        text => Some(Uuid::parse_str(text).map_err(|_| {
            PageError::Invalid(format!(
                "A colleague is named by the user id of an account; {text:?} is none."
            ))
        })?),
    };
    change(&console, &session, &name, Change::Assign(user)).await
}

/// The status from now on.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    status: String,
}

/// Sets it.
pub(super) async fn set_status(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
    fields: Result<Form<Status>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(Status { status }) = fields?;
    change(&console, &session, &name, Change::Status(status)).await
}

async fn change(
    console: &Console,
    session: &Session,
    name: &str,
    change: Change,
) -> Result<Redirect, PageError> {
    session.require(ConsoleRole::Operator)?;
    let changed = tickets::change(console.pool(), name, &[change], &session.actor, console.now()).await;
    match changed {
        Ok(id) => Ok(Redirect::to(&format!("/console/tickets/{id}"))),
        Err(stale @ ChangeError::Stale) => Err(PageError::Invalid(stale.to_string())),
        Err(ChangeError::Invalid(detail)) => Err(PageError::Invalid(detail)),
        Err(ChangeError::NotFound(name)) => Err(unknown(&name)),
        Err(ChangeError::Database(error)) => Err(error.into()),
    }
}

fn unknown(name: &str) -> PageError {
    PageError::Unknown(format!("There is no ticket {name}."))
}
