//! Events as text.

use crate::cli::moment::minutes;
use crate::cli::table::{plain, spaced};
use crate::cli::terminal::printable;
use crate::ops::events::{Event, lines};
use crate::project::stripe::NotCounted;

pub(super) fn table(events: &[Event]) -> String {
    if events.is_empty() {
        return "no events".to_owned();
    }
    let mut table = plain(&["Since", "Source", "Type", "Event", "Subject"]);
    for event in events {
        table.add_row(cells(event));
    }
    spaced(table).trim_fmt()
}

/// One event on a line of its own, the columns as wide as most events need.
pub(super) fn line(event: &Event) -> String {
    let [at, source, kind, id, subject] = cells(event);
    format!("{at}  {source:<17}  {kind:<34}  {id:<30}  {subject}")
}

fn cells(event: &Event) -> [String; 5] {
    [
        event.at.map(minutes).unwrap_or_default(),
        event.source.clone(),
        printable(&event.event_type),
        printable(&event.event_id),
        subject(event),
    ]
}

fn subject(event: &Event) -> String {
    let subject = event.subject.as_deref().map_or_else(|| "-".to_owned(), printable);
    if event.not_counted.is_some() { subject + " (not counted)" } else { subject }
}

pub(super) fn details(found: &[(Event, Vec<u8>)]) -> String {
    found.iter().map(|(event, body)| detail(event, body)).collect::<Vec<_>>().join("\n\n")
}

fn detail(event: &Event, body: &[u8]) -> String {
    let body = if body.is_empty() { "its body was removed".to_owned() } else { lines(body) };
    format!("{}\n\n{body}", facts(event))
}

/// The facts of an event, one per line.
pub(super) fn facts(event: &Event) -> String {
    let state = match (event.state.as_str(), event.at) {
        ("failing", at) => format!("failing, tried again {}", at.map(minutes).unwrap_or_default()),
        ("waiting", _) => "waiting to be applied".to_owned(),
        (state, at) => format!("{state} {}", at.map(minutes).unwrap_or_default()),
    };
    let not_counted = event.not_counted.as_deref().map(explained);
    let mut table = plain(&[]);
    for (name, value) in [
        ("Source", event.source.clone()),
        ("Event", event.event_id.clone()),
        ("Type", event.event_type.clone()),
        ("Subject", event.subject.clone().unwrap_or_else(|| "-".to_owned())),
        ("Occurred", minutes(event.occurred_at)),
        ("Received", minutes(event.received_at)),
        ("State", state),
        ("Reason", event.reason.clone().unwrap_or_else(|| "-".to_owned())),
    ]
    .into_iter()
    .chain(not_counted.map(|why| ("Not counted", why)))
    {
        table.add_row([name.to_owned(), printable(&value)]);
    }
    spaced(table).trim_fmt()
}

/// Why an event does not count, and the setting that would change that.
fn explained(code: &str) -> String {
    NotCounted::of_code(code).map_or_else(
        || code.to_owned(),
        |reason| format!("it is of {reason}; to count it {}, then run memberflow rebuild", reason.setting()),
    )
}
