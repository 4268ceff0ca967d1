//! `memberflow prune`: removes the bodies of old events.

use anyhow::Context as _;
use time::Duration;

use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::prune;
use crate::store::events::prune::{Pruned, SHORTEST};
use crate::store::{Store, StoreSettings};

/// Remove the bodies of old events. Their ids stay, so that repeats are still recognised, and so do the tables.
///
/// What they reported stays in the facts, which `rebuild` then uses as they are and can no longer check. `serve` does
/// this once a day if MEMBERFLOW_RETENTION_DAYS is set.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PruneArgs {
    /// Events applied longer ago than this, in days: 90d [default: MEMBERFLOW_RETENTION_DAYS]
    #[arg(long, value_name = "DAYS", value_parser = days)]
    older_than: Option<Duration>,
    /// Only count them; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If no age was given, a rebuild is running, or the database does not answer.
pub async fn run(args: PruneArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    let Some(age) = args.older_than.or(store.settings().retention) else {
        let message = "no age given: pass --older-than 90d, or set MEMBERFLOW_RETENTION_DAYS";
        return Err(Failure::new(Exit::Usage, message).into());
    };
    let before = clock.now() - age;
    if args.dry_run {
        let prunable = store.prunable(before).await.context("cannot read the events")?;
        return print(&prunable, args.json, |it| text(it, "would be"));
    }
    let pruned = prune::run(&store, before).await.context("cannot continue; what is removed stays so")?;
    let Some(pruned) = pruned else {
        let message = "a rebuild is running and reads the bodies: wait until it has finished";
        return Err(Failure::new(Exit::Failed, message).into());
    };
    print(&pruned, args.json, |it| text(it, "were"))
}

fn text(pruned: &Pruned, how: &str) -> String {
    format!("events whose bodies {how} removed: {}, of {} bytes", pruned.events, pruned.bytes)
}

fn days(text: &str) -> Result<Duration, String> {
    let days: Option<i64> = text.strip_suffix('d').unwrap_or(text).parse().ok();
    let days = days.filter(|days| (0..=36_500).contains(days)).ok_or("write a number of days: 90d")?;
    let age = Duration::days(days);
    if age < SHORTEST {
        let shortest = SHORTEST.whole_days();
        return Err(format!(
            "bodies are kept for {shortest} days at least: until then events may still come late"
        ));
    }
    Ok(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prune_age_below_minimum_is_rejected() {
        assert_eq!(days("90d"), Ok(Duration::days(90)));
        assert_eq!(days("35"), Ok(Duration::days(35)));
        for wrong in ["34d", "0", "-90d", "3m", "", "99999999999999999999d", "40000"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
