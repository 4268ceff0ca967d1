//! The command itself: exit codes, what it prints, and what a kill leaves behind.

use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::Town;

fn command(town: &Town, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
    command.arg(name).args(args).env_clear().env("DATABASE_URL", town.database.url()).env("USER", "ada");
    command.env("MEMBERFLOW_STRIPE_MODE", "any");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn output(town: &Town, args: &[&str]) -> (i32, String, String) {
    output_of(town, "rebuild", args).await
}

/// The exit code of a command and what it said on stdout and stderr.
pub(super) async fn output_of(town: &Town, name: &str, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(town, name, args).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A run that has begun to settle events.
async fn under_way(town: &Town) -> Child {
    let mut child = command(town, "rebuild", &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.starts_with("rebuild: settling events, 0 of "), "{line}");
    child
}

#[tokio::test]
async fn drift_is_shown_and_mended_and_the_exit_code_says_so() {
    let town = Town::lived(1).await;
    let (code, stdout, stderr) = output(&town, &["--check"]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("the live tables are what the events make of them"), "{stdout}");

    town.execute("update public.user_revenue_metrics set mrr = mrr + 1").await;
    let (code, stdout, _) = output(&town, &["--check", "--limit", "2"]).await;
    assert_eq!(code, 6, "{stdout}");
    assert_eq!(stdout.matches("    mrr: ").count(), 2, "{stdout}");
    assert!(stdout.contains("… and 14 more; --json shows them all"), "{stdout}");

    let (code, stdout, _) = output(&town, &["--check", "--json"]).await;
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (6, 17));
    assert_eq!(lines[0]["table"], "public.user_revenue_metrics");
    assert_eq!(lines[0]["before"]["mrr"].as_i64(), lines[0]["after"]["mrr"].as_i64().map(|mrr| mrr + 1));
    assert_eq!(lines[16]["summary"]["differing"]["public.user_revenue_metrics"], 16);

    let (code, stdout, stderr) = output(&town, &[]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("rows that differed and are mended: 16"), "{stdout}");
    assert_eq!(output(&town, &["--check"]).await.0, 0);
    let line = town.text("select split_part(actor, '@', 1), act, outcome from ingest.audit_log").await;
    assert!(line.starts_with("(ada,rebuild,") && line.contains("user_revenue_metrics"), "{line}");
}

#[tokio::test]
async fn killed_or_interrupted_it_leaves_the_live_tables_alone() {
    let town = Town::lived(8).await;
    town.execute("update public.user_revenue_metrics set mrr = mrr + 1").await;
    let before = town.text("select user_id, mrr from public.user_revenue_metrics").await;

    let mut killed = under_way(&town).await;
    killed.kill().await.unwrap();
    assert_eq!(town.text("select user_id, mrr from public.user_revenue_metrics").await, before);

    let mut interrupted = under_way(&town).await;
    let pid = Pid::from_raw(i32::try_from(interrupted.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(interrupted.wait().await.unwrap().code(), Some(1));
    assert_eq!(town.text("select user_id, mrr from public.user_revenue_metrics").await, before);
    assert_eq!(town.text("select nspname from pg_namespace where nspname = 'ingest_rebuild'").await, "");

    assert_eq!(output(&town, &[]).await.0, 0);
    town.assert_sound("run to its end").await;
}
