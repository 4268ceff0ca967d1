//! Lists are filtered and continued in place, and the address keeps what they show.

use serde_json::json;

use super::Console;
use super::app::full_app;
use super::chromium::{Chromium, ENTER};
use crate::console::pages::ADA;

async fn wait_for_rows(chromium: &Chromium, count: usize) {
    chromium.wait_until(&format!("document.querySelectorAll('#list tbody tr').length === {count}")).await;
}

async fn query_says(chromium: &Chromium, pair: &str) {
    let path = chromium.path().await;
    assert!(path.split(['?', '&']).any(|part| part == pair), "{path}");
}

#[tokio::test]
async fn lists_are_filtered_and_continued_in_place() {
    let console = Console::signed_in(full_app().await).await;
    members_are_found_while_one_types(&console).await;
    each_list_has_its_filters(&console).await;
    console.close().await;
}

async fn members_are_found_while_one_types(console: &Console) {
    let chromium = &console.chromium;
    chromium.set_timezone("Asia/Kolkata").await;
    console.go("/console/members").await;
    wait_for_rows(chromium, 50).await;
    chromium.run("window.isTheSamePage = true", json!([])).await;
    chromium.fill("#text", "lovelace").await;
    wait_for_rows(chromium, 1).await;
    query_says(chromium, "text=lovelace").await;
    chromium.wait_until("window.isTheSamePage && document.activeElement.id === 'text'").await;
    // What was put in place later is in the reader's time as well.
    let times = "const it = document.querySelector('#list td:last-child time'); return [it.dateTime, it.title, it.innerText]";
    let times = chromium.run(times, json!([])).await;
    let times: [String; 3] = serde_json::from_value(times).unwrap();
    assert!(times[1].ends_with(" UTC"), "{times:?}");
    let local = "const [date, form] = [new Date(arguments[0]), { timeZone: 'Asia/Kolkata', year: 'numeric', month: '2-digit',
                 day: '2-digit', hour: '2-digit', minute: '2-digit' }]; return new Intl.DateTimeFormat(undefined, form).format(date)";
    assert_eq!(chromium.run(local, json!([times[0]])).await, times[2]);

    chromium.back().await;
    wait_for_rows(chromium, 50).await;
    chromium.wait_for_path("/console/members").await;
    chromium.wait_until("document.querySelector('#text').value === ''").await;
    chromium.choose("status", "active").await;
    wait_for_rows(chromium, 1).await;
    query_says(chromium, "status=active").await;
    chromium.choose("status", "canceled").await;
    chromium.wait_for("#list", "No member matches").await;
    chromium.click_on("#list", "Clear the filter").await;
    wait_for_rows(chromium, 50).await;

    chromium.click_on("thead", "MRR").await;
    chromium.wait_for("tbody tr", "Ada Lovelace").await;
    assert_eq!(chromium.count("th[aria-sort=descending]").await, 1);
    chromium.click_on(".pages", "Next page").await;
    wait_for_rows(chromium, 11).await;
    chromium.click_on(".pages", "Previous page").await;
    wait_for_rows(chromium, 50).await;
    chromium.click_on(".pages", "Next page").await;
    wait_for_rows(chromium, 11).await;
    chromium.click_on(".pages", "First page").await;
    wait_for_rows(chromium, 50).await;
    let csv = "return fetch(document.querySelector('a[download]').href).then((it) => it.text())";
    let csv = chromium.run(csv, json!([])).await;
    assert!(csv.as_str().unwrap().contains(&ADA.to_string()), "{csv}");
    chromium.assert_quiet("members").await;
}

async fn each_list_has_its_filters(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/tickets").await;
    chromium.fill("#text", "engine").await;
    chromium.wait_until("location.search.includes('text=engine')").await;
    wait_for_rows(chromium, 1).await;
    chromium.choose("priority", "urgent").await;
    chromium.wait_for("#list", "No ticket matches").await;

    console.go("/console/campaigns").await;
    wait_for_rows(chromium, 1).await;
    chromium.choose("status", "archived").await;
    chromium.wait_for("#list", "No campaign matches").await;

    console.go("/console/audit").await;
    chromium.wait_for("#list", "members change").await;
    chromium.fill("[name=actor]", "nobody").await;
    chromium.press(&[ENTER]).await;
    chromium.wait_for("#list", "No act matches").await;

    console.go("/console/events?state=dead").await;
    wait_for_rows(chromium, 50).await;
    chromium.choose("state", "any").await;
    chromium.fill("[name=type]", "customer.*").await;
    chromium.click_on("form.filter", "Show").await;
    chromium.wait_for("#list", "customer.subscription.created").await;
    chromium.wait_until("!document.querySelector('#list').innerText.includes('invoice.paid')").await;
    chromium.click_on("#list", "sub_1").await;
    chromium.wait_until("location.search === '?object=sub_1'").await;
    wait_for_rows(chromium, 1).await;
    chromium.assert_quiet("what makes sense").await;

    chromium.fill("[name=since]", "soon").await;
    chromium.press(&[ENTER]).await;
    chromium.wait_for("#list [role=alert]", "since: ").await;
    let log = chromium.log().await;
    assert!(!log.is_empty() && log.iter().all(|line| line.contains("a status of 400")), "{log:?}");
    chromium.fill("[name=since]", "2026-01-01").await;
    chromium.press(&[ENTER]).await;
    // The form is replaced with the list.
    chromium.wait_until("location.search.includes('since=2026-01-01')").await;
    wait_for_rows(chromium, 1).await;
    chromium.fill("[name=q]", "type:invoice.* state:applied").await;
    chromium.press(&[ENTER]).await;
    // The form has the columns, too.
    chromium.wait_until("location.search.startsWith('?type=invoice.*&state=applied')").await;
    wait_for_rows(chromium, 1).await;
    chromium.wait_until("document.querySelector('[name=type]').value === 'invoice.*'").await;
}
