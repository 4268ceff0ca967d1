//! How far a replay is: a bar on a terminal, elsewhere a line now and then. Both on stderr.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Summary;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where progress is shown.
#[derive(Debug)]
pub enum Progress {
    /// Nowhere.
    Silent,
    /// On a terminal, measured in bytes of events.
    Bar(ProgressBar),
    /// In a log.
    Lines {
        /// When the last one was written.
        last: Instant,
    },
}

impl Progress {
    /// What suits stderr, for `total_bytes` of events.
    #[must_use]
    pub fn on_stderr(total_bytes: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: Instant::now() };
        }
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} % {msg} ({eta} left)");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(total_bytes).with_style(style))
    }

    pub(super) fn show(&mut self, summary: &Summary, done_bytes: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                bar.inc(done_bytes);
                bar.set_message(line(summary));
            }
            Self::Lines { last } if last.elapsed() < LINE_EVERY => {}
            Self::Lines { last } => {
                *last = Instant::now();
                anstream::eprintln!("replay: {}", line(summary));
            }
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(summary: &Summary) -> String {
    let Summary { accepted, refused, unreadable, rate_per_s, .. } = summary;
    format!("{accepted} accepted, {refused} refused, {unreadable} not read, {rate_per_s:.0}/s")
}
