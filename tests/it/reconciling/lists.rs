//! How the lists of Stripe's API are read.

use memberflow::clock::Clock;
use memberflow::ops::progress::Progress;
use serde_json::json;

use super::stripe::in_step;
use super::{COMPARE, Options, ReconcileError, compared, config, fixed, found, lines, reconcile, with};
use crate::support::app::{BEGIN, NOW, paid_invoice, stripe, subscription};

#[tokio::test]
async fn truncated_lists_are_fetched_completely() {
    let (account, app) = in_step().await;
    let mut shown = subscription("sub_1", "cus_1", "active");
    shown["items"]["has_more"] = json!(true);
    app.apply([stripe("evt_many", "customer.subscription.updated", 5, shown.clone())]).await;
    account.has("subscriptions", shown.clone());
    for number in 1..=5 {
        let item = with(
            shown["items"]["data"][0].clone(),
            json!({"id": format!("si_{number}"), "subscription": "sub_1"}),
        );
        account.has("subscription_items", item);
    }
    assert_eq!(app.parked().await.iter().filter(|it| it.ends_with("items_truncated")).count(), 1);
    assert_eq!(fixed(&account, &app).await, ["subscription sub_1 items,items_truncated"]);
    assert_eq!(app.parked().await.iter().filter(|it| it.ends_with("items_truncated")).count(), 0);
    let mrr = app.rows("select mrr from public.user_revenue_metrics").await;
    assert_eq!(mrr, [json!({"mrr": 5000})]);
    assert_eq!(found(&account, &app).await, [""; 0]);
}

#[tokio::test]
async fn an_object_deleted_while_its_list_is_read_is_left_out() {
    let (account, app) = in_step().await;
    let draft = paid_invoice("in_draft", "cus_1", 1000);
    account.has("invoices", with(draft, json!({"lines": {"has_more": true, "data": []}})));
    account.has("invoices", paid_invoice("in_lost", "cus_1", 500));
    assert_eq!(found(&account, &app).await, ["invoice in_lost missing"]);
    assert!(account.asked().iter().any(|it| it.starts_with("/v1/invoices/in_draft/lines")));
}

#[tokio::test]
async fn circular_or_unexpandable_api_lists_end() {
    let (account, app) = in_step().await;
    // The first page of prices with expansions.
    account.refuses(1, 400);
    assert_eq!(found(&account, &app).await, [""; 0]);
    let asked = account.asked();
    assert_eq!(asked[1..3], ["/v1/prices?expand[0]=data.tiers&limit=100", "/v1/prices?limit=100"]);
    for list in ["products", "prices", "coupons", "customers", "subscriptions"] {
        account.lacks(list);
    }
    account.repeats("invoices");
    let (report, drifted) = compared(&account, &app, NOW, COMPARE).await.unwrap();
    assert_eq!(
        (report.skipped.len(), lines(&drifted)),
        (6, Vec::new()),
        "what no list can show is not missed"
    );
    assert!(report.skipped["/invoices"].contains("goes in a circle"), "{report:?}");
    for list in ["invoices", "invoice_payments", "charges", "refunds", "disputes"] {
        account.lacks(list);
    }
    let fault = compared(&account, &app, NOW, COMPARE).await.unwrap_err();
    assert!(matches!(fault, ReconcileError::Api { .. }), "no list at all is no account: {fault}");
}

#[tokio::test]
async fn since_skips_only_old_immutable_objects() {
    let (account, app) = in_step().await;
    account.has("invoices", with(paid_invoice("in_old", "cus_1", 1), json!({"created": BEGIN - 1})));
    account.has(
        "subscriptions",
        with(subscription("sub_old", "cus_1", "active"), json!({"created": BEGIN - 1})),
    );
    account.forgets("charges", "ch_2");
    let since = Some(time::OffsetDateTime::from_unix_timestamp(BEGIN).unwrap());
    let (_, drifted) = compared(&account, &app, NOW, Options { since, ..COMPARE }).await.unwrap();
    assert_eq!(lines(&drifted), ["charge ch_2 not at Stripe", "subscription sub_old missing"]);
    let since = Some(time::OffsetDateTime::from_unix_timestamp(BEGIN + 1).unwrap());
    let (_, drifted) = compared(&account, &app, NOW, Options { since, ..COMPARE }).await.unwrap();
    assert_eq!(lines(&drifted), ["subscription sub_old missing"]);
}

#[tokio::test]
async fn request_rate_holds_with_retries() {
    let (account, app) = in_step().await;
    for number in [3, 9] {
        account.refuses(number, 429);
    }
    let config = memberflow::config::Config { stripe_requests_per_second: 4, ..config(&account, &app) };
    let api = memberflow::ops::stripe_api::StripeApi::rate_limited(&config).unwrap().unwrap();
    let clock = Clock::fixed(NOW);
    reconcile::run(&app.store, &api, &clock, COMPARE, &mut Progress::Silent, |_| {}).await.unwrap();
    assert!(account.asked().len() > 12, "{:?}", account.asked());
    assert!(account.most_in_a_second() <= 4, "{}", account.most_in_a_second());
}
