//! Faults of PostgreSQL.

use std::process::{Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Signal, kill_process};
use sqlx::PgConnection;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::fault::Fault;
use super::strike::Undo;
use crate::support::process::Version;
use crate::support::proxy::Mode;
use crate::support::servers::Server;

/// Ends the service's connections.
const END_BACKENDS: &str =
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'memberflow'";

impl Cluster {
    pub(super) async fn strike_database(&mut self, fault: Fault, rng: &mut Rng) -> Undo {
        match fault {
            Fault::KillDatabase => {
                // Its backends notice by and by, as they do where the system runs out of memory.
                if let Some(pid) = self.servers.pid(Server::Postgres) {
                    kill_process(pid, Signal::KILL).ok();
                }
                Undo::StartServers
            }
            Fault::StallDatabase => {
                self.servers.signal_all(Server::Postgres, Signal::STOP);
                Undo::ContinueServer(Server::Postgres)
            }
            Fault::RestartDatabase => {
                self.servers.end(Server::Postgres, Signal::INT).await;
                Undo::StartServers
            }
            Fault::CutDatabase => self.cut(Server::Postgres, rng).await,
            Fault::RefuseDatabase => self.close_way(Server::Postgres, Mode::Refuse),
            Fault::SilenceDatabase => self.close_way(Server::Postgres, Mode::Stall),
            Fault::EndBackends => {
                for _ in 0..3 {
                    sqlx::query(END_BACKENDS).execute(&mut self.admin().await).await.unwrap();
                    sleep(Duration::from_millis(rng.u64(20..700))).await;
                }
                Undo::Nothing
            }
            Fault::NoConnections => self.take_all_connections().await,
            Fault::LockTables => {
                let mut admin = self.admin().await;
                let tables =
                    rng.choice(["ingest.inbox", "ingest.stripe_facts", "ingest.inbox, ingest.outbox"]);
                let lock = format!("lock table {} in access exclusive mode", tables.unwrap());
                // In a deadlock with a consumer Postgres may end either of them.
                sqlx::query("begin").execute(&mut admin).await.unwrap();
                while sqlx::query(sqlx::AssertSqlSafe(lock.clone())).execute(&mut admin).await.is_err() {
                    sqlx::raw_sql("rollback; begin").execute(&mut admin).await.unwrap();
                }
                Undo::Drop(vec![admin])
            }
            Fault::ReadOnly => {
                self.read_only(true).await;
                Undo::ReadWrite
            }
            Fault::DiskFull => self.fill_disk(),
            _ => {
                assert_eq!(self.run(Version::Tested, &["migrate"]).await, Some(0), "migrating again");
                Undo::Nothing
            }
        }
    }

    /// All that the server has, and then those that the service had.
    async fn take_all_connections(&self) -> Undo {
        let mut admin = self.admin().await;
        let mut taken: Vec<PgConnection> = Vec::new();
        for _ in 0..3 {
            while let Ok(connection) = self.try_admin().await {
                taken.push(connection);
            }
            sqlx::query(END_BACKENDS).execute(&mut admin).await.unwrap();
        }
        taken.push(admin);
        Undo::Drop(taken)
    }

    pub(super) async fn read_only(&self, on: bool) {
        let mut admin = self.admin().await;
        let alter = format!("alter system set default_transaction_read_only = {on}");
        sqlx::query(sqlx::AssertSqlSafe(alter)).execute(&mut admin).await.unwrap();
        sqlx::query("select pg_reload_conf()").execute(&mut admin).await.unwrap();
    }

    fn fill_disk(&self) -> Undo {
        let Some(disk) = self.servers.small_disk() else {
            return Undo::Skipped("the database has no disk of its own: only root can mount one");
        };
        let filler = disk.join("filler");
        let mut write = Command::new("dd");
        write.arg("if=/dev/zero").arg(format!("of={}", filler.display())).arg("bs=64k");
        // It ends where there is no room left.
        write.stderr(Stdio::null()).status().unwrap();
        Undo::FreeDisk(filler)
    }
}
