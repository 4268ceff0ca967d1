//! `memberflow backfill` itself.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use super::{MEMBER, activity, populated};
use crate::support::app::TestApp;

async fn output(app: &TestApp, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
    command.arg("backfill").args(args).env_clear().env("DATABASE_URL", app.database.url());
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test]
async fn backfill_reports_findings_and_unknowns() {
    let app = populated().await;
    app.execute(&format!("insert into public.journal_entries (user_id) values ('{MEMBER}')")).await;
    app.execute("insert into storage.objects (owner_id) values ('somebody')").await;
    let (code, stdout, stderr) = output(&app, &["activity"]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("         1  journal entries: 1 new or changed\n"), "{stdout}");
    assert!(
        stdout.contains("not known: 1 files have no user for an owner and count for nobody\n"),
        "{stdout}"
    );
    assert!(stderr.contains("backfill: reading journal entries\n"), "{stderr}");
    assert_eq!(activity(&app, MEMBER).await["journal_entry_count"], 1);
    assert!(app.store.has_imported().await.unwrap(), "it was the first start");

    let (code, stdout, _) = output(&app, &["all", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &report["found"]["journal entries"], &report["looked_at"]["files"]),
        (0, &0.into(), &1.into())
    );
    assert_eq!(report["unknown"][0]["count"], 1);
}

#[tokio::test]
async fn backfill_without_database_exits_with_7() {
    let app = populated().await;
    app.database.destroy().await;
    let (code, stdout, stderr) = output(&app, &["all"]).await;
    assert_eq!((code, stdout.as_str()), (7, ""), "{stderr}");
    assert!(stderr.contains("the database is not available"), "{stderr}");
    assert_eq!(output(&app, &[]).await.0, 2);
}
