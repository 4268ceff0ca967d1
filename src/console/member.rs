//! `/console/members/{user_id}`: one member with everything that is known.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use time::OffsetDateTime;
use uuid::Uuid;

use super::html::error::PageError;
use super::html::format;
use super::html::page::{Frame, page};
use super::signing_in::session::Session;
use super::state::Console;
use crate::ops::ledger::{self, About, Explained, Movement};
use crate::ops::members::{self, Contact, Detail, ENGAGEMENT_STATUSES, HEALTH_STATUSES, Payment};

/// Something that happened with a member.
struct Entry {
    at: Option<OffsetDateTime>,
    /// What it is.
    title: String,
    /// What was said.
    said: String,
    /// The ticket that it belongs to.
    ticket: Option<String>,
    /// What it counts for, in CSS.
    class: &'static str,
}

#[derive(Template)]
#[template(path = "member.html")]
struct MemberPage {
    frame: Frame,
    may_change: bool,
    detail: Detail,
    explained: Option<Explained>,
    timeline: Vec<Entry>,
    tags: String,
    notes: String,
}

impl MemberPage {
    const ENGAGEMENT: [&'static str; 4] = ENGAGEMENT_STATUSES;
    const HEALTH: [&'static str; 3] = HEALTH_STATUSES;

    /// What people set, or "automatic".
    fn set_by_hand<'a>(&self, value: &'a Option<String>, is_manual: &bool) -> &'a str {
        if *is_manual { value.as_deref().unwrap_or_default() } else { "" }
    }
}

/// Shows the member.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    user_id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, PageError> {
    let Path(user_id) = user_id?;
    let (pool, now) = (console.pool(), console.now());
    let country = &console.0.store.rules().texting.country_code;
    let detail = members::show(pool, user_id, country, now).await?.ok_or_else(|| unknown(user_id))?;
    let explained = ledger::explain(pool, &About::User(user_id), now).await?;
    let timeline = timeline(&detail, explained.as_ref());
    let name = detail.member.full_name.clone().or_else(|| detail.member.email.clone());
    let frame = Frame::of(&session, "Members", name.unwrap_or_else(|| user_id.to_string()));
    let tags = detail.member.custom_tags.join("\n");
    let notes = detail.more.admin_notes.clone().unwrap_or_default();
    let may_change = session.may_change();
    Ok(page(&MemberPage { frame, may_change, detail, explained, timeline, tags, notes }))
}

/// There is no such member.
pub(super) fn unknown(user_id: Uuid) -> PageError {
    PageError::Unknown(format!("There is no account {user_id}, or it was deleted."))
}

/// Payments, movements of the MRR, tickets and texts in one order, the newest first.
fn timeline(detail: &Detail, explained: Option<&Explained>) -> Vec<Entry> {
    let movements = explained.into_iter().flat_map(|explained| &explained.movements);
    let mut entries: Vec<Entry> = detail.timeline.iter().map(of_contact).collect();
    entries.extend(detail.payments.iter().map(of_payment));
    entries.extend(movements.map(of_movement));
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries
}

fn of_contact(contact: &Contact) -> Entry {
    let by = match contact.by.as_deref() {
        Some("staff") => " of staff",
        Some(_) => " of the member",
        None => "",
    };
    let (title, class) = match contact.kind.as_str() {
        "ticket" => (format!("Ticket{by}"), ""),
        "reply" => (format!("Reply{by}"), ""),
        "note" => ("Internal note".to_owned(), "note"),
        "status" => ("Ticket's status".to_owned(), ""),
        "sms" => (format!("Text message{by}"), ""),
        other => (other.to_owned(), ""),
    };
    Entry { at: contact.at, title, said: contact.text.clone(), ticket: contact.ticket_number.clone(), class }
}

fn of_payment(payment: &Payment) -> Entry {
    let amount = format::money(payment.amount, &payment.currency);
    let mut title = format!("Payment {}: {amount}", payment.status);
    for (what, amount) in [("refunded", payment.amount_refunded), ("disputed", payment.amount_disputed)] {
        if amount != 0 {
            title += &format!(", {what} {}", format::money(amount, &payment.currency));
        }
    }
    let at = payment.paid_at.or(payment.created_at);
    Entry { at, title, said: String::new(), ticket: None, class: "" }
}

fn of_movement(movement: &Movement) -> Entry {
    let amount = |amount: i64| format::money(amount, &movement.currency);
    let Movement { kind, mrr_before, mrr_after, .. } = movement;
    let title = format!("MRR {kind}: {} → {}", amount(*mrr_before), amount(*mrr_after));
    Entry { at: Some(movement.effective_at), title, said: String::new(), ticket: None, class: "" }
}
