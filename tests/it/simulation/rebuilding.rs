//! Many histories at once: a rebuild gives the same tables, during traffic.

use fastrand::Rng;
use memberflow::envelope::{Envelope, Source};
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild::{self, Report};
use tokio::time::Instant;

use super::acts;
use super::deliver::spread;
use super::harness::Harness;
use super::history::History;
use super::{SEED, compare, set, tables};

/// About 230 events each before the rebuilds begin.
const HISTORIES: u16 = 470;
/// Events that have been applied before the rebuilds begin, at least.
const EVENTS: usize = 100_000;
/// Events that are applied at once: before the rebuilds, and while they run.
const BATCH: usize = 1000;
const LATE_BATCH: usize = 20;

#[tokio::test]
#[ignore = "minutes long: make soak"]
async fn soak_rebuild_during_traffic_changes_nothing() {
    let seed = set(SEED).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("again with {SEED}={seed}");
    let mut rng = Rng::with_seed(seed);
    let histories: Vec<History> = (0..HISTORIES).map(|number| History::new(number, rng.u64(..))).collect();
    let histories: Vec<&History> = histories.iter().collect();
    let harness = Harness::new().await;
    let late = emit_most(&harness, &histories, &mut rng).await;

    let begun = Instant::now();
    let traffic = async {
        let batches: Vec<Vec<Envelope>> = late.chunks(LATE_BATCH).map(<[Envelope]>::to_vec).collect();
        harness.apply_all(batches).await;
        begun.elapsed()
    };
    let rebuilds = async { [run(&harness, true).await, run(&harness, false).await] };
    let (traffic, reports) = tokio::join!(traffic, rebuilds);
    println!("{} more events came, for {} s", late.len(), traffic.as_secs());
    harness.catch_up().await;
    let last = run(&harness, true).await;
    for report in reports.iter().chain([&last]) {
        println!("{} events in {:?}: {:?}", report.events, report.took, report.differing);
        assert_eq!(report.differing_rows(), 0, "again with {SEED}={seed}");
    }
    assert!(reports[0].events as usize >= EVENTS, "{} events", reports[0].events);
    let differences = compare::differences(&histories, &tables::read(&harness.database.pool).await);
    assert!(differences.is_empty(), "again with {SEED}={seed}: {differences:#?}");
    harness.stop().await;
}

/// Applies all but the last events; returns those.
async fn emit_most(harness: &Harness, histories: &[&History], rng: &mut Rng) -> Vec<Envelope> {
    let mut late = Vec::new();
    let phases = spread(histories, rng);
    let last = phases.len() - 1;
    for (phase, mut events) in phases.into_iter().enumerate() {
        acts::act(&harness.database.pool, histories, phase).await;
        if phase == 0 {
            harness.import_preexisting(histories).await;
        }
        // The database's own changes have happened by then, and what emits of them must not be late: until it has
        // come, a rebuild knows better than the tables.
        if phase == last {
            events.sort_by_key(|event| event.source == Source::Stripe);
            late = events.split_off(events.len() * 2 / 3);
            assert!(late.iter().all(|event| event.source == Source::Stripe));
        }
        harness.apply_all(events.chunks(BATCH).map(<[Envelope]>::to_vec).collect()).await;
    }
    late
}

async fn run(harness: &Harness, check: bool) -> Report {
    let show = |difference| {
        eprintln!("{difference:?}");
        true
    };
    rebuild::run(&harness.store, check, &mut Progress::Silent, show).await.unwrap()
}
