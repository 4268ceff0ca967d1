//! What a comparison found: each thing as it is found, a line of JSON or some lines of text, then the summary.

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::terminal::{print_data, write_line};

/// The longest value of a column or field that is shown whole as text.
const VALUE_MAX_CHARS: usize = 60;

/// What is shown of it.
#[derive(Debug)]
pub(in crate::cli) struct Findings {
    json: bool,
    limit: u64,
    shown: u64,
}

impl Findings {
    /// All as JSON, or the first `limit` as text.
    pub(in crate::cli) const fn new(json: bool, limit: u64) -> Self {
        Self { json, limit, shown: 0 }
    }

    /// Shows one, as text the way `lines` puts it. Whether more are wanted: not above the limit, nor by a reader that has
    /// seen enough, which is no failure.
    pub(in crate::cli) fn show<T: Serialize>(&mut self, found: &T, lines: impl FnOnce(&T) -> String) -> bool {
        if !self.json && self.shown >= self.limit {
            return false;
        }
        self.shown += 1;
        let text = if self.json { serde_json::to_string(found).ok() } else { Some(lines(found)) };
        text.is_some_and(|text| write_line(&text).is_ok()) && (self.json || self.shown < self.limit)
    }

    /// Ends with the summary. `total`: how many were found.
    ///
    /// # Errors
    /// Stdout cannot be written to.
    pub(in crate::cli) fn end<R: Serialize>(
        &self,
        report: &R,
        total: u64,
        summary: impl FnOnce(&R) -> String,
    ) -> anyhow::Result<()> {
        let text = if self.json {
            serde_json::to_string(&json!({"summary": report}))?
        } else {
            self.hidden(total) + &summary(report)
        };
        print_data(&(text + "\n")).map(drop)
    }

    fn hidden(&self, total: u64) -> String {
        match total.saturating_sub(self.shown) {
            0 => String::new(),
            hidden => format!("… and {hidden} more; --json shows them all\n"),
        }
    }
}

/// A value as text, cut where it is long.
pub(in crate::cli) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_above_the_limit_are_counted_as_hidden() {
        let mut findings = Findings::new(false, 1);
        assert!(!findings.show(&(), |()| "one".to_owned()));
        assert!(!findings.show(&(), |()| panic!("shown above the limit")));
        assert_eq!(findings.hidden(3), "… and 2 more; --json shows them all\n");
        assert_eq!(findings.hidden(1), "");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(short(&json!("é")), "\"é\"");
        assert_eq!(short(&json!("é".repeat(80))), format!("\"{}…", "é".repeat(59)));
    }
}
