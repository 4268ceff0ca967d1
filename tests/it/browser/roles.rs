//! Each role: who may read reads everything, and is neither shown nor let do more.

use memberflow::config::console_roles::ConsoleRole;
use serde_json::{Value, json};

use super::Console;
use super::app::{full_app, pages};
use crate::console::pages::{ADA, TICKET};

/// What changes something, besides signing out, which everybody may.
const ACTS: &str = "form[method=post]:not(.person)";

/// A form that no page has shown, sent as a page of the console would.
const SEND: &str = "
    const [path, fields] = arguments;
    return fetch(path, { method: 'POST', body: new URLSearchParams(fields) }).then((it) => it.status)";

#[tokio::test]
async fn each_role_is_shown_and_let_do_what_it_may() {
    let console = Console::open(full_app().await).await;
    operators_and_admins_are_shown_what_they_may_do(&console).await;
    a_viewer_reads_every_page_but_the_audit_log_and_can_change_nothing(&console).await;
    console.close().await;
}

async fn a_viewer_reads_every_page_but_the_audit_log_and_can_change_nothing(console: &Console) {
    let chromium = &console.chromium;
    console.sign_in_as("vera", ConsoleRole::Viewer).await;
    chromium.wait_for("header", "vera (viewer)").await;
    let for_others = ["/console/audit", "/console/settings"];
    let for_viewers = pages().into_iter().filter(|(path, _)| !for_others.contains(&path.as_str()));
    for (path, text) in for_viewers {
        console.go(&path).await;
        for other in for_others {
            assert_eq!(chromium.count(&format!("header a[href='{other}']")).await, 0, "{other} at {path}");
        }
        // What is to be typed to confirm is not shown, either.
        chromium.wait_for("main", if path.ends_with("attention") { "unreadable" } else { text }).await;
        assert_eq!(chromium.count(ACTS).await, 0, "{path}");
        chromium.assert_quiet(&path).await;
    }
    for (path, fields) in [
        (format!("/console/tickets/{TICKET}/reply"), json!({"message": "hello"})),
        (format!("/console/tickets/{TICKET}/status"), json!({"status": "closed"})),
        (
            "/console/attention".to_owned(),
            json!({"source": "stripe", "event_type": "invoice.paid", "reason": "broken", "act": "drop"}),
        ),
        ("/console/jobs".to_owned(), json!({"operation": "rebuild", "is_fix": "true"})),
        ("/console/jobs/2/cancel".to_owned(), json!({})),
    ] {
        assert_eq!(chromium.run(SEND, json!([path, fields])).await, 403, "{path}");
    }
    assert_eq!(chromium.log().await.len(), 5, "the refusals");
    let acts =
        console.app.rows("select act from ingest.audit_log where actor = 'vera' and act <> 'events open'");
    assert_eq!(acts.await, [] as [Value; 0]);
}

async fn operators_and_admins_are_shown_what_they_may_do(console: &Console) {
    let chromium = &console.chromium;
    for role in [ConsoleRole::Operator, ConsoleRole::Admin] {
        console.sign_in_as("olga", role).await;
        chromium.wait_for("header", &format!("olga ({})", role.as_str())).await;
        for (path, acts) in [
            (format!("/console/members/{ADA}"), 1),
            (format!("/console/tickets/{TICKET}"), 3),
            // Two causes, and three comparisons: one is running.
            ("/console/attention".to_owned(), 5),
            ("/console/jobs/2".to_owned(), 1),
        ] {
            console.go(&path).await;
            assert_eq!(chromium.count(ACTS).await, acts, "{path}");
        }
        chromium.click_on("header", "Sign out").await;
        chromium.wait_for("h1", "Sign in to memberflow").await;
    }
}
