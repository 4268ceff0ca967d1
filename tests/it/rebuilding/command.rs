//! The command itself: exit codes, what it prints, and what a kill leaves behind.

use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::PopulatedApp;

fn command(populated: &PopulatedApp, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
    command.arg(name).args(args).env_clear().env("DATABASE_URL", populated.database.url()).env("USER", "ada");
    command.env("MEMBERFLOW_STRIPE_MODE", "any");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn output(populated: &PopulatedApp, args: &[&str]) -> (i32, String, String) {
    output_of(populated, "rebuild", args).await
}

/// The exit code, stdout and stderr of a command.
pub(super) async fn output_of(populated: &PopulatedApp, name: &str, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(populated, name, args).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A run that has begun to apply events.
async fn under_way(populated: &PopulatedApp) -> Child {
    let mut child = command(populated, "rebuild", &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.starts_with("rebuild: resolving events, 0 of "), "{line}");
    child
}

#[tokio::test]
async fn drift_is_shown_fixed_and_sets_exit_code() {
    let populated = PopulatedApp::lived(1).await;
    let (code, stdout, stderr) = output(&populated, &["--check"]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("no drift: the live tables match the events"), "{stdout}");

    populated.execute("update public.user_revenue_metrics set mrr = mrr + 1").await;
    let (code, stdout, _) = output(&populated, &["--check", "--limit", "2"]).await;
    assert_eq!(code, 6, "{stdout}");
    assert_eq!(stdout.matches("    mrr: ").count(), 2, "{stdout}");
    assert!(stdout.contains("… and 14 more; --json shows them all"), "{stdout}");

    let (code, stdout, _) = output(&populated, &["--check", "--json"]).await;
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (6, 17));
    assert_eq!(lines[0]["table"], "public.user_revenue_metrics");
    assert_eq!(lines[0]["before"]["mrr"].as_i64(), lines[0]["after"]["mrr"].as_i64().map(|mrr| mrr + 1));
    assert_eq!(lines[16]["summary"]["differing"]["public.user_revenue_metrics"], 16);

    let (code, stdout, stderr) = output(&populated, &[]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("rows that differed and are fixed: 16"), "{stdout}");
    assert_eq!(output(&populated, &["--check"]).await.0, 0);
    let line = populated.text("select split_part(actor, '@', 1), act, outcome from ingest.audit_log").await;
    assert!(line.starts_with("(ada,rebuild,") && line.contains("user_revenue_metrics"), "{line}");
}

#[tokio::test]
async fn interrupted_rebuild_changes_no_live_table() {
    let populated = PopulatedApp::lived(4).await;
    populated.execute("update public.user_revenue_metrics set mrr = mrr + 1").await;
    let before = populated.text("select user_id, mrr from public.user_revenue_metrics").await;

    let mut killed = under_way(&populated).await;
    killed.kill().await.unwrap();
    assert_eq!(populated.text("select user_id, mrr from public.user_revenue_metrics").await, before);

    let mut interrupted = under_way(&populated).await;
    let pid = Pid::from_raw(i32::try_from(interrupted.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(interrupted.wait().await.unwrap().code(), Some(1));
    assert_eq!(populated.text("select user_id, mrr from public.user_revenue_metrics").await, before);
    assert_eq!(populated.text("select nspname from pg_namespace where nspname = 'ingest_rebuild'").await, "");

    assert_eq!(output(&populated, &[]).await.0, 0);
    populated.assert_sound("run to its end").await;
}
