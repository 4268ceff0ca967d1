//! chromedriver as a process of a test's own, in a folder of its own; both go with this value.

use std::io::{BufRead as _, BufReader, ErrorKind, Lines};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::servers::quiet_port;

/// What to do where it is missing. A test that cannot run does not pass.
const MISSING: &str = "chromedriver cannot be run. `make test` installs it with Chromium where it can; by hand: \
                       sudo apt-get install --no-install-recommends chromium chromium-driver";

/// A running chromedriver.
pub struct Driver {
    process: Child,
    folder: PathBuf,
    port: u16,
    /// Read no further, and open: who writes into a closed pipe is ended.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    /// Starts one. On a port of its own choice it ends at once where IPv4 or IPv6 has lent that already.
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("mf-browser-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let mut command = Command::new("chromedriver");
        // Profile, sockets, caches and settings of Chromium are below one of these two.
        command.arg(format!("--port={}", quiet_port())).env("HOME", &folder).env("TMPDIR", &folder);
        for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        // Chromium is in its group.
        command.process_group(0);
        end_with_the_test(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect(MISSING);
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = said.by_ref().map_while(Result::ok).find_map(|line| port_in(&line));
        Self { process, folder, port: port.expect("chromedriver says where it listens"), _said: said }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What Chromium keeps, while it runs.
    pub fn profile(&self) -> PathBuf {
        self.folder.join("profile")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.process), Signal::KILL).ok();
        self.process.wait().ok();
        // What is being ended may still write: the folder goes with the last of it.
        while std::fs::remove_dir_all(&self.folder).is_err_and(|error| error.kind() != ErrorKind::NotFound) {}
    }
}

/// Of `ChromeDriver was started successfully on port 43125.`
fn port_in(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

/// A test that is killed takes chromedriver along, and Chromium ends when it loses chromedriver.
#[cfg(target_os = "linux")]
fn end_with_the_test(command: &mut Command) {
    let ask = || -> std::io::Result<()> {
        Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?)
    };
    // SAFETY: one system call, which may be made between fork and exec.
    unsafe { command.pre_exec(ask) };
}

#[cfg(not(target_os = "linux"))]
fn end_with_the_test(_: &mut Command) {}
