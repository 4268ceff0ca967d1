//! The Revenue page, and what its amounts and cohorts lead to.

use axum::http::StatusCode;

use super::Browser;
use super::pages::{ADA, ada};
use crate::support::app::{customer, stripe, subscription};

#[tokio::test]
async fn an_amount_of_the_waterfall_leads_to_its_movements_their_members_and_events() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/revenue?from=2025-12&to=2026-02&date=2026-01-31").await;
    page.assert_shows(&["from 1 customer<", "<polyline", "Opening: 0.00 USD", "Closing: 10.00 USD"]);
    page.assert_says(&[
        "Customers who are still there",
        "100 % <small>1</small>",
        "100 % <small>10.00 USD</small>",
    ]);
    let movements = browser.get(&page.link("10.00 USD")).await;
    movements.assert_shows(&["ada@example.com", &format!("/console/members/{ADA}"), "10.00 USD"]);
    browser.get(&movements.link("evt_2")).await.assert_shows(&["customer.subscription.created"]);
    let before = browser.get("/console/revenue?from=2026-01&to=2026-01&known_at=2025-01-01").await;
    before.assert_shows(&["No subscription has been worth anything yet"]);
    let none = "/console/revenue/movements?currency=usd&month=2026-01&kind=churn";
    browser.get(none).await.assert_shows(&["No movement of this kind in this month"]);
}

#[tokio::test]
async fn cohort_cell_leads_to_its_customers_and_those_who_left() {
    let app = ada().await;
    app.apply([
        stripe("evt_bob_1", "customer.created", 0, customer("cus_bob", "bob@example.com")),
        stripe("evt_bob_2", "customer.subscription.created", 5, subscription("sub_bob", "cus_bob", "active")),
        stripe(
            "evt_bob_3",
            "customer.subscription.deleted",
            40 * 86_400,
            subscription("sub_bob", "cus_bob", "canceled"),
        ),
    ])
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/revenue?from=2026-01&to=2026-03").await;
    let of = |month: &str| format!("/console/revenue/cohort?currency=usd&began=2026-01&month={month}");
    for month in ["2026-01", "2026-02", "2026-03"] {
        page.assert_shows(&[&of(month).replace('&', "&#38;")]);
    }
    let first = browser.get(&of("2026-01")).await;
    first.assert_shows(&["ada@example.com", &format!("/console/members/{ADA}"), "cus_bob"]);
    assert!(!first.body.contains("has left"));
    browser.get(&of("2026-02")).await.assert_shows(&["has left", "cus_bob", "10.00 USD"]);
    browser.get(&of("2025-12").replace("2026-01", "2025-11")).await.assert_shows(&["Nobody began"]);
    browser.get(&of("May")).await.assert_is(StatusCode::BAD_REQUEST, "invalid month");
}

#[tokio::test]
async fn revenue_shows_a_line_a_waterfall_and_a_table() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/revenue?from=2026-01&to=2026-02").await;
    page.assert_shows(&[
        "10.00 USD",
        "from 1 customer<",
        "<th scope=\"row\">2026-01</th>",
        "/console/revenue?from=2026-01&#38;to=2026-02&#38;date=2026-02-28\" aria-label=\"2026-02: 10.00 USD\"",
    ]);
    assert_eq!(
        ["<circle", "<rect"].map(|it| page.body.matches(it).count()),
        [2, 9],
        "two months, each with its place, and seven bars"
    );
    let before = browser.get("/console/revenue?known_at=2020-01-01").await;
    before.assert_shows(&["as it was known at", "No subscription has been worth anything yet"]);
}
