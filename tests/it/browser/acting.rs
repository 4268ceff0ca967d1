//! What operators do on the pages, and what becomes of it.

use serde_json::{Value, json};

use super::Console;
use super::app::full_app;
use crate::console::pages::{ADA, TICKET};

impl Console {
    /// What the audit log says of Ada, who is signed in.
    async fn acts(&self) -> Vec<Value> {
        let acts = self.app.rows("select act from ingest.audit_log where actor = 'ada' order by id").await;
        acts.into_iter().map(|row| row["act"].clone()).collect()
    }
}

#[tokio::test]
async fn acts_are_done_on_the_pages_and_audited() {
    let console = Console::signed_in(full_app().await).await;
    members_and_tickets_are_changed_on_their_pages(&console).await;
    dead_letters_are_dropped_once_their_number_is_typed(&console).await;
    console.close().await;
}

async fn members_and_tickets_are_changed_on_their_pages(console: &Console) {
    let chromium = &console.chromium;
    console.go(&format!("/console/members/{ADA}")).await;
    chromium.choose("health_status", "needs_attention").await;
    chromium.fill("[name=custom_tags]", "vip\nearly").await;
    chromium.fill("[name=admin_notes]", "Likes engines.").await;
    chromium.click_on("main", "Save").await;
    chromium.wait_for(".cards", "needs_attention").await;
    chromium.wait_until("document.querySelector('[name=custom_tags]').value === 'vip\\nearly'").await;

    console.go(&format!("/console/tickets/{TICKET}")).await;
    chromium.fill("[name=message]", "Have you wound it?").await;
    chromium.click_on("main", "Send").await;
    chromium.wait_for(".entries", "Have you wound it?").await;
    chromium.fill("[name=message]", "Call her.").await;
    chromium.click("[name=is_internal]").await;
    chromium.click_on("main", "Send").await;
    chromium.wait_for(".entries .note", "Call her.").await;
    chromium.choose("status", "resolved").await;
    chromium.click_on("main", "Set the status").await;
    chromium.wait_for(".facts", "resolved").await;
    chromium.fill("[name=assigned_to]", &ADA.to_string()).await;
    chromium.click_on("main", "Assign").await;
    chromium.wait_for(".facts code", &ADA.to_string()).await;

    chromium.assert_quiet("what is allowed").await;
    let acts = console.acts().await;
    assert_eq!(
        acts,
        ["members change", "tickets reply", "tickets reply", "tickets status", "tickets assign"]
    );
}

async fn dead_letters_are_dropped_once_their_number_is_typed(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/attention").await;
    chromium.click_on("tr:has([value=broken])", "Redrive").await;
    chromium.wait_until("!document.querySelector('tr:has([value=broken])')").await;

    let many = "tr:has([value=unreadable])";
    chromium.fill(&format!("{many} [name=confirm]"), "100").await;
    chromium.click_on(many, "Drop").await;
    chromium.wait_for("main", "type 101 next to the button").await;
    let log = chromium.log().await;
    assert!(log.len() == 1 && log[0].contains("a status of 400"), "{log:?}");
    chromium.back().await;
    chromium.fill(&format!("{many} [name=confirm]"), "101").await;
    chromium.click_on(many, "Drop").await;
    chromium.wait_for("main", "Every event could be applied.").await;
    let states = console.app.rows("select distinct state from ingest.events where state <> 'applied'").await;
    assert_eq!(states, [json!({"state": "pending"})]);
}
