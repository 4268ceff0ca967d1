//! Instructions that a process takes, where the machine counts them and `perf` is there to ask.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::service::Service;

/// Counts from its beginning on: one `perf` for each process.
pub struct Counter(Vec<Result<Child, String>>);

impl Counter {
    /// Counts what receiver and consumer take.
    pub fn of(service: &Service) -> Self {
        Self(service.pids().into_iter().map(count).collect())
    }

    /// How many each took, in their order.
    ///
    /// # Errors
    /// Why there is no such figure here.
    pub fn end(self) -> Result<Vec<f64>, String> {
        self.0.into_iter().map(|perf| counted(perf?)).collect()
    }
}

fn count(pid: u32) -> Result<Child, String> {
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", "instructions:u", "-p", &pid.to_string()]);
    let perf = perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    perf.map_err(|error| format!("`perf` cannot be run ({error})"))
}

fn counted(mut perf: Child) -> Result<f64, String> {
    kill_process(Pid::from_child(&perf), Signal::INT).ok();
    let mut output = String::new();
    perf.stderr.take().into_iter().for_each(|mut stderr| drop(stderr.read_to_string(&mut output)));
    perf.wait().map_err(|error| error.to_string())?;
    let count =
        output.lines().find(|line| line.contains("instructions")).and_then(|line| line.split(',').next());
    count.and_then(|count| count.parse().ok()).ok_or_else(|| "`perf` counts none on this machine".to_owned())
}
