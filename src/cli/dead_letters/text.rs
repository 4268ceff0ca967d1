//! Dead letters as text.

use crate::cli::moment::minutes;
use crate::cli::table::{plain, spaced};
use crate::cli::terminal::printable;
use crate::ops::dead_letters::{Acted, DeadLetter, ReasonCount};
use crate::ops::events::lines;

/// The characters of a reason in a table.
const REASON_MAX_CHARS: usize = 60;

pub(super) fn table(letters: &[DeadLetter]) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut table = plain(&["Id", "Given up", "Source", "Type", "Event", "Reason"]);
    for letter in letters {
        table.add_row([
            letter.id.to_string(),
            minutes(letter.dead_at),
            letter.source.clone(),
            printable(&letter.event_type),
            printable(&letter.event_id),
            printable(&letter.reason).chars().take(REASON_MAX_CHARS).collect(),
        ]);
    }
    spaced(table).trim_fmt()
}

pub(super) fn detail(letter: &DeadLetter, body: &[u8]) -> String {
    let mut table = plain(&[]);
    for (name, value) in [
        ("Id", letter.id.to_string()),
        ("Source", letter.source.clone()),
        ("Event", letter.event_id.clone()),
        ("Type", letter.event_type.clone()),
        ("Occurred", minutes(letter.occurred_at)),
        ("Received", minutes(letter.received_at)),
        ("Given up", minutes(letter.dead_at)),
        ("Reason", letter.reason.clone()),
    ] {
        table.add_row([name.to_owned(), printable(&value)]);
    }
    format!("{}\n\n{}", spaced(table).trim_fmt(), lines(body))
}

pub(super) fn counts(counts: &[ReasonCount], done: &str) -> String {
    let total: i64 = counts.iter().map(|count| count.letters).sum();
    let line = |ReasonCount { source, reason, letters }: &ReasonCount| {
        format!("{letters:>8}  {source}  {}", printable(reason))
    };
    let lines = counts.iter().map(line);
    lines.chain([format!("letters that would be {done}: {total}")]).collect::<Vec<_>>().join("\n")
}

pub(super) fn acted(acted: Acted, done: &str) -> String {
    let left = match acted.left {
        0 => String::new(),
        left => format!(
            "\nnot redriven, since they are internal events: {left}; `memberflow rebuild` applies them"
        ),
    };
    format!("letters {done}: {}{left}", acted.done)
}
