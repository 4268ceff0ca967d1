//! How far a rebuild is: a bar on a terminal, elsewhere a line now and then. Both on stderr.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Settle,
    Customers,
    Users,
    Compare,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settling events",
            Self::Customers => "deriving customers",
            Self::Users => "deriving users",
            Self::Compare => "comparing with the live tables",
        }
    }
}

/// Where progress is shown.
#[derive(Debug)]
pub enum Progress {
    /// Nowhere.
    Silent,
    /// On a terminal.
    Bar(ProgressBar),
    /// In a log.
    Lines(Lines),
}

/// How far the part is, and when that was last said.
#[derive(Debug)]
pub struct Lines {
    part: Part,
    done: u64,
    total: u64,
    said: Instant,
}

impl Progress {
    /// What suits stderr.
    #[must_use]
    pub fn on_stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bar(ProgressBar::new(0))
        } else {
            Self::Lines(Lines { part: Part::Settle, done: 0, total: 0, said: Instant::now() })
        }
    }

    /// A part of `total` pieces begins; 0 where nobody knows.
    pub fn begin(&mut self, part: Part, total: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                let template =
                    if total == 0 { "{spinner} {msg}" } else { "{bar:40} {percent:>3} % {msg} ({eta} left)" };
                let style = ProgressStyle::with_template(template);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.reset();
                bar.set_length(total);
                bar.set_message(part.as_str());
            }
            Self::Lines(lines) => {
                *lines = Lines { part, done: 0, total, said: Instant::now() };
                lines.say();
            }
        }
    }

    /// So many more pieces are done.
    pub fn advance(&mut self, pieces: usize) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.inc(pieces as u64),
            Self::Lines(lines) => {
                lines.done += pieces as u64;
                if lines.said.elapsed() >= LINE_EVERY {
                    lines.said = Instant::now();
                    lines.say();
                }
            }
        }
    }

    /// Nothing more is shown.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn say(&self) {
        let Self { part, done, total, .. } = self;
        match total {
            0 => anstream::eprintln!("rebuild: {}", part.as_str()),
            _ => anstream::eprintln!("rebuild: {}, {done} of {total}", part.as_str()),
        }
    }
}
