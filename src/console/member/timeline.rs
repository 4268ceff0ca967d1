//! What happened with a member, as the page says it.

use time::OffsetDateTime;

use crate::console::html::format;
use crate::ops::members::{Entry, TIMELINE_KINDS};

/// One kind of entries, or all, and where it is shown.
pub(super) struct Tab {
    pub name: &'static str,
    pub href: String,
    pub is_shown: bool,
}

/// All entries, then each kind; `shown` is the kind that is shown.
pub(super) fn tabs(href: impl Fn(&str) -> String, shown: &str) -> Vec<Tab> {
    let tab = |kind: &str, name| Tab { name, href: href(kind), is_shown: kind == shown };
    let kinds = TIMELINE_KINDS.into_iter().map(|kind| tab(kind, name(kind)));
    [tab("", "All")].into_iter().chain(kinds).collect()
}

fn name(kind: &str) -> &'static str {
    match kind {
        "payment" => "Payments",
        "plan" => "Plan changes",
        "login" => "Logins",
        "file" => "Files",
        "vision" => "Visions",
        "row" => "Other rows",
        "ticket" => "Tickets",
        "text" => "Text messages",
        _ => "Operators' acts",
    }
}

/// An entry.
pub(super) struct Happening {
    pub at: OffsetDateTime,
    pub title: String,
    /// What was said.
    pub said: String,
    pub ticket: Option<String>,
    /// In CSS.
    pub class: &'static str,
    /// What names it among all entries.
    pub name: String,
    /// The source and the id of the event that made it.
    pub event: Option<(String, String)>,
    /// The object whose events are about it.
    pub object: Option<String>,
}

impl Happening {
    pub(super) fn of(entry: Entry) -> Self {
        let title = title(&entry);
        let is_note = entry.kind == "ticket" && entry.what == "note";
        Self {
            at: entry.at,
            title,
            said: entry.text.unwrap_or_default(),
            ticket: entry.ticket_number,
            class: if is_note { "note" } else { "" },
            name: format!("{}/{}", entry.kind, entry.id),
            event: entry.event_source.zip(entry.event_id),
            object: entry.object,
        }
    }
}

fn title(entry: &Entry) -> String {
    let what = &entry.what;
    let of = |amount: Option<i64>| format::money(amount.unwrap_or_default(), &entry.currency);
    let by = match entry.by.as_deref() {
        Some("staff") => " of staff",
        Some(_) => " of the member",
        None => "",
    };
    match (entry.kind.as_str(), what.as_str()) {
        ("payment", _) => {
            let mut title = format!("Payment {what}: {}", of(entry.amount));
            for (what, amount) in [("refunded", entry.amount_refunded), ("disputed", entry.amount_disputed)] {
                if amount.is_some_and(|amount| amount != 0) {
                    title += &format!(", {what} {}", of(amount));
                }
            }
            title
        }
        ("plan", _) => format!("MRR {what}: {} → {}", of(entry.mrr_before), of(entry.mrr_after)),
        ("login", "session") => "Login".to_owned(),
        ("login", _) => format!("Login, by the {what}"),
        ("file", _) => "File".to_owned(),
        ("vision", _) => "Vision".to_owned(),
        ("row", _) => format!("Row of {what}"),
        ("ticket", "note") => "Internal note".to_owned(),
        ("ticket", "status") => "Ticket's status".to_owned(),
        ("ticket", "reply") => format!("Reply{by}"),
        ("ticket", _) => format!("Ticket{by}"),
        ("text", _) => format!("Text message{by}"),
        _ => format!("{what}, by {}", entry.by.as_deref().unwrap_or_default()),
    }
}
