//! `docs/operations.md` names commands, flags and metrics that exist.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const PAGE: &str = include_str!("../../../docs/operations.md");

/// The text in backticks, and the lines of code blocks.
fn code() -> Vec<String> {
    let mut code = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            code.push(line.to_owned());
        } else {
            code.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    code
}

/// All of `src/`, in one text.
fn source(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { source(&path) } else { fs::read_to_string(path).unwrap() })
        .collect()
}

#[test]
fn every_documented_metric_exists() {
    let source = source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let code = code().join("\n");
    let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics: Vec<&str> = words.filter(|word| word.starts_with("memberflow_")).collect();
    assert!(metrics.len() >= 8, "{metrics:?}");
    for metric in metrics {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
        let name = name.unwrap_or(metric);
        assert!(source.contains(&format!("\"{name}\"")), "{metric} is no metric");
    }
}

#[test]
fn every_documented_command_and_flag_exists() {
    let code = code();
    let lines = code.iter().filter_map(|line| line.split_once("memberflow ").map(|(_, rest)| rest));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in lines {
        let is_command = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let words: Vec<&str> = line.split(' ').collect();
        let commands = words.iter().copied().take_while(is_command);
        let help =
            Command::new(env!("CARGO_BIN_EXE_memberflow")).args(commands).arg("--help").output().unwrap();
        assert!(help.status.success(), "memberflow {line}: {}", String::from_utf8_lossy(&help.stderr));
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(*flag), "memberflow {line} has no {flag}");
        }
    }
}
