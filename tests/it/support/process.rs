//! The real binary as a child process, killed on drop.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything here may take, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Names another binary to test than the one that was built with the tests: a release build.
const BINARY: &str = "MEMBERFLOW_TEST_BINARY";

/// Names the program of another version, to run side by side with the one that is tested.
const OTHER_BINARY: &str = "MEMBERFLOW_TEST_OTHER_BINARY";

/// Settings as the environment of a process.
pub type Settings = Vec<(&'static str, String)>;

/// The version of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that is tested.
    Tested,
    /// An older one, as a rule: what runs while a newer one is rolled out.
    Other,
}

impl Version {
    /// Where the program is; none where no other was given.
    pub fn binary(self) -> Option<String> {
        match self {
            Self::Tested => {
                Some(std::env::var(BINARY).unwrap_or_else(|_| env!("CARGO_BIN_EXE_memberflow").to_owned()))
            }
            Self::Other => std::env::var(OTHER_BINARY).ok().filter(|path| !path.is_empty()),
        }
    }
}

/// `memberflow` with nothing of the surrounding environment but what `settings` say.
pub fn memberflow(settings: &Settings) -> Command {
    memberflow_of(Version::Tested, settings)
}

/// The same of a version that was given.
pub fn memberflow_of(version: Version, settings: &Settings) -> Command {
    let mut command = Command::new(version.binary().expect("a program of this version was given"));
    surround(&mut command, settings);
    command
}

/// Nothing of the tests' own surroundings.
fn surround(command: &mut Command, settings: &Settings) {
    command.env_clear();
    // The fixtures are of test mode; a version that took them for another would not count them.
    command.env("MEMBERFLOW_STRIPE_MODE", "test");
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    // Away from the checkout, whose settings' file would be read.
    command.current_dir(std::env::temp_dir()).stdin(Stdio::null());
}

/// `memberflow serve`.
pub struct Serving {
    pub address: SocketAddr,
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    /// Starts all roles on a free port.
    pub fn all(settings: &Settings) -> Self {
        Self::roles("receive,relay,consume,api", settings)
    }

    /// Starts `roles` on a free port.
    pub fn roles(roles: &str, settings: &Settings) -> Self {
        Self::at("127.0.0.1:0", roles, settings)
    }

    /// Starts `roles` and waits until the process says where it listens.
    pub fn at(bind: &str, roles: &str, settings: &Settings) -> Self {
        Self::of(Version::Tested, bind, roles, settings)
    }

    /// The same of a version that was given.
    pub fn of(version: Version, bind: &str, roles: &str, settings: &Settings) -> Self {
        let mut command = memberflow_of(version, settings);
        command.args(["serve", "--roles", roles, "--bind", bind]);
        Self::started(command)
    }

    /// Starts `roles` on a free port, allowed to open no more than `files`.
    pub fn with_open_files(files: usize, roles: &str, settings: &Settings) -> Self {
        let unlimited = memberflow(settings);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", &files.to_string()]);
        command.arg(unlimited.get_program()).args(["serve", "--roles", roles, "--bind", "127.0.0.1:0"]);
        surround(&mut command, settings);
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        command.env("MEMBERFLOW_LOG_FORMAT", "json");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = follow(process.stderr.take().unwrap());
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(address) = log.lock().unwrap().iter().find_map(|line| address_in(line, "listening")) {
                return Self { address, process, log: log.clone() };
            }
            let ended = process.try_wait().unwrap();
            let waiting = ended.is_none() && Instant::now() < deadline;
            assert!(waiting, "it does not listen ({ended:?}):\n{}", log.lock().unwrap().join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The operators' own listener, which is bound before the public one says so.
    pub fn ops_address(&self) -> SocketAddr {
        let log = self.log.lock().unwrap();
        log.iter().find_map(|line| address_in(line, "listening for operators")).expect("a second listener")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The most memory that the process has had in use.
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The process's log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Ends the process without a warning.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the process to stop; does not wait.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends `signal` to the process.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// How the process ends, and after how long.
    pub async fn ended(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (status, asked.elapsed());
            }
            assert!(asked.elapsed() < DEADLINE, "it does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Keeps what the process says, so that it never waits for a reader.
fn follow(stderr: ChildStderr) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            kept.lock().unwrap().push(line);
        }
    });
    log
}

fn address_in(line: &str, message: &str) -> Option<SocketAddr> {
    let said: Value = serde_json::from_str(line).ok()?;
    if said["message"] == message { said["address"].as_str()?.parse().ok() } else { None }
}
