//! The line of the MRR: its points show their values to the keyboard, too, and open the page as of that month.

use super::Console;
use super::app::full_app;
use super::chromium::{ENTER, TAB};

#[tokio::test]
async fn months_of_the_line_show_their_values_and_open_the_page_as_of_their_end() {
    let console = Console::signed_in(full_app().await).await;
    let chromium = &console.chromium;
    console.go("/console/revenue?from=2026-01&to=2026-06").await;
    chromium.wait_for("main", "from 1 customer").await;
    assert_eq!(chromium.count(".chart .value").await, 0);
    chromium.run("document.querySelector('main form button').focus()", serde_json::json!([])).await;
    for month in ["2026-01: 10.00 USD", "2026-02: 10.00 USD"] {
        chromium.press(&[TAB]).await;
        chromium
            .wait_until(&format!("document.activeElement.getAttribute('aria-label') === '{month}'"))
            .await;
        assert_eq!(chromium.count(".chart .value").await, 1, "{month}");
    }
    chromium.press(&[ENTER]).await;
    chromium.wait_for_path("/console/revenue?from=2026-01&to=2026-06&date=2026-02-28").await;
    console.close().await;
}
