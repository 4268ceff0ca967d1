//! `memberflow replay`: signs the events of fixtures and posts them to the running service; or re-applies
//! stored events.

mod from_inbox;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::terminal::{complain, print_data};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::ledger::parse_moment;
use crate::ops::progress::Progress;
use crate::ops::replay::{self, Options, ReplayError, Secrets, Summary, url_of};

/// Sign events and post them to the running service, as Stripe and Supabase would.
///
/// Reads JSON files of one event each, NDJSON, Stripe CLI fixture files, and folders of them. With --from-inbox it
/// sends nothing, and re-applies stored events.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Files and folders of events.
    #[arg(required_unless_present = "from_inbox", conflicts_with = "from_inbox", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    inbox: from_inbox::InboxArgs,
    /// The service's URL [default: http:// and MEMBERFLOW_BIND].
    #[arg(long)]
    url: Option<String>,
    /// Shuffle all deliveries; the same seed gives the same order.
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// Post each event N times.
    #[arg(long, value_name = "N", default_value = "1")]
    duplicate: NonZeroU32,
    /// Start at most so many deliveries per second: 500 or 500/s.
    #[arg(long, value_name = "R/s", value_parser = rate)]
    rate: Option<f64>,
    /// Concurrent requests; with 1 the events arrive in order.
    #[arg(long, value_name = "C", default_value = "8")]
    concurrency: NonZeroUsize,
    /// Move all times in the events to MOMENT: `now`, or 2026-11-20T12:00:00Z.
    ///
    /// Events of a folder with a story.json move so that the time given there becomes MOMENT; all others move together,
    /// so that the last of them happens at MOMENT. Ids and amounts do not change.
    #[arg(long, value_name = "MOMENT", value_parser = shift_to, conflicts_with = "from_inbox")]
    shift_to: Option<ShiftTo>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The target of `--shift-to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShiftTo {
    Now,
    At(OffsetDateTime),
}

impl ShiftTo {
    fn moment(self, clock: &Clock) -> OffsetDateTime {
        match self {
            Self::Now => clock.now(),
            Self::At(moment) => moment,
        }
    }
}

impl ReplayArgs {
    /// Whether it works on the database instead of the service.
    #[must_use]
    pub const fn is_from_inbox(&self) -> bool {
        self.inbox.from_inbox
    }
}

/// Runs the subcommand: summary on stdout, progress and errors on stderr. Exits with 0 if everything was
/// accepted, 3 if some was not, 7 if the service is down.
///
/// # Errors
/// If a configured secret is invalid; with `--from-inbox` also the errors of a rebuild.
pub async fn run(args: ReplayArgs, config: &Config, clock: &Clock) -> anyhow::Result<ExitCode> {
    if args.is_from_inbox() {
        return from_inbox::run(args.inbox, args.json, config, clock).await.map(Into::into);
    }
    let options = Options {
        url: args.url.unwrap_or_else(|| url_of(config.bind)),
        shuffle: args.shuffle,
        duplicate: args.duplicate,
        rate_per_s: args.rate,
        concurrency: args.concurrency,
        shift_to: args.shift_to.map(|to| to.moment(clock)),
        secrets: Secrets::of(config)?,
    };
    let mut progress = Progress::on_stderr("replay");
    match replay::replay(&options, &args.paths, clock, &mut progress).await {
        Ok(summary) => {
            let text = if args.json { serde_json::to_string(&summary)? } else { summary.to_string() };
            print_data(&(text + "\n"))?;
            Ok(ExitCode::from(exit_code(&summary)))
        }
        Err(error) => {
            complain(&error.to_string());
            Ok(ExitCode::from(error_code(&error)))
        }
    }
}

/// 0 everything accepted, 3 some rejected or not readable.
#[must_use]
pub fn exit_code(summary: &Summary) -> u8 {
    if summary.is_complete() { 0 } else { 3 }
}

/// 7 the service is down, 2 wrong usage, 1 failed.
#[must_use]
pub fn error_code(error: &ReplayError) -> u8 {
    match error {
        ReplayError::Unreachable { .. } => 7,
        ReplayError::NoSecret { .. }
        | ReplayError::BadUrl { .. }
        | ReplayError::TooLargeToShuffle(_)
        | ReplayError::Scenario(_) => 2,
        ReplayError::Client(_) => 1,
    }
}

fn shift_to(text: &str) -> Result<ShiftTo, String> {
    if text == "now" {
        return Ok(ShiftTo::Now);
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "expected now or RFC 3339, as 2026-11-20T12:00:00Z".to_owned())?;
    // Limits the years, as elsewhere.
    parse_moment(text).map(ShiftTo::At).map_err(|invalid| invalid.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate: f64 = number.parse().map_err(|_| "not a number: write 500 or 500/s".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("must be more than 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_rate_is_a_positive_number_per_second() {
        assert_eq!(rate("500"), Ok(500.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "fast", "5/min", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shift_to_takes_now_or_a_moment() {
        assert_eq!(shift_to("now"), Ok(ShiftTo::Now));
        assert_eq!(shift_to("2026-11-20T12:00:00Z"), Ok(ShiftTo::At(datetime!(2026-11-20 12:00 UTC))));
        for wrong in ["", "Now", "2026-11-20", "yesterday"] {
            assert!(shift_to(wrong).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
    }
}
