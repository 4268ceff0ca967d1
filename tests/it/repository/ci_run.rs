//! `.ci/run`: what it checks of the dependencies, with stand-ins for `make` and `cargo`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder for `PATH` whose programs note how they are called.
struct StandIns(PathBuf);

impl StandIns {
    /// `deny` is what `cargo deny` does with its arguments, in shell.
    fn new(deny: &str) -> Self {
        let folder = Self(std::env::temp_dir().join(format!("mf-ci-{}", uuid::Uuid::new_v4().simple())));
        std::fs::create_dir(&folder.0).unwrap();
        folder.program("make", "exit 0");
        folder.program("cargo", &format!("shift\n{deny}"));
        folder
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join(name);
        let calls = self.0.join("calls");
        std::fs::write(&path, format!("#!/bin/sh\necho {name} $* >> {}\n{script}\n", calls.display()))
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Whether it passed, what it printed, and how the programs were called.
    fn run(&self) -> (bool, String, String) {
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run");
        let output = Command::new(script).env("PATH", path).env("ADVISORIES_TIMEOUT", "1").output().unwrap();
        let calls = std::fs::read_to_string(self.0.join("calls")).unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), calls)
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn advisories_are_checked_if_data_is_available() {
    let (passed, _, calls) = StandIns::new("exit 0").run();
    assert!(passed && calls.contains("check --disable-fetch advisories"), "{calls}");
    assert!(calls.contains("--manifest-path fuzz/Cargo.toml"), "{calls}");
}

#[test]
fn an_advisory_fails_the_run() {
    let (passed, ..) = StandIns::new("case \"$*\" in *advisories*) exit 1;; esac").run();
    assert!(!passed);
}

#[test]
fn missing_advisory_data_only_prints_a_note() {
    for fetch in ["exit 1", "sleep 60"] {
        let deny = format!("case \"$*\" in *fetch*db*) {fetch};; *advisories*) exit 1;; esac");
        let (passed, output, _) = StandIns::new(&deny).run();
        assert!(passed && output.contains("were not checked for advisories"), "{output}");
    }
}

#[test]
fn missing_cargo_deny_only_prints_a_note() {
    let (passed, output, _) = StandIns::new("exit 101").run();
    assert!(passed && output.contains("cargo-deny is not installed here: advisories"), "{output}");
}
