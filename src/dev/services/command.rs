//! Runs another program with servers, as `make test` does with the test runner.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::{Services, Wanted};

/// The exit status that shells give to a program ended by SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs `command` with `DATABASE_URL` and `AMQP_URL` set (the latter empty without a broker), stops
/// what was started for it, and gives its exit status: 128 plus the signal's number if one ended it.
///
/// # Errors
/// If there are no servers for it, or it cannot be run.
pub async fn run_with_services(wanted: &Wanted, command: &[OsString]) -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let found = tokio::select! {
        found = wanted.find_or_start() => found,
        _ = interrupt.recv() => return wanted.stop_unused().await.map(|()| INTERRUPTED),
        _ = terminate.recv() => return wanted.stop_unused().await.map(|()| INTERRUPTED),
    };
    let services = match found {
        Ok(services) => services,
        Err(reason) => return wanted.stop_unused().await.and(Err(reason)),
    };
    let outcome = async {
        let mut child = spawn(command, &services)?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(exit_code(status?)),
                // A Ctrl-C in the terminal reaches the program too, which decides what it means.
                _ = interrupt.recv() => {}
                _ = terminate.recv() => pass_on(&child),
            }
        }
    };
    let outcome = outcome.await;
    services.stop().await.and(outcome)
}

fn spawn(command: &[OsString], services: &Services) -> Result<Child> {
    let (program, arguments) = command.split_first().context("no command was given after --")?;
    let mut command = Command::new(program);
    command.args(arguments).env("DATABASE_URL", &services.database_url);
    command.env("AMQP_URL", services.amqp_url.as_deref().unwrap_or_default());
    command.spawn().with_context(|| format!("cannot run {}", program.display()))
}

fn pass_on(child: &Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM).ok();
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}
