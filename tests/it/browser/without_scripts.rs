//! Without scripts every page reads and works, by links and forms.

use serde_json::json;

use super::app::{full_app, pages};
use super::{Console, TOKEN};
use crate::console::pages::{ADA, TICKET};

#[tokio::test]
async fn pages_are_read_filtered_and_acted_on_without_scripts() {
    let console = Console::open(full_app().await).await;
    let chromium = &console.chromium;
    chromium.forbid_scripts().await;
    console.go("/console/members?sort=mrr").await;
    chromium.fill("[name=token]", TOKEN).await;
    chromium.click_on("form:has([name=token])", "Sign in").await;
    chromium.wait_for_path("/console/members?sort=mrr").await;
    assert_eq!(chromium.run("return 'htmx' in window", json!([])).await, false, "no script has run");
    for (path, text) in pages() {
        console.go(&path).await;
        chromium.wait_for("main", text).await;
        assert_eq!(chromium.count("dialog, #changed, .htmx-indicator").await, 0, "{path}");
    }

    console.go("/console/members").await;
    chromium.click_on(".pages", "Next page").await;
    chromium.wait_until("document.querySelectorAll('#list tbody tr').length === 11").await;
    chromium.fill("#text", "lovelace").await;
    chromium.choose("status", "active").await;
    chromium.click_on("form.filter", "Show").await;
    chromium.wait_until("document.querySelectorAll('#list tbody tr').length === 1").await;
    let path = chromium.path().await;
    assert!(path.contains("text=lovelace") && path.contains("status=active"), "{path}");
    let is_utc = "document.querySelector('td:last-child time').title.startsWith(document.querySelector('td:last-child time').innerText)";
    chromium.wait_until(is_utc).await;
    chromium.click_on("tbody", "Ada Lovelace").await;
    chromium.wait_for_path(&format!("/console/members/{ADA}")).await;

    chromium.fill("[name=admin_notes]", "Likes engines.").await;
    chromium.click_on("main", "Save").await;
    chromium.wait_until("document.querySelector('[name=was_admin_notes]').value === 'Likes engines.'").await;
    console.go(&format!("/console/tickets/{TICKET}")).await;
    chromium.fill("[name=message]", "Have you wound it?").await;
    chromium.click_on("main", "Send").await;
    chromium.wait_for(".entries", "Have you wound it?").await;
    console.go("/console/attention").await;
    chromium.click_on("tr:has([value=broken])", "Redrive").await;
    chromium.wait_until("!document.querySelector('tr:has([value=broken])')").await;
    chromium.click_on("header", "Sign out").await;
    chromium.wait_for("h1", "Sign in to memberflow").await;
    chromium.back().await;
    chromium.wait_for("h1", "Sign in to memberflow").await;
    console.close().await;
}
