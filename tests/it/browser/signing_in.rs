//! Signed out: every page leads to signing in, and from there to where one wanted to go.

use memberflow::config::console_roles::ConsoleRole;
use serde_json::json;

use super::app::{full_app, pages};
use super::{Console, TOKEN};

#[tokio::test]
async fn signing_in_leads_to_the_page_asked_for() {
    let console = Console::open(full_app().await).await;
    who_is_signed_out_signs_in_and_sees_the_page_asked_for(&console).await;
    console.sign_in_as("ada", ConsoleRole::Admin).await;
    a_list_whose_session_ended_leads_to_signing_in(&console).await;
    console.close().await;
}

async fn who_is_signed_out_signs_in_and_sees_the_page_asked_for(console: &Console) {
    let chromium = &console.chromium;
    for (path, text) in pages() {
        console.go(&path).await;
        chromium.wait_for("h1", "Sign in to memberflow").await;
        assert!(chromium.path().await.starts_with("/console/sign-in?next="), "{path}");
        assert!(!chromium.text("body").await.contains(text), "{path}");
    }
    console.go("/console/members?sort=mrr").await;
    chromium.wait_until("document.activeElement.name === 'token'").await;
    chromium.fill("[name=token]", "a-guess").await;
    chromium.click_on("form:has([name=token])", "Sign in").await;
    chromium.wait_for("[role=alert]", "not the admin token").await;
    let log = chromium.log().await;
    assert!(log.len() == 1 && log[0].contains("a status of 401"), "{log:?}");
    chromium.fill("[name=token]", TOKEN).await;
    chromium.click_on("form:has([name=token])", "Sign in").await;
    chromium.wait_for_path("/console/members?sort=mrr").await;
    chromium.wait_for("tbody tr", "Ada Lovelace").await;
    assert_eq!(chromium.run("return document.cookie", json!([])).await, "", "out of scripts' reach");

    chromium.click_on("header", "Sign out").await;
    chromium.wait_for_path("/console/sign-in").await;
    chromium.back().await;
    chromium.wait_for("h1", "Sign in to memberflow").await;
    assert!(
        !chromium.text("body").await.contains("Ada Lovelace"),
        "no page comes out of the browser's memory"
    );
}

async fn a_list_whose_session_ended_leads_to_signing_in(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/members").await;
    chromium.delete_cookies().await;
    chromium.fill("#text", "ada").await;
    chromium.wait_for("h1", "Sign in to memberflow").await;
    let next = chromium.run("return document.querySelector('[name=next]').value", json!([])).await;
    assert!(next.as_str().unwrap().starts_with("/console/members?text=ada"), "{next}");
}
