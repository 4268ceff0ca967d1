//! `memberflow tickets`, as staff use it in a terminal.

use serde_json::Value;

use super::{ADA, GRACE, open, reply};
use crate::support::app::TestApp;
use crate::support::process::memberflow;

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `memberflow tickets` with these arguments.
fn tickets(app: &TestApp, arguments: &[&str]) -> Ran {
    let settings = vec![("DATABASE_URL", app.database.url())];
    let output = memberflow(&settings).arg("tickets").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Ada's first two tickets; the first was answered.
async fn two_tickets() -> (TestApp, [String; 2]) {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.sign_up(GRACE, "grace@example.com").await;
    let first = open(&app, 1).await;
    open(&app, 2).await;
    reply(&app, first, 60, true).await;
    let numbers = app.rows("select ticket_number from public.support_tickets order by subject").await;
    let number = |at: usize| numbers[at]["ticket_number"].as_str().unwrap().to_owned();
    let both = [number(0), number(1)];
    (app, both)
}

#[tokio::test]
async fn list_is_a_table_with_a_cursor_and_filters() {
    let (app, [first, second]) = two_tickets().await;
    let page = tickets(&app, &["list", "--limit", "1"]);
    assert_eq!(page.code, Some(0), "{}", page.stderr);
    assert!(page.stdout.contains(&second) && !page.stdout.contains(&first), "{}", page.stdout);
    let cursor = page.stderr.split("--cursor ").nth(1).expect("the next page").trim().to_owned();
    let rest = tickets(&app, &["list", "--cursor", &cursor]);
    assert!(rest.stdout.contains(&first) && !rest.stdout.contains(&second), "{}", rest.stdout);
    for (filter, shown) in [
        (["--waiting-for", "member"], vec![&first]),
        (["--member", "ada@example.com"], vec![&first, &second]),
        (["--assignee", "nobody"], vec![&first, &second]),
        (["--text", "help 2"], vec![&second]),
        (["--status", "closed"], vec![]),
    ] {
        let listed = tickets(&app, &["list", filter[0], filter[1], "--json"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        let numbers: Vec<&str> = listed["tickets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["ticket_number"].as_str().unwrap())
            .collect();
        assert_eq!(numbers.len(), shown.len(), "{filter:?}: {numbers:?}");
        assert!(shown.iter().all(|number| numbers.contains(&number.as_str())), "{filter:?}: {numbers:?}");
    }
    assert_eq!(tickets(&app, &["list", "--status", "closed"]).stdout, "no tickets\n");
}

#[tokio::test]
async fn reply_assign_and_status_change_the_ticket_that_show_prints() {
    let (app, [_, number]) = two_tickets().await;
    for arguments in [
        &["reply", &number, "--message", "It is fixed.", "--by", "grace@example.com"][..],
        &["reply", &number, "--internal", "--message", "Third time this week."],
        &["assign", &number, "grace@example.com"],
        &["status", &number, "resolved"],
    ] {
        let ran = tickets(&app, arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    }
    let shown = tickets(&app, &["show", &number]).stdout;
    for text in
        [&number, "resolved", "It is fixed.", "internal note", "Third time this week.", &GRACE.to_string()]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let acts = app.rows("select act from ingest.audit_log order by id").await;
    assert_eq!(acts.len(), 4, "{acts:?}");
    assert!(tickets(&app, &["assign", &number, "nobody", "--json"]).stdout.contains("ticket_id"));
    assert!(tickets(&app, &["show", &number]).stdout.contains("nobody"));
}

#[tokio::test]
async fn unknown_ticket_person_status_or_cursor_is_refused_with_its_exit_code() {
    let (app, [number, _]) = two_tickets().await;
    for (arguments, code, says) in [
        (&["show", "SUPP-9999"][..], 5, "SUPP-9999"),
        (&["status", "SUPP-9999", "closed"], 5, "SUPP-9999"),
        (&["assign", &number, "nobody@example.com"], 5, "nobody@example.com"),
        (&["status", &number, "done"], 2, "possible values"),
        (&["list", "--limit", "0"], 2, "--limit"),
        (&["list", "--cursor", "zzz"], 2, "cursor"),
    ] {
        let ran = tickets(&app, arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}
