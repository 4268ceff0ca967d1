//! Every page reads: with light and dark colours, on a telephone, by a screen reader.

use memberflow::config::console_roles::ConsoleRole;
use serde_json::{Value, json};

use super::app::{full_app, pages};
use super::chromium::TELEPHONE_WIDTH;
use super::{Console, axe};
use crate::support::app::TestApp;
use crate::support::database::TestDatabase;

/// What reaches over the right edge of the screen. Tables scroll in a box of their own.
const TOO_WIDE: &str = "
    return [...document.querySelectorAll('body *')]
        .filter((it) => it.checkVisibility() && it.getBoundingClientRect().right > arguments[0] + 1)
        .filter((it) => !it.closest('.scroll') || it.matches('.scroll'))
        .map((it) => it.outerHTML.slice(0, 200))";

/// The page that is open, in every way in which it can be read.
async fn look_from_all_sides(console: &Console, at: &str) {
    let chromium = &console.chromium;
    let ground = "return getComputedStyle(document.body).backgroundColor";
    chromium.set_scheme("light").await;
    axe::assert_clean(chromium, &format!("{at}, light")).await;
    let light = chromium.run(ground, json!([])).await;
    chromium.set_scheme("dark").await;
    assert_ne!(chromium.run(ground, json!([])).await, light, "{at}");
    chromium.set_narrow(true).await;
    axe::assert_appearance_clean(chromium, &format!("{at}, dark, on a telephone")).await;
    let too_wide = chromium.run(TOO_WIDE, json!([TELEPHONE_WIDTH])).await;
    assert_eq!(too_wide, Value::Array(Vec::new()), "{at}: {too_wide:#}");
    chromium.set_narrow(false).await;
}

#[tokio::test]
async fn every_page_reads_in_both_schemes_and_on_a_telephone() {
    let console = Console::signed_in(full_app().await).await;
    for (path, text) in pages() {
        console.go(&path).await;
        console.chromium.wait_for("main", text).await;
        look_from_all_sides(&console, &path).await;
        console.chromium.assert_quiet(&path).await;
    }
    console.close().await;
}

#[tokio::test]
async fn pages_without_rows_read_too() {
    let console = Console::open(TestApp::on(TestDatabase::migrated().await)).await;
    for path in ["/console/sign-in", "/console/sign-in/link?code=x"] {
        console.go(path).await;
        console.chromium.wait_for("h1", "Sign in").await;
        look_from_all_sides(&console, path).await;
        console.chromium.assert_quiet(path).await;
    }
    console.sign_in_as("ada", ConsoleRole::Admin).await;
    for path in [
        "",
        "/members",
        "/tickets",
        "/messages",
        "/revenue",
        "/campaigns",
        "/events",
        "/attention",
        "/jobs",
        "/audit",
    ] {
        console.go(&format!("/console{path}")).await;
        axe::assert_clean(&console.chromium, path).await;
        console.chromium.assert_quiet(path).await;
    }
    for (path, says) in [
        ("/console/nothing", "There is nothing at this address."),
        ("/console/campaigns/none", "There is no campaign none"),
        ("/console/members?status=happy", "expected one of active"),
    ] {
        console.go(path).await;
        console.chromium.wait_for("main", says).await;
        look_from_all_sides(&console, path).await;
        let log = console.chromium.log().await;
        let is_refusal = |line: &String| line.contains("responded with a status of 40");
        assert!(log.len() == 1 && log.iter().all(is_refusal), "{path}: {log:?}");
    }
    console.close().await;
}
