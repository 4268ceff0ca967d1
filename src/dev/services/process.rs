//! Processes that may outlive the run which started them: known by id, never mistaken for another.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// How often a process that is ending is checked.
const POLL: Duration = Duration::from_millis(50);

/// A process that leads a group of its own.
///
/// Process ids are reused. Before a signal is sent, the command line must still hold `mark`, so that nothing
/// but what we started is ever ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// A part of its command line that no other process has.
    pub mark: String,
}

impl Process {
    /// Whether it is still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        command_line(self.pid).is_some_and(|line| line.contains(&self.mark))
    }

    /// Asks it to end, and ends it and its whole group by force after `patience`.
    pub async fn stop(&self, patience: Duration) {
        let Some(pid) = self.living() else { return };
        // The first ends a node of RabbitMQ; the second makes PostgreSQL end without waiting for its clients.
        for signal in [Signal::TERM, Signal::INT] {
            kill_process(pid, signal).ok();
        }
        if self.is_gone_within(patience).await {
            return;
        }
        tracing::warn!(pid = self.pid, "process did not stop after SIGTERM, sending SIGKILL");
        kill_process_group(pid, Signal::KILL).or_else(|_| kill_process(pid, Signal::KILL)).ok();
        self.is_gone_within(Duration::from_secs(5)).await;
    }

    fn living(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| self.is_alive())
    }

    async fn is_gone_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !self.is_alive() {
                return true;
            }
            tokio::time::sleep(POLL).await;
        }
        !self.is_alive()
    }
}

/// What the process was started with, its parts separated by blanks. None once it has ended, even
/// while its parent has not collected it yet.
fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::Process;

    /// A program that is being loaded has no command line yet.
    async fn appears(process: &Process) {
        let seen = async {
            while !process.is_alive() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the process appears");
    }

    #[tokio::test]
    async fn ends_the_process_with_the_mark() {
        let mut child = Command::new("sleep").arg("61.25").spawn().unwrap();
        let process = Process { pid: child.id(), mark: "sleep 61.25".to_owned() };
        appears(&process).await;
        process.stop(Duration::from_secs(5)).await;
        assert!(!process.is_alive());
        assert!(!child.wait().unwrap().success());
    }

    #[tokio::test]
    async fn process_with_reused_id_is_left_alone() {
        let mut child = Command::new("sleep").arg("61.5").spawn().unwrap();
        let gone = Process { pid: child.id(), mark: "postgres -D /nowhere".to_owned() };
        gone.stop(Duration::from_secs(5)).await;
        assert!(child.try_wait().unwrap().is_none(), "another's process must continue");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
