//! The service and everything around it fails, at random moments, alone and two at once: acknowledged events
//! are applied once, and the tables are right, without manual repair.
//!
//! If another version is given (`make faults OTHER=<revision>`), it runs first, and again at times after the
//! upgrade.
//!
//! Real processes and private servers ([`cluster`]); a provider that records acknowledged events ([`sender`])
//! while faults ([`fault`], [`strike`]) come in [`waves`]; and an [`auditor`], which knows only that record,
//! the database and the simulated members, and which is tested by [`planted`] errors.

mod auditor;
mod broker;
mod cluster;
mod database;
mod fault;
mod planted;
mod run;
mod sender;
mod strike;
mod waves;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::simulation::state::PHASES;
use crate::simulation::{MINUTES, SEED, set};
use crate::support::process::Version;
use fault::Fault;
use run::{Run, Size};

/// How long another version is at work alone.
const BEFORE_UPGRADE: Duration = Duration::from_secs(10);

/// What comes first after an upgrade.
const SIDE_BY_SIDE: [&[Fault]; 4] = [
    &[Fault::OtherReceivers, Fault::KillBroker],
    &[Fault::OtherRelay],
    &[Fault::OtherConsumers],
    &[Fault::OtherConsumers, Fault::KillDatabase],
];

/// The faults of the short run.
const USUAL: [&[Fault]; 9] = [
    &[Fault::KillReceiver],
    &[Fault::KillConsumers, Fault::CutDatabase],
    &[Fault::RefuseBroker, Fault::LockTables],
    &[Fault::StopReceiver, Fault::KillDatabase],
    &[Fault::DeleteBinding],
    &[Fault::StallDatabase, Fault::RefuseBroker],
    &[Fault::RollConsumers, Fault::EndBackends],
    &[Fault::RotateSecrets],
    &[Fault::KillBroker, Fault::ReadOnly],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_lose_and_duplicate_nothing() {
    let version = Version::Tested;
    // Half of the long run's load and consumers: enough to have new events under way in each wave, beside all other tests.
    let size =
        Size { histories: 4, consumers: 2, events_per_second: 30, small_disk: false, stall_s: 2, version };
    let mut run = Run::begin(11, &size).await;
    for (number, wave) in USUAL.into_iter().enumerate() {
        run.phase(number * PHASES / USUAL.len()).await;
        run.waves.run(wave, &mut run.cluster, &run.sender).await;
    }
    run.end().await;
}

/// The long run of `make faults`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half an hour long: make faults"]
async fn soak_random_faults_lose_and_duplicate_nothing() {
    let seed = set(SEED).unwrap_or_else(|| fastrand::u64(..));
    let minutes: u16 = set(MINUTES).unwrap_or(30);
    eprintln!("{minutes} minutes; again with {SEED}={seed}");
    let other = Version::Other.binary();
    let version = if other.is_some() { Version::Other } else { Version::Tested };
    let size = Size {
        histories: 10 * minutes,
        consumers: 4,
        events_per_second: 60,
        small_disk: true,
        stall_s: 60,
        version,
    };
    let mut run = Run::begin(seed, &size).await;
    if other.is_some() {
        sleep(BEFORE_UPGRADE).await;
        run.cluster.upgrade().await;
        eprintln!("upgraded from the other version");
        for wave in SIDE_BY_SIDE {
            run.waves.run(wave, &mut run.cluster, &run.sender).await;
        }
    }
    let (begun, length) = (Instant::now(), Duration::from_secs(60 * u64::from(minutes)));
    // Two hundred in half an hour, and each kind at least once.
    let wanted = usize::from(minutes) * 200 / 30;
    while begun.elapsed() < length || run.waves.count() < wanted {
        let share = begun.elapsed().as_secs_f64() / length.as_secs_f64();
        run.phase((share * PHASES as f64) as usize).await;
        let wave = run.waves.deal();
        run.waves.run(&wave, &mut run.cluster, &run.sender).await;
    }
    run.end().await;
}
