//! Tickets as text for a terminal.

use crate::cli::moment::minutes;
use crate::cli::table::{plain, spaced, text, word};
use crate::cli::terminal::printable;
use crate::ops::tickets::{Detail, Entry, Page, Ticket};

/// The characters of a subject in a table.
const SUBJECT_CHARS: usize = 40;

pub(super) fn table(page: &Page) -> String {
    if page.tickets.is_empty() {
        return "no tickets".to_owned();
    }
    let mut table = plain(&["Ticket", "Waits for", "Since", "Status", "Priority", "From", "Subject"]);
    for ticket in &page.tickets {
        let subject: String = ticket.subject.chars().take(SUBJECT_CHARS).collect();
        table.add_row([
            printable(&ticket.ticket_number),
            word(ticket.waiting_for.as_deref()),
            since(ticket),
            word(ticket.status.as_deref()),
            word(ticket.priority.as_deref()),
            text(ticket.email.as_deref()),
            printable(&subject),
        ]);
    }
    spaced(table).trim_fmt()
}

/// Since when it has been somebody's turn.
fn since(ticket: &Ticket) -> String {
    let since = ticket.waiting_since.or(ticket.last_staff_reply_at).filter(|_| ticket.waiting_for.is_some());
    since.map_or_else(|| "-".to_owned(), minutes)
}

pub(super) fn detail(detail: &Detail) -> String {
    let Detail { ticket, description, timeline } = detail;
    let mut facts = plain(&[]);
    for (name, value) in [
        ("Ticket", ticket.ticket_number.clone()),
        ("Ticket id", ticket.id.to_string()),
        ("From", ticket.email.clone().unwrap_or_else(|| "-".to_owned())),
        ("Subject", ticket.subject.clone()),
        ("Status", word(ticket.status.as_deref())),
        ("Priority", word(ticket.priority.as_deref())),
        ("Category", word(ticket.category.as_deref())),
        ("Assigned to", ticket.assigned_to.map_or_else(|| "nobody".to_owned(), |id| id.to_string())),
        ("Waits for", word(ticket.waiting_for.as_deref())),
        ("Since", since(ticket)),
        ("Made", ticket.created_at.map_or_else(|| "-".to_owned(), minutes)),
        ("First response", ticket.first_response_at.map_or_else(|| "-".to_owned(), minutes)),
        ("Resolved", ticket.resolved_at.map_or_else(|| "-".to_owned(), minutes)),
        ("Closed", ticket.closed_at.map_or_else(|| "-".to_owned(), minutes)),
        ("Reopened", ticket.reopened_count.to_string()),
    ] {
        facts.add_row([name.to_owned(), printable(&value)]);
    }
    let mut parts = vec![spaced(facts).trim_fmt(), lines(description)];
    parts.extend(timeline.iter().map(entry));
    parts.join("\n\n")
}

fn entry(entry: &Entry) -> String {
    let at = entry.at.map_or_else(|| "-".to_owned(), minutes);
    match (entry.kind.as_str(), entry.by.as_deref()) {
        ("status", _) => format!("{at}  status: {}", word(Some(&entry.text))),
        ("note", _) => format!("{at}  internal note\n{}", lines(&entry.text)),
        (kind, by) => format!("{at}  {} by {}\n{}", printable(kind), word(by), lines(&entry.text)),
    }
}

/// The lines of a text, without control characters.
fn lines(text: &str) -> String {
    text.lines().map(|line| format!("  {}", printable(line))).collect::<Vec<_>>().join("\n")
}
