//! The members as tables on a terminal.

use memberflow::cli::members::{WIDTH, detail, table};
use memberflow::ops::members::{PageRequest, Sort, SortBy, list, show};
use serde_json::json;

use super::population::{NOW, cancel, database, named, profile, row, subscription, tier};

#[tokio::test]
async fn the_list_is_a_table_that_fits_a_terminal() {
    let database = database().await;
    let pool = &database.pool;
    let pro = tier(pool, "Vision Pro (28 days)").await;
    let ada = named(pool, "ada@example.com").await;
    profile(pool, ada, "Ada", "Lovelace", "2026-01-01T00:00:00Z").await;
    subscription(pool, ada, pro, "active", "2026-01-01T00:00:00Z").await;
    let revenue =
        json!({"user_id": ada, "mrr": 10_707, "ltv": 1_234_567, "total_spent": 1_234_567, "currency": "usd"});
    row(pool, "public.user_revenue_metrics", revenue).await;
    let activity = json!({"user_id": ada, "last_login_at": "2026-11-20T08:00:00Z",
        "engagement_status": "champion", "health_status": "healthy"});
    row(pool, "public.user_activity_metrics", activity).await;
    let kenji = named(pool, "a.rather.long.address.of.kenji.watanabe@subdomain.example.co.jp").await;
    profile(pool, kenji, "Kenji\u{1b}[31m", "Watanabe", "2026-01-01T00:00:00Z").await;
    subscription(pool, kenji, pro, "past_due", "2026-01-01T00:00:00Z").await;
    let revenue = json!({"user_id": kenji, "mrr": 5000, "ltv": -300, "total_spent": 0, "currency": "jpy"});
    row(pool, "public.user_revenue_metrics", revenue).await;
    let activity = json!({"user_id": kenji, "last_login_at": "2026-11-01T08:00:00Z",
        "engagement_status": "at_risk", "health_status": "needs_attention"});
    row(pool, "public.user_activity_metrics", activity).await;
    named(pool, "zoe@example.com").await;

    let sort = Sort { by: SortBy::TotalSpent, direction: SortBy::TotalSpent.natural_direction() };
    let page = list(pool, &PageRequest { sort, ..PageRequest::default() }, NOW).await.unwrap();
    let text = table(&page.members, WIDTH).trim_fmt();
    for line in text.lines() {
        assert!(line.chars().count() <= usize::from(WIDTH), "{line}");
    }
    insta::assert_snapshot!("list", text);
}

#[tokio::test]
async fn member_shows_subscriptions_and_payments() {
    let database = database().await;
    let pool = &database.pool;
    let ada = named(pool, "ada@example.com").await;
    let pro = tier(pool, "Pro").await;
    let customer = subscription(pool, ada, pro, "past_due", "2026-01-01T00:00:00Z").await;
    let payment = json!({"user_id": ada, "amount": 4900, "status": "succeeded", "currency": "eur",
        "stripe_invoice_id": "in_1", "paid_at": "2026-01-01T10:30:00Z", "amount_refunded": 100,
        "amount_disputed": 0, "created_at": "2026-01-01T00:00:00Z"});
    row(pool, "public.payment_history", payment).await;
    cancel(pool).await;
    let text = detail(&show(pool, ada, "1", NOW).await.unwrap().unwrap());
    for part in [
        "ada@example.com",
        "past due (collection paused)",
        "2026-12-20",
        "cancellation requested, too expensive",
        "Pro",
        &customer,
        "in_1",
        "49.00 EUR",
        "1.00 EUR",
        "2026-01-01 10:30",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}
