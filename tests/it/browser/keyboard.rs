//! The console by keys alone.

use serde_json::json;

use super::app::full_app;
use super::chromium::{Chromium, ENTER, ESCAPE, TAB};
use super::{Console, axe};
use crate::console::pages::ADA;

/// Waits until the focus is on what `selector` names.
async fn wait_for_focus(chromium: &Chromium, selector: &str) {
    chromium.wait_until(&format!("document.activeElement.matches({})", json!(selector))).await;
}

/// Waits until the row with this number is chosen, no other is, and Enter would open it.
async fn wait_for_row(chromium: &Chromium, number: usize) {
    let row = format!("tbody tr:nth-child({number}).at");
    let is_alone = "document.querySelectorAll('tr.at').length === 1";
    let has_focus = format!("document.activeElement.closest('tr') === document.querySelector('{row}')");
    chromium.wait_until(&format!("{is_alone} && {has_focus}")).await;
}

#[tokio::test]
async fn keys_alone_reach_and_do_everything() {
    let console = Console::signed_in(full_app().await).await;
    rows_are_chosen_opened_and_left(&console).await;
    keys_search_and_lead_to_every_place(&console).await;
    tab_reaches_the_page_itself_and_tables_that_scroll(&console).await;
    rows_are_selected_and_their_act_is_shown_before_it_is_done(&console).await;
    dead_letters_are_redriven_by_a_key(&console).await;
    // Last, for the browser keeps what it chooses.
    colours_and_the_pause_are_kept_from_page_to_page(&console).await;
    console.close().await;
}

async fn rows_are_chosen_opened_and_left(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/members?sort=mrr").await;
    chromium.press(&["j"]).await;
    wait_for_row(chromium, 1).await;
    chromium.press(&["j", "j"]).await;
    wait_for_row(chromium, 3).await;
    chromium.press(&["k", "k", "k", "k"]).await;
    wait_for_row(chromium, 1).await;
    chromium.press(&[ESCAPE]).await;
    chromium.wait_until("!document.querySelector('tr.at') && document.activeElement === document.body").await;
    chromium.press(&["j", ENTER]).await;
    chromium.wait_for_path(&format!("/console/members/{ADA}")).await;
    chromium.back().await;
    chromium.wait_for_path("/console/members?sort=mrr").await;
}

async fn keys_search_and_lead_to_every_place(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/members").await;
    chromium.press(&["/"]).await;
    wait_for_focus(chromium, "[data-search]").await;
    chromium.press(&["g", "j", "?"]).await;
    chromium.wait_until("document.querySelector('#text').value === 'gj?'").await;
    chromium.wait_for("#list", "No member matches").await;
    chromium.press(&[ESCAPE]).await;
    wait_for_focus(chromium, "body").await;
    chromium.wait_until("document.querySelector('#text').value === 'gj?'").await;

    chromium.press(&["?"]).await;
    chromium.wait_until("document.querySelector('#keys').open").await;
    axe::assert_clean(chromium, "the keys").await;
    let places = chromium
        .run(
            "return [...document.querySelectorAll('[data-key]')].map((it) => [it.dataset.key, it.pathname])",
            json!([]),
        )
        .await;
    let places: Vec<(String, String)> = serde_json::from_value(places).unwrap();
    assert!(places.len() >= 8, "{places:?}");
    let sheet = chromium.text("#keys").await;
    chromium.press(&[ESCAPE]).await;
    chromium.wait_until("!document.querySelector('#keys').open").await;
    for (key, path) in &places {
        assert!(sheet.contains(&format!("g {key}")), "{sheet}");
        chromium.press(&["g", key.as_str()]).await;
        chromium.wait_for_path(path).await;
    }
    // A letter alone leads nowhere, nor does one long after g.
    chromium.press(&["m", "g", "m"]).await;
    chromium.wait_for_path("/console/members").await;
    chromium.assert_quiet("everywhere").await;
}

async fn tab_reaches_the_page_itself_and_tables_that_scroll(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/revenue?from=2026-01&to=2026-06").await;
    chromium.press(&[TAB]).await;
    wait_for_focus(chromium, "a.skip").await;
    chromium.press(&[ENTER]).await;
    wait_for_focus(chromium, "main").await;
    assert_eq!(chromium.count(".scroll[tabindex]").await, 0, "everything is seen");
    chromium.set_narrow(true).await;
    chromium.wait_until("document.querySelector('.scroll').tabIndex === 0").await;
    chromium.set_narrow(false).await;
}

async fn rows_are_selected_and_their_act_is_shown_before_it_is_done(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/events?state=dead").await;
    chromium.press(&["j", "x", "j", "x"]).await;
    chromium.wait_for("[data-picked]", "2 selected").await;
    chromium.press(&["x"]).await;
    chromium.wait_for("[data-picked]", "1 selected").await;
    chromium.click_on("#acts", "Drop …").await;
    chromium.wait_until("location.pathname === '/console/events/acts'").await;
    axe::assert_clean(chromium, "what dropping would do").await;
    let dead = console.app.rows("select count(*) from ingest.events where state = 'dead'").await;
    assert_eq!(dead, [json!({"count": 103})], "nothing is done yet");
}

async fn dead_letters_are_redriven_by_a_key(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/events?state=dead").await;
    chromium.press(&["r"]).await;
    // Nothing is chosen: the key before leads nowhere.
    chromium.press(&["?"]).await;
    chromium.wait_for("#keys", "redrive the selected dead letters").await;
    chromium.press(&[ESCAPE, "j", "r"]).await;
    chromium.wait_for("main", "1 dead letters would become pending").await;
    chromium.back().await;
    chromium.wait_for_path("/console/events?state=dead").await;
    chromium.click("tbody tr:first-child a[data-row]").await;
    chromium.wait_for("h2", "What it changed").await;
    chromium.press(&["r"]).await;
    chromium.wait_for("main", "1 dead letters would become pending").await;

    console.go("/console/attention").await;
    chromium.press(&["j", "r"]).await;
    wait_for_focus(chromium, "tr:has([value=unreadable]) [name=confirm]").await;
    chromium.press(&[ESCAPE, "j", "j", "r"]).await;
    chromium.wait_until("!document.querySelector('tr:has([value=broken])')").await;
    let states = console
        .app
        .rows("select state, count(*) from ingest.events where state <> 'applied' group by 1 order by 1");
    assert_eq!(
        states.await,
        [json!({"state": "dead", "count": 101}), json!({"state": "pending", "count": 2})]
    );
}

async fn colours_and_the_pause_are_kept_from_page_to_page(console: &Console) {
    let chromium = &console.chromium;
    chromium.set_scheme("light").await;
    console.go("/console/members").await;
    for chosen in ["light", "dark"] {
        chromium.click("#theme").await;
        chromium.wait_for("#theme", chosen).await;
    }
    chromium.press(&["."]).await;
    console.go("/console/tickets").await;
    chromium.wait_until("document.documentElement.dataset.theme === 'dark'").await;
    chromium.wait_until("getComputedStyle(document.documentElement).colorScheme === 'dark'").await;
    chromium.wait_until("document.querySelector('#live').ariaPressed === 'false'").await;
    axe::assert_clean(chromium, "dark where the system is light").await;
    chromium.press(&["."]).await;
    chromium.wait_until("document.querySelector('#live').ariaPressed === 'true'").await;
}
