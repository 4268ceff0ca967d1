//! `memberflow events tail`: events as they are applied.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::sleep;

use super::{FilterArgs, text};
use crate::cli::exit::of_page;
use crate::cli::{Exit, print_data};
use crate::clock::Clock;
use crate::ops::events::{self, Event, Filter, State};

/// The polling interval.
const EVERY: Duration = Duration::from_millis(500);
/// A transaction's events have the time at which it began, and become visible when it commits: each poll
/// looks this far back.
const OVERLAP: Duration = Duration::from_secs(60);
/// The most events of one poll; the rest is skipped with a message.
const PAGE: usize = 1000;

/// The events shown within the overlap.
type Shown = BTreeSet<(OffsetDateTime, String, String)>;

pub(super) async fn follow(pool: &PgPool, args: &FilterArgs, clock: &Clock) -> anyhow::Result<Exit> {
    let mut shown = Shown::new();
    let begin = clock.now();
    loop {
        let since = begin.max(clock.now() - OVERLAP);
        let filter = Filter { since: Some(since), state: Some(State::Applied), ..args.to_filter() };
        let events =
            events::newest(pool, &filter, PAGE).await.map_err(of_page).context("cannot read the events")?;
        if events.len() == PAGE {
            anstream::eprintln!("more events than can be shown: the latest {PAGE} of the last minute");
        }
        shown.retain(|(at, ..)| *at >= since);
        for event in events.iter().rev() {
            let name = (event.at.unwrap_or(since), event.source.clone(), event.event_id.clone());
            if shown.insert(name) {
                print_event(event, args.json)?;
            }
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Fine),
        }
    }
}

fn print_event(event: &Event, json: bool) -> anyhow::Result<()> {
    let line = if json { serde_json::to_string(event)? } else { text::line(event) };
    print_data(&(line + "\n"))?;
    Ok(())
}
