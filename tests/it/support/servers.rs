//! A private PostgreSQL and RabbitMQ, to kill and stall; stopped on drop.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use memberflow::dev::services::{Broker, Services, Wanted, can_start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than a server may take to start, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// Fails where private servers cannot be started; `make test` leaves out the tests of them there.
pub fn assert_can_start() {
    assert!(can_start(), "install PostgreSQL and RabbitMQ: scripts/setup.sh postgresql rabbitmq");
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Postgres,
    RabbitMq,
}

/// Both servers, in a folder of their own.
pub struct Servers {
    wanted: Wanted,
    running: Option<Services>,
    small_disk: bool,
}

impl Servers {
    /// Starts both. PostgreSQL's data lie on a disk of so many bytes, where we are root and can make one.
    pub async fn start(disk_bytes: Option<u64>) -> Self {
        assert_can_start();
        let folder = std::env::temp_dir().join(format!("mf-servers-{}", uuid::Uuid::new_v4().simple()));
        let wanted = Wanted {
            folder,
            database_url: None,
            prefers_private_postgres: false,
            broker: Broker::Local,
            postgres_port: quiet_port(),
            rabbitmq_port: quiet_port(),
        };
        let mut servers = Self { wanted, running: None, small_disk: false };
        if let Some(bytes) = disk_bytes {
            servers.small_disk = servers.mount(bytes);
        }
        servers.start_again().await;
        servers
    }

    fn mount(&self, bytes: u64) -> bool {
        let place = self.home(Server::Postgres);
        std::fs::create_dir_all(&place).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "tmpfs"]).arg(place);
        mount.output().is_ok_and(|output| output.status.success())
    }

    /// The folder of the small disk, if there is one.
    pub fn small_disk(&self) -> Option<PathBuf> {
        self.small_disk.then(|| self.home(Server::Postgres))
    }

    /// Starts whichever does not run. Neither may be stalled, or it would be taken for dead.
    pub async fn start_again(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.wanted.find_or_start().await {
                Ok(running) if running.amqp_url.is_some() => break self.running = Some(running),
                outcome => assert!(Instant::now() < deadline, "the servers do not start: {outcome:?}"),
            }
        }
    }

    pub fn database_url(&self) -> String {
        self.running.as_ref().unwrap().database_url.clone()
    }

    pub fn amqp_url(&self) -> String {
        self.running.as_ref().unwrap().amqp_url.clone().unwrap()
    }

    /// Where it listens.
    pub fn address(&self, server: Server) -> SocketAddr {
        let url = match server {
            Server::Postgres => self.database_url(),
            Server::RabbitMq => self.amqp_url(),
        };
        let host = url.rsplit('@').next().unwrap().split('/').next().unwrap().to_owned();
        host.parse().unwrap()
    }

    /// Where all that is theirs lies, and where their processes stand.
    pub fn folder(&self) -> &Path {
        &self.wanted.folder
    }

    fn home(&self, server: Server) -> PathBuf {
        self.wanted.folder.join(match server {
            Server::Postgres => "postgres",
            Server::RabbitMq => "rabbitmq",
        })
    }

    fn record(&self, server: Server) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.home(server).join("running.json")).ok()?).ok()
    }

    /// The server's first process; none where it was never started.
    pub fn pid(&self, server: Server) -> Option<Pid> {
        let pid = self.record(server)?["processes"][0]["pid"].as_i64()?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    }

    /// Sends `signal` to all processes of the server.
    pub fn signal_all(&self, server: Server, signal: Signal) {
        for pid in self.pid(server).into_iter().flat_map(family) {
            kill_process(pid, signal).ok();
        }
    }

    /// Asks the server's first process something, and waits until it is gone.
    pub async fn end(&self, server: Server, signal: Signal) {
        let Some(pid) = self.pid(server) else { return };
        kill_process(pid, signal).ok();
        let deadline = Instant::now() + DEADLINE;
        while is_running(pid) {
            assert!(Instant::now() < deadline, "{server:?} does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the broker has said since it was started last.
    pub fn broker_log(&self) -> String {
        std::fs::read_to_string(self.home(Server::RabbitMq).join("log")).unwrap_or_default()
    }

    /// `rabbitmqctl`, for this node.
    pub async fn rabbitmqctl(&self, arguments: &[&str]) -> Output {
        let home = self.home(Server::RabbitMq);
        let record = self.record(Server::RabbitMq).unwrap();
        let epmd = record["processes"][1]["mark"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
        let script = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "/opt/homebrew/opt/rabbitmq/sbin/rabbitmqctl"];
        let script = script.into_iter().find(|path| std::path::Path::new(path).exists());
        let mut command = tokio::process::Command::new(script.unwrap_or("rabbitmqctl"));
        command.args(["--node", "memberflow@localhost", "--timeout", "30"]).args(arguments);
        command.env("HOME", &home).env("ERL_EPMD_PORT", epmd).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_CONF_ENV_FILE", home.join("no-such-env.conf"));
        command.current_dir(home).kill_on_drop(true);
        command.output().await.unwrap()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in [Server::Postgres, Server::RabbitMq] {
            self.signal_all(server, Signal::CONT);
        }
        let (running, wanted) = (self.running.take(), self.wanted.clone());
        // A thread with a runtime of its own: drop is not async, and the test's runtime may be ending.
        let stopped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                drop(running);
                wanted.stop_unused().await.ok();
            });
        });
        stopped.join().ok();
        if let Some(place) = self.small_disk() {
            std::process::Command::new("umount").arg("-l").arg(place).status().ok();
        }
        std::fs::remove_dir_all(&self.wanted.folder).ok();
    }
}

/// The command lines of all processes that stand in `folder`, whether it is still there or not; none where the system shows
/// no processes as files.
pub fn standing_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .filter_map(|process| std::fs::read_to_string(process.join("cmdline")).ok())
        .collect()
}

/// An address with a [`quiet_port`].
pub fn quiet_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, quiet_port()))
}

/// A free port below those that the system gives to outgoing connections and to listeners on port 0: it stays free until it
/// is used, and is free again after a restart. Drawn at random, so that two tests hardly ever draw the same.
pub fn quiet_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(15_000..32_000)).find(free).unwrap()
}

/// A process with all its descendants.
fn family(root: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = vec![root.as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(elder) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, parent)| *parent == elder).map(|(pid, _)| *pid));
        next += 1;
    }
    family.into_iter().filter_map(Pid::from_raw).collect()
}

/// The fields after the name, which may hold anything: state and parent.
fn stat(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// Whether the process does anything any more: an ended one stays until its parent looks.
fn is_running(pid: Pid) -> bool {
    stat(pid.as_raw_nonzero().get()).is_some_and(|stat| !stat.starts_with('Z'))
}
