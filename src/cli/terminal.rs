//! Sanitises output for a terminal. Bodies, names and reasons come from outside: they must not contain
//! control sequences or reorder text. All output of the command line goes through here.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context as _;

use super::Exit;

/// Control characters (C0, DEL, C1), bidirectional marks, and Unicode line separators.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// A value for one cell or line, with control characters replaced.
pub(in crate::cli) fn printable(value: &str) -> String {
    value.chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
}

/// Whole output: line ends and tabs are ours, other control characters are escaped as in JSON, so that JSON
/// keeps its meaning.
pub(in crate::cli) fn safe(text: &str) -> Cow<'_, str> {
    let is_unsafe = |character: char| steers(character) && !matches!(character, '\n' | '\t');
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            // All of them are in the first plane.
            write!(escaped, "\\u{:04x}", u32::from(character)).ok();
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Writes one line of data to stdout.
pub(in crate::cli) fn write_line(text: &str) -> io::Result<()> {
    io::stdout().write_all(format!("{}\n", safe(text)).as_bytes())
}

/// Writes data to stdout. A closed pipe is not a failure.
pub(in crate::cli) fn print_data(text: &str) -> anyhow::Result<Exit> {
    match io::stdout().write_all(safe(text).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(Exit::Fine),
    }
}

/// Prints an error to stderr.
pub(in crate::cli) fn complain(message: &str) {
    anstream::eprintln!("memberflow: {}", safe(message));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEERING: &str = "\u{1b}]0;x\u{7}\u{7f}\u{9b}31m\u{202e}gpj\u{2066}\u{200f}\u{61c}\u{2028}\r";

    #[test]
    fn escaped_json_keeps_its_meaning() {
        let body = json!({ STEERING: [STEERING, "Zoë 👩‍💻\n"] });
        for text in [serde_json::to_string(&body).unwrap(), serde_json::to_string_pretty(&body).unwrap()] {
            let safe = safe(&text);
            assert!(!safe.contains(|c: char| steers(c) && c != '\n'), "{safe:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), body);
        }
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "Zoë\t👩‍💻 שלום\n";
        assert!(matches!(safe(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn cell_has_no_control_characters() {
        let cell = printable(&format!("a\n{STEERING}b"));
        assert!(!cell.contains(steers), "{cell:?}");
        assert_eq!((cell.chars().next(), cell.chars().last()), (Some('a'), Some('b')));
    }
}
