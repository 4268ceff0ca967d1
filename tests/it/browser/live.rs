//! An open page offers changes to what it shows, and never reloads by itself.

use std::cell::Cell;
use std::time::Duration;

use memberflow::ops::realtime;

use super::app::full_app;
use super::{Console, axe};
use crate::support::receiver::eventually;

/// From a change to the offer, which waits for more changes.
const OFFERED_WITHIN: Duration = Duration::from_secs(3);
const OFFERS: &str = "!document.getElementById('changed').hidden";

impl Console {
    async fn open_ticket(&self) {
        self.app
            .execute(
                "insert into public.support_tickets (subject, description, guest_email, created_at, updated_at)
                 values ('Later', 'x', 'guest@example.com', now(), now())",
            )
            .await;
    }

    /// Opens tickets until the page offers them: its stream may begin only now.
    async fn open_tickets_until_offered(&self) {
        eventually("the page says that something changed", async || {
            self.open_ticket().await;
            let offered = self.chromium.wait_until(OFFERS);
            tokio::time::timeout(OFFERED_WITHIN, offered).await.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn page_in_the_order_of_time_counts_what_is_new() {
    let console = Console::signed_in(full_app().await).await;
    let chromium = &console.chromium;
    console.go("/console/audit").await;
    chromium.wait_for("main", "members change").await;
    let acts = Cell::new(0);
    eventually("the page counts what is new", async || {
        acts.set(acts.get() + 1);
        console
            .app
            .execute(
                "insert into ingest.audit_log (actor, act, arguments, outcome, at)
                 values ('grace', 'rebuild', '{}', '{}', clock_timestamp() + interval '1 day')",
            )
            .await;
        let offered = chromium.wait_until(OFFERS);
        tokio::time::timeout(OFFERED_WITHIN, offered).await.ok()
    })
    .await;
    let acts = acts.get();
    chromium
        .wait_until(&format!("document.querySelector('#changed button').textContent === '{acts} new: show'"))
        .await;
    chromium.click("#changed button").await;
    chromium.wait_until("document.querySelectorAll('#list tbody tr').length > 1").await;
    console.close().await;
}

/// Lets the test read the page's streams.
const KEEP_STREAMS: &str = "
    window.streams = [];
    window.EventSource = class extends EventSource {
        constructor(address) { super(address); window.streams.push(this); }
    };";

#[tokio::test]
async fn a_page_offers_what_is_new_and_pauses_while_nobody_sees_it() {
    let app = full_app().await;
    realtime::install(&app.database.pool).await.unwrap();
    let console = Console::signed_in(app).await;
    let chromium = &console.chromium;
    chromium.run_before_pages(KEEP_STREAMS).await;
    console.go("/console/tickets").await;
    let rows = "document.querySelectorAll('#list tbody tr').length";
    chromium.wait_until(&format!("{rows} === 1 && !({OFFERS})")).await;
    console.open_tickets_until_offered().await;
    chromium.wait_until(&format!("{rows} === 1")).await;
    axe::assert_clean(chromium, "with something new").await;
    chromium.click("#changed button").await;
    chromium.wait_until(&format!("{rows} > 1 && streams.length === 1 && streams[0].readyState === 1")).await;

    chromium.set_hidden(true).await;
    chromium.wait_until("streams.every((it) => it.readyState === 2)").await;
    console.open_ticket().await;
    chromium.set_hidden(false).await;
    chromium.wait_until(OFFERS).await;
    chromium.wait_until("streams.length === 2 && /after=[^&]+/.test(streams[1].url)").await;
    chromium.assert_quiet("all the time").await;
    console.close().await;
}
