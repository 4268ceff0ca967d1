//! Faults of RabbitMQ.

use std::time::Duration;

use fastrand::Rng;
use lapin::options::QueueDeleteOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use memberflow::envelope::Source;
use rustix::process::Signal;
use tokio::time::sleep;

use super::cluster::{Cluster, Part};
use super::fault::Fault;
use super::strike::Undo;
use crate::support::proxy::Mode;
use crate::support::servers::Server;

/// How often it is looked whether a queue is empty.
const LOOKS: usize = 12;
/// What the program's queues begin with unless emitted otherwise.
const PREFIX: &str = "memberflow";

impl Cluster {
    pub(super) async fn strike_broker(&mut self, fault: Fault, rng: &mut Rng) -> Undo {
        let source = rng.choice(Source::QUEUED).unwrap();
        match fault {
            Fault::KillBroker => {
                // The node alone: its helpers and the port mapper are left, as after a crash. `Run::end` looks for them.
                self.servers.end(Server::RabbitMq, Signal::KILL).await;
                Undo::StartServers
            }
            Fault::StallBroker => {
                self.servers.signal_all(Server::RabbitMq, Signal::STOP);
                Undo::ContinueServer(Server::RabbitMq)
            }
            Fault::RestartBroker => {
                self.servers.end(Server::RabbitMq, Signal::TERM).await;
                Undo::StartServers
            }
            Fault::CutBroker => self.cut(Server::RabbitMq, rng).await,
            Fault::RefuseBroker => self.close_way(Server::RabbitMq, Mode::Refuse),
            Fault::SilenceBroker => self.close_way(Server::RabbitMq, Mode::Stall),
            Fault::CloseConnections => {
                self.alarm(&["close_all_connections", "a fault"]).await;
                Undo::Nothing
            }
            Fault::DeleteQueue => self.delete_queue(source).await,
            Fault::DeleteBinding => {
                let (connection, channel) = self.channel().await;
                let (queue, exchange) = (queue_of(source), format!("{PREFIX}.events"));
                let key = source.as_str().into();
                channel
                    .queue_unbind(queue.into(), exchange.into(), key, FieldTable::default())
                    .await
                    .unwrap();
                connection.close(200, "done".into()).await.ok();
                Undo::Nothing
            }
            Fault::MemoryAlarm => {
                self.alarm(&["set_vm_memory_high_watermark", "0.00001"]).await;
                Undo::NoMemoryAlarm
            }
            _ => {
                self.alarm(&["set_disk_free_limit", "100000GB"]).await;
                Undo::NoDiskAlarm
            }
        }
    }

    /// Deleting a queue deletes its messages. So the publishers are paused until it is empty; what is tested
    /// is publishing and consuming without the queue.
    async fn delete_queue(&mut self, source: Source) -> Undo {
        let mut publishers = self.slots_of(Part::Receiver);
        publishers.extend(self.slots_of(Part::Relay));
        publishers.iter().for_each(|at| self.signal(*at, Signal::STOP));
        let mut empty_looks = 0;
        for _ in 0..LOOKS {
            empty_looks = if self.is_empty(source).await { empty_looks + 1 } else { 0 };
            if empty_looks == 2 {
                break;
            }
            sleep(Duration::from_millis(300)).await;
        }
        if empty_looks == 2 {
            let (connection, channel) = self.channel().await;
            channel.queue_delete(queue_of(source).into(), QueueDeleteOptions::default()).await.unwrap();
            connection.close(200, "done".into()).await.ok();
        }
        publishers.iter().for_each(|at| self.signal(*at, Signal::CONT));
        if empty_looks == 2 { Undo::Nothing } else { Undo::Skipped("the queue was never empty") }
    }

    /// Whether the queue holds nothing, neither ready nor given out.
    async fn is_empty(&self, source: Source) -> bool {
        let listed = self.servers.rabbitmqctl(&["--silent", "list_queues", "name", "messages"]).await;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed.lines().any(|line| line.split_whitespace().eq([queue_of(source).as_str(), "0"]))
    }

    async fn channel(&self) -> (Connection, lapin::Channel) {
        let url = self.servers.amqp_url();
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    pub(super) async fn alarm(&self, arguments: &[&str]) {
        let output = self.servers.rabbitmqctl(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

fn queue_of(source: Source) -> String {
    format!("{PREFIX}.{source}")
}
