//! Progress of long operations: on stderr, as a bar on a terminal and otherwise as a line now and then; or where another
//! task reads it.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where progress is shown.
#[derive(Debug)]
pub enum Progress {
    /// Nowhere.
    Silent,
    /// On a terminal.
    Bar(ProgressBar),
    /// In a log.
    Lines(Lines),
    /// Where another task reads it.
    Watched(watch::Sender<Position>),
}

/// How far an operation has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// What is being done.
    pub part: String,
    /// Its finished pieces.
    pub done: u64,
    /// All of its pieces; 0 if unknown.
    pub total: u64,
}

/// The progress of the part, and when it was last printed.
#[derive(Debug)]
pub struct Lines {
    command: &'static str,
    part: String,
    done: u64,
    total: u64,
    said: Instant,
}

impl Progress {
    /// A bar or lines, as suits stderr. `command` is the prefix of lines.
    #[must_use]
    pub fn on_stderr(command: &'static str) -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bar(ProgressBar::new(0))
        } else {
            let (part, said) = (String::new(), Instant::now());
            Self::Lines(Lines { command, part, done: 0, total: 0, said })
        }
    }

    /// For another task to read.
    #[must_use]
    pub fn watched() -> (Self, watch::Receiver<Position>) {
        let (sender, receiver) = watch::channel(Position::default());
        (Self::Watched(sender), receiver)
    }

    /// Begins a part of `total` pieces; 0 if unknown.
    pub fn begin(&mut self, part: &str, total: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                let template = if total == 0 {
                    "{spinner} {pos} {msg}"
                } else {
                    "{bar:40} {percent:>3} % {msg} ({eta} left)"
                };
                let style = ProgressStyle::with_template(template);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.reset();
                bar.set_length(total);
                bar.set_message(part.to_owned());
            }
            Self::Lines(lines) => {
                *lines = Lines { part: part.to_owned(), done: 0, total, said: Instant::now(), ..*lines };
                lines.say();
            }
            Self::Watched(position) => {
                position.send_replace(Position { part: part.to_owned(), done: 0, total });
            }
        }
    }

    /// Adds finished pieces.
    pub fn advance(&mut self, pieces: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.inc(pieces),
            Self::Lines(lines) => {
                lines.done += pieces;
                if lines.said.elapsed() >= LINE_EVERY {
                    lines.said = Instant::now();
                    lines.say();
                }
            }
            Self::Watched(position) => position.send_modify(|position| position.done += pieces),
        }
    }

    /// Adds one finished piece, with a summary so far.
    pub fn advance_with(&mut self, so_far: impl FnOnce() -> String) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                bar.inc(1);
                bar.set_message(so_far());
            }
            Self::Lines(lines) => {
                lines.done += 1;
                if lines.said.elapsed() >= LINE_EVERY {
                    lines.said = Instant::now();
                    anstream::eprintln!("{}: {}", lines.line(), so_far());
                }
            }
            Self::Watched(_) => self.advance(1),
        }
    }

    /// Ends the display.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn say(&self) {
        anstream::eprintln!("{}", self.line());
    }

    fn line(&self) -> String {
        let Self { command, part, done, total, .. } = self;
        match total {
            0 => format!("{command}: {part}"),
            _ => format!("{command}: {part}, {done} of {total}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_line_counts_finished_pieces() {
        let lines = Lines { command: "replay", part: String::new(), done: 0, total: 0, said: Instant::now() };
        let mut progress = Progress::Lines(lines);
        progress.begin("posting events", 308);
        progress.advance(7);
        progress.advance_with(String::new);
        let Progress::Lines(lines) = &progress else { panic!("{progress:?}") };
        assert_eq!(lines.line(), "replay: posting events, 8 of 308");
    }

    #[test]
    fn watched_progress_is_that_of_the_last_part() {
        let (mut progress, position) = Progress::watched();
        progress.begin("messages", 0);
        progress.advance(7);
        progress.begin("posting events", 308);
        progress.advance(7);
        progress.advance_with(String::new);
        assert_eq!(*position.borrow(), Position { part: "posting events".to_owned(), done: 8, total: 308 });
    }
}
