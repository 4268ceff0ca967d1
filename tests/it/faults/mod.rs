//! Everything around the service and the service itself fails, at random moments, alone and two at once: what
//! was answered with yes is applied, once, and the tables say what is true. No hand helps.
//!
//! Where a program of another version is given (`make faults OTHER=<revision>`), it is what runs at first, and takes
//! places now and then after the upgrade.
//!
//! Real processes and servers of the test's own ([`town`]); a provider that keeps the ledger of what was
//! answered with yes ([`sender`]) while faults ([`fault`], [`strike`]) come in [`waves`]; and an [`auditor`],
//! who knows nothing but the ledger, the database and the lives that were told, and who is shown to find what is
//! [`planted`].

mod auditor;
mod broker;
mod database;
mod fault;
mod planted;
mod sender;
mod strike;
mod town;
mod waves;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::dev::services::can_start;
use memberflow::envelope::Envelope;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::lives::life::Life;
use crate::lives::world::PHASES;
use crate::lives::{MINUTES, SEED, acts, deliver, set};
use crate::support::process::Version;
use auditor::Audit;
use fault::Fault;
use sender::{Name, Sender};
use town::{Part, Town};
use waves::Waves;

/// The longest that a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Longer than all that waits to be sent may take once nothing fails any more.
const DEADLINE: Duration = Duration::from_secs(300);

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
async fn whatever_fails_nothing_is_lost_and_nothing_applied_twice() {
    if !can_start() {
        eprintln!("skipped: PostgreSQL or RabbitMQ is not installed here");
        return;
    }
    let version = Version::Tested;
    let size = Size { lives: 6, events_per_second: 60, small_disk: false, stall_s: 2, version };
    let mut run = Run::begin(11, &size).await;
    for (number, wave) in USUAL.into_iter().enumerate() {
        run.phase(number * PHASES / USUAL.len()).await;
        run.waves.run(wave, &mut run.town, &run.sender).await;
    }
    run.end().await;
}

/// The long run of `make faults`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half an hour long: make faults"]
async fn soak_whatever_fails_nothing_is_lost_and_nothing_applied_twice() {
    assert!(can_start(), "PostgreSQL and RabbitMQ have to be installed here");
    let seed = set(SEED).unwrap_or_else(|| fastrand::u64(..));
    let minutes: u16 = set(MINUTES).unwrap_or(30);
    eprintln!("{minutes} minutes; again with {SEED}={seed}");
    let other = Version::Other.binary();
    let version = if other.is_some() { Version::Other } else { Version::Tested };
    let size = Size { lives: 10 * minutes, events_per_second: 60, small_disk: true, stall_s: 60, version };
    let mut run = Run::begin(seed, &size).await;
    if other.is_some() {
        sleep(BEFORE_UPGRADE).await;
        run.town.upgrade().await;
        eprintln!("upgraded from the other version");
        for wave in SIDE_BY_SIDE {
            run.waves.run(wave, &mut run.town, &run.sender).await;
        }
    }
    let (begun, length) = (Instant::now(), Duration::from_secs(60 * u64::from(minutes)));
    // Two hundred in half an hour, and each kind at least once.
    let wanted = usize::from(minutes) * 200 / 30;
    while begun.elapsed() < length || run.waves.count() < wanted {
        let share = begun.elapsed().as_secs_f64() / length.as_secs_f64();
        run.phase((share * PHASES as f64) as usize).await;
        let wave = run.waves.deal();
        run.waves.run(&wave, &mut run.town, &run.sender).await;
    }
    run.end().await;
}

/// How much happens.
struct Size {
    lives: u16,
    events_per_second: u32,
    small_disk: bool,
    stall_s: u64,
    /// Whose program is at work at first.
    version: Version,
}

/// A run from its beginning to its end.
struct Run {
    seed: u64,
    lives: Vec<Life>,
    /// What is told in the phases that have not begun.
    phases: std::vec::IntoIter<Vec<Envelope>>,
    begun: usize,
    town: Town,
    sender: Arc<Sender>,
    sending: tokio::task::JoinHandle<()>,
    waves: Waves,
}

impl Run {
    async fn begin(seed: u64, size: &Size) -> Self {
        let mut rng = Rng::with_seed(seed);
        let lives: Vec<Life> = (0..size.lives).map(|number| Life::new(number, rng.u64(..))).collect();
        let phases = deliver::spread(&lives.iter().collect::<Vec<_>>(), &mut rng).into_iter();
        let mut town = Town::found(size.small_disk, size.version).await;
        acts::act(&town.pool(), &lives.iter().collect::<Vec<_>>(), 0).await;
        acts::stand(&town.pool(), &lives.iter().collect::<Vec<_>>()).await;
        town.open();
        let sender = Arc::new(Sender::new(town.urls(), town.hand(), size.events_per_second, rng.u64(..)));
        let waves = Waves::new(rng.u64(..), Duration::from_secs(size.stall_s));
        let sending = TaskTracker::new().spawn(async {});
        let mut run = Self { seed, lives, phases, begun: 0, town, sender, sending, waves };
        run.phase(0).await;
        let sender = run.sender.clone();
        run.sending = TaskTracker::new().spawn(async move { sender.run().await });
        run
    }

    /// Lets the phases up to this one begin.
    async fn phase(&mut self, phase: usize) {
        while self.begun <= phase {
            let Some(events) = self.phases.next() else { return };
            if self.begun > 0 {
                let lives: Vec<&Life> = self.lives.iter().collect();
                acts::act(&self.town.pool(), &lives, self.begun).await;
            }
            self.sender.give(events);
            self.begun += 1;
        }
    }

    /// Lets everything come to rest, without a hand, and looks.
    async fn end(mut self) {
        self.phase(PHASES).await;
        let deadline = Instant::now() + DEADLINE;
        while self.sender.left() > 0 {
            assert!(Instant::now() < deadline, "not all was taken:\n{}", self.town.last_words());
            sleep(Duration::from_millis(50)).await;
        }
        // A hook whose event was not kept is what reconciling finds. Here it is told once more.
        self.sender.give(self.sender.hooks());
        self.sender.end();
        (&mut self.sending).await.unwrap();
        let (answers, wrong) = self.sender.answers();
        assert!(wrong.is_empty(), "answers that should not have been: {wrong:?}");
        let mut taken = self.sender.taken();
        taken.extend(self.sender.hooks().iter().map(|hook| (hook.source, hook.event_id.clone())));
        let all: BTreeSet<Name> = self
            .lives
            .iter()
            .flat_map(|life| &life.told)
            .map(|told| (told.envelope.source, told.envelope.event_id.clone()))
            .collect();
        assert_eq!(taken, all, "everything was taken in the end");
        auditor::all_applied(&self.town, &taken).await;
        for at in 0..self.town.places.len() {
            self.town.stop(at).await;
        }
        let lives: Vec<&Life> = self.lives.iter().collect();
        let audit = Audit {
            pool: self.town.pool(),
            config: Config::new(self.town.servers.database_url()),
            clock: Clock::System,
            lives: &lives,
            taken: &taken,
        };
        let findings = audit.findings().await;
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        println!("{}", self.waves.table());
        println!("answers: {answers:?}");
        self.print_stops();
        println!(
            "{} faults, {} lives: {} events taken; 0 lost, 0 dead, 0 applied twice, 0 manual steps ({SEED}={})",
            self.waves.count(),
            lives.len(),
            taken.len(),
            self.seed
        );
    }

    fn print_stops(&self) {
        for part in [Part::Receiver, Part::Relay, Part::Consumer] {
            let stops: Vec<_> = self.town.stops.iter().filter(|stop| stop.part == part).collect();
            let longest = stops.iter().map(|stop| stop.took).max().unwrap_or_default();
            let clean = stops.iter().filter(|stop| stop.code == Some(0)).count();
            let peak_mb = stops.iter().map(|stop| stop.peak_bytes / 1_000_000).max().unwrap_or_default();
            println!(
                "{part:?} asked to stop {} times: {clean} ended with 0, the slowest after {longest:.1?}; {peak_mb} MB at most",
                stops.len()
            );
            assert!(longest < STOP_LIMIT, "{part:?} took {longest:?} to stop");
        }
    }
}
