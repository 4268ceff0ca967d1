//! What strangers write runs in no page: a dialog would end the test, and a broken policy stands in the browser's log.

use serde_json::json;

use super::Console;
use super::chromium::Chromium;
use crate::console::escaping::{CAMPAIGN, EVE, MOVEMENTS, TICKET, eve};

/// What of a stranger's text has become an element.
const INJECTED: &str =
    "return [...document.querySelectorAll('body script, body img')].map((it) => it.outerHTML)";

/// Checks the page that is open.
async fn nothing_runs(chromium: &Chromium, at: &str) {
    chromium.wait_until("document.readyState === 'complete' && document.querySelector('h1')").await;
    assert_eq!(chromium.run(INJECTED, json!([])).await, json!([]), "{at}");
    chromium.assert_quiet(at).await;
}

#[tokio::test]
async fn stored_scripts_run_on_no_page() {
    let console = Console::signed_in(eve().await).await;
    let chromium = &console.chromium;
    let searched = "%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        "/console".to_owned(),
        "/console/members".to_owned(),
        format!("/console/members?text={searched}"),
        format!("/console/members/{EVE}"),
        "/console/tickets".to_owned(),
        format!("/console/tickets?category={searched}"),
        format!("/console/tickets/{TICKET}"),
        "/console/messages".to_owned(),
        "/console/messages/%2B15550100001".to_owned(),
        "/console/revenue".to_owned(),
        MOVEMENTS.to_owned(),
        "/console/campaigns".to_owned(),
        format!("/console/campaigns/{CAMPAIGN}"),
        "/console/events".to_owned(),
        format!("/console/events?type={searched}"),
        "/console/events/stripe/evt_1?body=true".to_owned(),
        "/console/events/stripe/evt_2".to_owned(),
        "/console/attention".to_owned(),
        "/console/parked".to_owned(),
        "/console/jobs".to_owned(),
        "/console/jobs/1".to_owned(),
        "/console/audit".to_owned(),
    ] {
        console.go(&path).await;
        nothing_runs(chromium, &path).await;
    }
    // What an act would do, and what it did.
    console.go("/console/events?state=dead").await;
    chromium.click("tbody [name=event]").await;
    chromium.click_on("#acts", "Redrive …").await;
    chromium.wait_for("h1", "What this would do").await;
    nothing_runs(chromium, "what redriving does").await;
    chromium.click_on("main", "Redrive them").await;
    chromium.wait_for("h1", "Done").await;
    nothing_runs(chromium, "what redriving did").await;
    console.go("/console/events?type=customer.subscription.created").await;
    chromium.click("tbody [name=event]").await;
    chromium.click_on("#acts", "Apply again …").await;
    chromium.wait_for("main", "price\"").await;
    nothing_runs(chromium, "what applying again does").await;
    // What a script puts in place is the same text.
    console.go("/console/members").await;
    chromium.fill("#text", "first_name").await;
    chromium.wait_until("location.search.includes('text=first_name')").await;
    chromium.wait_for("tbody tr", "<script>alert(1)</script>").await;
    assert_eq!(chromium.run(INJECTED, json!([])).await, json!([]));
    console.close().await;
}
