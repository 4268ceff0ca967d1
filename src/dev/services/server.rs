//! A private server that runs: what to reach it by, and how to find and stop it from a later run.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Child;

use super::folder::Folder;
use super::process::Process;

/// How long a server may take to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// How long a server may take until it answers; a node of RabbitMQ needs seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A private server's record. It is on disk from before the server answers, so that a run killed at
/// any moment leaves nothing that the next one cannot find.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    /// How clients reach it, password included.
    pub url: String,
    /// Its processes, in the order in which they are stopped.
    pub processes: Vec<Process>,
}

impl Server {
    /// The record in the server's folder `home`, if there is a readable one.
    #[must_use]
    pub fn load(home: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(record(home)).ok()?).ok()
    }

    /// Writes the record into the server's folder `home`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save(&self, folder: &Folder, home: &Path) -> Result<()> {
        folder.write(&record(home), &serde_json::to_string(self)?)
    }

    /// Ends what is left of the server in `home`; does nothing where there is none.
    pub async fn stop(home: &Path) {
        let Some(server) = Self::load(home) else { return };
        for process in &server.processes {
            process.stop(STOP_PATIENCE).await;
        }
        fs::remove_file(record(home)).ok();
    }
}

fn record(home: &Path) -> PathBuf {
    home.join("running.json")
}

/// Waits until `answers` says yes, and gives up once the server's process has ended.
///
/// # Errors
/// With the end of the server's `log`, if it ends or does not answer in time.
pub async fn wait_until_ready(child: &mut Child, log: &Path, answers: impl AsyncFn() -> bool) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    while !answers().await {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}; its log {} says:\n{}", log.display(), tail(log));
        }
        if Instant::now() > deadline {
            bail!("it does not answer; its log {} says:\n{}", log.display(), tail(log));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// `preferred` if nothing listens there, else any free port of the loopback address. Ports below 1024
/// are root's, and the servers are not run by root.
///
/// # Errors
/// If the machine has no port left.
pub fn free_port(preferred: u16) -> Result<u16> {
    let preferred = if preferred < 1024 { 0 } else { preferred };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// The password kept in `file`, made up at the first asking.
///
/// # Errors
/// If the file can be neither read nor written.
pub fn password(folder: &Folder, file: &Path) -> Result<String> {
    if let Ok(known) = fs::read_to_string(file) {
        return Ok(known);
    }
    let new = uuid::Uuid::new_v4().simple().to_string();
    folder.write(file, &new)?;
    Ok(new)
}
