//! Faults one after the other, alone and two together, each undone, each wave survived before the next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::fault::Fault;
use super::sender::{Name, Sender};
use super::strike::Undo;
use crate::support::process::Version;

/// The longest that the service may take to be back once all is undone, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a kind of fault came to.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    alone: usize,
    together: usize,
    /// As the sender saw it, from the strike until the service was back.
    longest_silence: Duration,
    /// From the end of the fault until an event taken after it was applied.
    slowest_recovery: Duration,
}

/// How long faults last, and what became of them.
pub struct Waves {
    rng: Rng,
    deck: Vec<Fault>,
    longest_stall: Duration,
    lines: BTreeMap<Fault, Line>,
    skipped: BTreeMap<Fault, &'static str>,
}

impl Waves {
    pub fn new(seed: u64, longest_stall: Duration) -> Self {
        let (lines, skipped) = Default::default();
        Self { rng: Rng::with_seed(seed), deck: Vec::new(), longest_stall, lines, skipped }
    }

    /// Each kind of fault once, in any order, alone or with another one; then again.
    pub fn deal(&mut self) -> Vec<Fault> {
        let first = self.draw();
        let mut wave = vec![first];
        if !first.is_alone() && self.rng.u32(0..100) < 40 {
            let fits = |other: &Fault| !other.is_alone() && other.target() != first.target();
            if let Some(at) = self.deck.iter().rposition(fits) {
                wave.push(self.deck.remove(at));
            }
        }
        wave
    }

    fn draw(&mut self) -> Fault {
        if self.deck.is_empty() {
            let has_other = Version::Other.binary().is_some();
            let can_be = |fault: &Fault| {
                !self.skipped.contains_key(fault) && (has_other || !fault.needs_other_version())
            };
            self.deck = Fault::ALL.iter().copied().filter(can_be).collect();
            self.rng.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap()
    }

    /// Strikes, waits, undoes, and waits until the service is back.
    pub async fn run(&mut self, wave: &[Fault], cluster: &mut Cluster, sender: &Sender) {
        sender.longest_silence();
        let begun = Instant::now();
        let mut undos = Vec::new();
        for fault in wave {
            let undo = cluster.strike(*fault, sender, &mut self.rng).await;
            if let Undo::Skipped(reason) = undo {
                eprintln!("skipped: {}: {reason}", fault.name());
                self.skipped.insert(*fault, reason);
            }
            undos.push(undo);
            let between = self.rng.u64(0..800);
            sleep(Duration::from_millis(between)).await;
        }
        let lasts = self.length(wave);
        sleep(lasts).await;
        let servers_ended = undos.iter().any(|undo| matches!(undo, Undo::StartServers));
        for undo in undos.into_iter().rev() {
            cluster.undo(undo, sender).await;
        }
        // A full disk, too, can end a server.
        if servers_ended || wave.contains(&Fault::DiskFull) {
            cluster.servers_up().await;
        }
        let undone = Instant::now();
        self.survived(wave, cluster, sender).await;
        let silence = sender.longest_silence();
        self.note(wave, silence, undone.elapsed());
        let names: Vec<_> = wave.iter().map(|fault| fault.name()).collect();
        eprintln!(
            "{:>6.1} s  {}: silent {:.1} s, applying again after {:.1} s",
            begun.elapsed().as_secs_f64(),
            names.join(" + "),
            silence.as_secs_f64(),
            undone.elapsed().as_secs_f64()
        );
    }

    fn length(&mut self, wave: &[Fault]) -> Duration {
        let longest_ms = u64::try_from(self.longest_stall.as_millis()).unwrap();
        let ms = match self.rng.u32(0..100) {
            0..15 if wave.iter().all(|fault| fault.may_last()) => self.rng.u64(longest_ms / 3..=longest_ms),
            0..75 => self.rng.u64(300..3_000.min(longest_ms)),
            _ => self.rng.u64(300..12_000.min(longest_ms)),
        };
        Duration::from_millis(ms)
    }

    /// Waits until the sender hears yes again, and until something that was taken from now on is applied.
    async fn survived(&self, wave: &[Fault], cluster: &Cluster, sender: &Sender) {
        let deadline = Instant::now() + DEADLINE;
        let (since, known, pool) = (Instant::now(), sender.count_taken(), cluster.pool());
        loop {
            let has_nothing_new = sender.left() == 0 && sender.last_yes() > since;
            if has_nothing_new || any_applied(&pool, &sender.taken_after(known)).await {
                return;
            }
            if Instant::now() >= deadline {
                cluster.give_up(&format!("not back after {wave:?}:")).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn note(&mut self, wave: &[Fault], silence: Duration, recovery: Duration) {
        for fault in wave.iter().filter(|fault| !self.skipped.contains_key(fault)) {
            let line = self.lines.entry(*fault).or_default();
            if wave.len() == 1 {
                line.alone += 1;
            } else {
                line.together += 1;
            }
            line.longest_silence = line.longest_silence.max(silence);
            line.slowest_recovery = line.slowest_recovery.max(recovery);
        }
    }

    /// How many faults there were.
    pub fn count(&self) -> usize {
        self.lines.values().map(|line| line.alone + line.together).sum()
    }

    pub fn table(&self) -> String {
        let mut table = format!(
            "{:<46} {:>5} {:>8} {:>14} {:>17}\n",
            "fault", "alone", "together", "longest outage", "applying again in"
        );
        for (fault, line) in &self.lines {
            writeln!(
                table,
                "{:<46} {:>5} {:>8} {:>12.1} s {:>15.1} s",
                fault.name(),
                line.alone,
                line.together,
                line.longest_silence.as_secs_f64(),
                line.slowest_recovery.as_secs_f64()
            )
            .unwrap();
        }
        for (fault, reason) in &self.skipped {
            writeln!(table, "{:<46} skipped: {reason}", fault.name()).unwrap();
        }
        table
    }
}

async fn any_applied(pool: &sqlx::PgPool, names: &[Name]) -> bool {
    let ids: Vec<&str> = names.iter().map(|(_, id)| id.as_str()).collect();
    let asked = sqlx::query_scalar(
        "select exists (select from ingest.events where event_id = any ($1) and state = 'applied')",
    );
    !ids.is_empty() && asked.bind(&ids[..]).fetch_one(pool).await.unwrap_or(false)
}
