//! A run of the harness: the simulated members, the sender, and what must hold at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use memberflow::clock::Clock;
use memberflow::envelope::Envelope;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::auditor::{self, Audit};
use super::cluster::{Cluster, Part};
use super::sender::{Name, Sender};
use super::waves::Waves;
use crate::simulation::elsewhere::happened_here;
use crate::simulation::history::History;
use crate::simulation::state::PHASES;
use crate::simulation::{SEED, acts, deliver};
use crate::support::process::Version;
use crate::support::receiver::eventually;
use crate::support::servers::standing_in;

/// The longest that a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Longer than all that waits to be sent may take once nothing fails any more.
const DEADLINE: Duration = Duration::from_secs(300);

/// How much happens.
pub struct Size {
    pub histories: u16,
    pub consumers: usize,
    pub events_per_second: u32,
    pub small_disk: bool,
    pub stall_s: u64,
    /// Which version runs first.
    pub version: Version,
}

/// A run from its beginning to its end.
pub struct Run {
    seed: u64,
    histories: Vec<History>,
    /// The events of the phases that have not begun.
    phases: std::vec::IntoIter<Vec<Envelope>>,
    begun: usize,
    pub cluster: Cluster,
    pub sender: Arc<Sender>,
    sending: tokio::task::JoinHandle<()>,
    pub waves: Waves,
}

impl Run {
    /// The histories, all servers and processes, and a sender that has begun.
    pub async fn begin(seed: u64, size: &Size) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut histories: Vec<History> =
            (0..size.histories).map(|number| History::new(number, rng.u64(..))).collect();
        if size.version == Version::Other {
            // An older version may count events of another mode or account.
            histories
                .iter_mut()
                .for_each(|history| history.emitted.retain(|emitted| happened_here(&emitted.envelope)));
        }
        let phases = deliver::spread(&histories.iter().collect::<Vec<_>>(), &mut rng).into_iter();
        let mut cluster = Cluster::found(size).await;
        acts::act(&cluster.pool(), &histories.iter().collect::<Vec<_>>(), 0).await;
        acts::insert_preexisting(&cluster.pool(), &histories.iter().collect::<Vec<_>>()).await;
        cluster.open();
        let sender =
            Arc::new(Sender::new(cluster.urls(), cluster.hand(), size.events_per_second, rng.u64(..)));
        let waves = Waves::new(rng.u64(..), Duration::from_secs(size.stall_s));
        let sending = TaskTracker::new().spawn(async {});
        let mut run = Self { seed, histories, phases, begun: 0, cluster, sender, sending, waves };
        run.phase(0).await;
        let sender = run.sender.clone();
        run.sending = TaskTracker::new().spawn(async move { sender.run().await });
        run
    }

    /// Lets the phases up to this one begin.
    pub async fn phase(&mut self, phase: usize) {
        while self.begun <= phase {
            let Some(events) = self.phases.next() else { return };
            if self.begun > 0 {
                let histories: Vec<&History> = self.histories.iter().collect();
                acts::act(&self.cluster.pool(), &histories, self.begun).await;
            }
            self.sender.give(events);
            self.begun += 1;
        }
    }

    /// Waits until everything is applied, and audits.
    pub async fn end(mut self) {
        self.phase(PHASES).await;
        // A machine that does much else takes long; as long as fewer are left, they are being taken.
        let (mut fewest, mut deadline) = (usize::MAX, Instant::now() + DEADLINE);
        loop {
            let left = self.sender.left();
            if left == 0 {
                break;
            }
            if left < fewest {
                (fewest, deadline) = (left, Instant::now() + DEADLINE);
            } else if Instant::now() >= deadline {
                self.cluster.give_up(&format!("{left} events were not taken:")).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
        // A dropped hook event would be found by reconciliation. Here it is sent again.
        self.sender.give(self.sender.hooks());
        self.sender.end();
        (&mut self.sending).await.unwrap();
        let (answers, wrong) = self.sender.answers();
        assert!(wrong.is_empty(), "answers that should not have been: {wrong:?}");
        let mut taken = self.sender.taken();
        taken.extend(self.sender.hooks().iter().map(|hook| (hook.source, hook.event_id.clone())));
        let all: BTreeSet<Name> = self
            .histories
            .iter()
            .flat_map(|history| &history.emitted)
            .map(|emitted| (emitted.envelope.source, emitted.envelope.event_id.clone()))
            .collect();
        assert_eq!(taken, all, "everything was taken in the end");
        auditor::all_applied(&self.cluster, &taken).await;
        for at in 0..self.cluster.slots.len() {
            self.cluster.stop(at).await;
        }
        let histories: Vec<&History> = self.histories.iter().collect();
        let audit = Audit {
            pool: self.cluster.pool(),
            config: crate::support::config(self.cluster.servers.database_url()),
            clock: Clock::System,
            histories: &histories,
            taken: &taken,
        };
        let findings = audit.findings().await;
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        println!("{}", self.waves.table());
        println!("answers: {answers:?}");
        self.print_stops();
        println!(
            "{} faults, {} histories: {} events taken; 0 lost, 0 dead, 0 applied twice, 0 manual steps ({SEED}={})",
            self.waves.count(),
            histories.len(),
            taken.len(),
            self.seed
        );
        let folder = self.cluster.servers.folder().to_owned();
        let standing = standing_in(&folder).join("\n");
        let is_found = ["epmd", "-memberflow_home", "postgres"].iter().all(|part| standing.contains(part));
        assert!(
            !cfg!(target_os = "linux") || is_found,
            "the servers' processes stand in their folder: {standing}"
        );
        drop(self.cluster);
        let is_left = async || standing_in(&folder).is_empty().then_some(());
        eventually("the end of all processes that the servers have started", is_left).await;
    }

    fn print_stops(&self) {
        for part in [Part::Receiver, Part::Relay, Part::Consumer] {
            let stops: Vec<_> = self.cluster.stops.iter().filter(|stop| stop.part == part).collect();
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
