//! Doing and undoing faults; those of our own processes here, the servers' in `broker` and `database`.

use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;
use sqlx::PgConnection;
use tokio::time::sleep;

use super::cluster::{Cluster, Part};
use super::fault::{Fault, Target};
use super::sender::Sender;
use crate::support::process::Version;
use crate::support::proxy::Mode;
use crate::support::servers::Server;

/// What ends a fault.
pub enum Undo {
    /// It is over already.
    Nothing,
    /// It could not be done here.
    Skipped(&'static str),
    Start(Vec<usize>),
    Continue(Vec<usize>),
    /// The slots go back to the version that is tested.
    Exchange(Vec<usize>),
    ContinueServer(Server),
    /// Servers were ended.
    StartServers,
    PassToBroker,
    PassToDatabase,
    /// Connections, locks and all.
    Drop(Vec<PgConnection>),
    ReadWrite,
    FreeDisk(std::path::PathBuf),
    NoMemoryAlarm,
    NoDiskAlarm,
    ClockRight,
}

/// How often connections are cut, one after the other.
const CUTS: usize = 4;

impl Cluster {
    pub async fn strike(&mut self, fault: Fault, sender: &Sender, rng: &mut Rng) -> Undo {
        match fault.target() {
            Target::Receiver | Target::Relay | Target::Consumer => self.strike_part(fault, sender, rng).await,
            Target::Broker => self.strike_broker(fault, rng).await,
            Target::Database => self.strike_database(fault, rng).await,
            Target::Sender => {
                let off_s = if fault == Fault::ClockWithin { 240 } else { 400 };
                let off_s = if rng.bool() { off_s } else { -off_s };
                sender.change_hand(|hand| {
                    hand.clock_off_s = off_s;
                    hand.may_be_refused = fault == Fault::ClockBeyond;
                });
                Undo::ClockRight
            }
        }
    }

    async fn strike_part(&mut self, fault: Fault, sender: &Sender, rng: &mut Rng) -> Undo {
        let part = match fault.target() {
            Target::Receiver => Part::Receiver,
            Target::Relay => Part::Relay,
            _ => Part::Consumer,
        };
        let mut slots = self.slots_of(part);
        rng.shuffle(&mut slots);
        let some = rng.usize(1..=slots.len());
        match fault {
            Fault::KillReceiver | Fault::KillRelay | Fault::KillConsumers => {
                slots.truncate(some);
                slots.iter().for_each(|at| self.kill(*at));
                Undo::Start(slots)
            }
            Fault::StallReceiver | Fault::StallRelay | Fault::StallConsumers => {
                slots.truncate(some);
                slots.iter().for_each(|at| self.signal(*at, Signal::STOP));
                Undo::Continue(slots)
            }
            Fault::RotateSecrets => {
                // Its clock may be wrong meanwhile, and stay so.
                let mut before = false;
                sender.change_hand(|hand| before = std::mem::replace(&mut hand.may_be_refused, true));
                self.rotate_secrets(sender).await;
                sender.change_hand(|hand| hand.may_be_refused = before);
                Undo::Nothing
            }
            // One after the other, so that there is always another one.
            _ if fault.needs_other_version() => {
                slots.truncate(some);
                for at in &slots {
                    self.exchange(*at, Version::Other).await;
                }
                Undo::Exchange(slots)
            }
            _ => {
                for at in slots {
                    self.stop(at).await;
                    self.start(at);
                }
                Undo::Nothing
            }
        }
    }

    /// Cuts again and again.
    pub(super) async fn cut(&self, server: Server, rng: &mut Rng) -> Undo {
        for _ in 0..CUTS {
            match server {
                Server::Postgres => self.to_database.cut(),
                Server::RabbitMq => self.to_broker.cut(),
            }
            sleep(Duration::from_millis(rng.u64(20..700))).await;
        }
        Undo::Nothing
    }

    /// Lets no byte through, or no connection.
    pub(super) fn close_way(&self, server: Server, mode: Mode) -> Undo {
        let (proxy, undo) = match server {
            Server::Postgres => (&self.to_database, Undo::PassToDatabase),
            Server::RabbitMq => (&self.to_broker, Undo::PassToBroker),
        };
        proxy.set(mode);
        if mode == Mode::Refuse {
            proxy.cut();
        }
        undo
    }

    pub async fn undo(&mut self, undo: Undo, sender: &Sender) {
        match undo {
            Undo::Nothing | Undo::Skipped(_) | Undo::StartServers => {}
            Undo::Start(slots) => slots.into_iter().for_each(|at| self.start(at)),
            Undo::Continue(slots) => slots.into_iter().for_each(|at| self.signal(at, Signal::CONT)),
            Undo::Exchange(slots) => {
                for at in slots {
                    self.exchange(at, Version::Tested).await;
                }
            }
            Undo::ContinueServer(server) => self.servers.signal_all(server, Signal::CONT),
            Undo::PassToBroker => self.to_broker.set(Mode::Pass),
            Undo::PassToDatabase => self.to_database.set(Mode::Pass),
            Undo::Drop(connections) => drop(connections),
            Undo::ReadWrite => self.read_only(false).await,
            Undo::FreeDisk(filler) => std::fs::remove_file(filler).unwrap(),
            Undo::NoMemoryAlarm => self.alarm(&["set_vm_memory_high_watermark", "0.4"]).await,
            Undo::NoDiskAlarm => self.alarm(&["set_disk_free_limit", "1MB"]).await,
            Undo::ClockRight => sender.change_hand(|hand| {
                hand.clock_off_s = 0;
                hand.may_be_refused = false;
            }),
        }
    }
}
