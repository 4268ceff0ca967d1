//! Which members a list holds, and what it shows of each.

use memberflow::ops::members::{
    Direction, Filter, ListError, Member, PageRequest, Sort, SortBy, count, list, show,
};
use memberflow::ops::page::Count;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use super::population::{Account, NOW, account, database, named, profile, row, subscription, tier};

/// The members of one page that match.
pub(super) async fn all(pool: &PgPool, filter: Filter) -> Vec<Member> {
    let request = PageRequest { filter, limit: 200, ..PageRequest::default() };
    list(pool, &request, NOW).await.unwrap().members
}

async fn only(pool: &PgPool) -> Member {
    let mut members = all(pool, Filter::default()).await;
    assert_eq!(members.len(), 1);
    members.remove(0)
}

async fn emails(pool: &PgPool, filter: Filter) -> Vec<String> {
    let mut emails: Vec<_> = all(pool, filter).await.into_iter().filter_map(|member| member.email).collect();
    emails.sort();
    emails
}

#[tokio::test]
async fn several_profiles_newest_active_name_wins() {
    let database = database().await;
    let pool = &database.pool;
    let ada = named(pool, "ada@example.com").await;
    profile(pool, ada, "Ada", "Old", "2026-01-01T00:00:00Z").await;
    profile(pool, ada, "Ada", "Lovelace", "2026-03-01T00:00:00Z").await;
    let inactive = json!({"user_id": ada, "first_name": "Draft", "is_active": false, "phone": "+1 555",
        "updated_at": "2026-09-01T00:00:00Z"});
    row(pool, "public.user_profiles", inactive).await;

    assert_eq!(only(pool).await.full_name.as_deref(), Some("Ada Lovelace"));
    let by_name = Sort { by: SortBy::Name, direction: Direction::Asc };
    let page = list(pool, &PageRequest { sort: by_name, ..PageRequest::default() }, NOW).await.unwrap();
    assert_eq!(page.members.len(), 1);
    assert_eq!(page.members[0].full_name.as_deref(), Some("Ada Lovelace"));
}

#[tokio::test]
async fn a_member_with_nothing_but_an_account_has_zeros() {
    let database = database().await;
    let pool = &database.pool;
    let created_at = NOW - Duration::days(40);
    let phone = Some("+15550100");
    let id = account(pool, Account { phone, created_at: Some(created_at), ..Account::default() }).await;
    row(pool, "public.user_profiles", json!({"user_id": id, "first_name": "Gone", "is_active": false})).await;

    let member = only(pool).await;
    assert_eq!((member.user_id, member.email, member.full_name), (id, None, None));
    assert_eq!(member.phone.as_deref(), phone);
    assert_eq!(member.created_at, Some(created_at));
    assert_eq!((member.mrr, member.ltv, member.total_spent, member.currency), (0, 0, 0, None));
    assert_eq!((member.subscription_status, member.subscription_tier), (None, None));
    assert_eq!((member.vision_count, member.journal_entry_count, member.days_as_customer), (0, 0, 0));
    assert_eq!((member.last_login_at, member.days_since_last_login), (None, None));
    assert_eq!(member.engagement_status.as_deref(), Some("inactive"));
    assert_eq!(member.health_status.as_deref(), Some("healthy"));
    assert!(member.custom_tags.is_empty());
}

#[tokio::test]
async fn days_are_counted_at_the_moment_of_reading() {
    let database = database().await;
    let pool = &database.pool;
    let id = named(pool, "ada@example.com").await;
    let activity =
        json!({"user_id": id, "last_login_at": "2026-11-12T12:00:01Z", "days_since_last_login": 0});
    row(pool, "public.user_activity_metrics", activity).await;
    let revenue = json!({"user_id": id, "subscription_start_date": "2026-01-01T12:00:00Z"});
    row(pool, "public.user_revenue_metrics", revenue).await;

    let member = only(pool).await;
    assert_eq!(member.days_since_last_login, Some(7));
    assert_eq!(member.days_as_customer, 323);
}

#[tokio::test]
async fn the_leading_subscription_is_shown() {
    let database = database().await;
    let pool = &database.pool;
    let (pro, elite) = (tier(pool, "Pro").await, tier(pool, "Elite").await);
    let id = named(pool, "ada@example.com").await;
    subscription(pool, id, elite, "canceled", "2024-01-01T00:00:00Z").await;
    let shown = async |expected: (&str, &str, &str)| {
        let member = only(pool).await;
        let (status, tier) = (member.subscription_status.unwrap(), member.subscription_tier.unwrap());
        assert_eq!((status.as_str(), tier.as_str(), member.stripe_customer_id.unwrap().as_str()), expected);
    };
    let trialing = subscription(pool, id, elite, "trialing", "2025-01-01T00:00:00Z").await;
    shown(("trialing", "Elite", &trialing)).await;
    let younger = subscription(pool, id, elite, "active", "2025-03-01T00:00:00Z").await;
    shown(("active", "Elite", &younger)).await;
    let older = subscription(pool, id, pro, "active", "2025-02-01T00:00:00Z").await;
    shown(("active", "Pro", &older)).await;
    row(pool, "public.user_revenue_metrics", json!({"user_id": id, "subscription_tier": "Elite"})).await;
    shown(("active", "Elite", &younger)).await;
}

#[tokio::test]
async fn a_deleted_account_is_hidden() {
    let database = database().await;
    let pool = &database.pool;
    let email = Some("gone@example.com");
    let id = account(pool, Account { email, deleted: true, ..Account::default() }).await;
    profile(pool, id, "Gone", "Girl", "2026-01-01T00:00:00Z").await;
    row(pool, "public.user_revenue_metrics", json!({"user_id": id, "mrr": 100})).await;
    for by in SORTS {
        for direction in [Direction::Asc, Direction::Desc] {
            let request = PageRequest { sort: Sort { by, direction }, ..PageRequest::default() };
            assert_eq!(list(pool, &request, NOW).await.unwrap().members, [], "{by:?} {direction:?}");
        }
    }
    assert_eq!(show(pool, id, "1", NOW).await.unwrap(), None);
}

#[tokio::test]
async fn members_are_filtered_by_creation_of_the_account() {
    let database = database().await;
    let pool = &database.pool;
    for (email, days) in [("ada@example.com", 3), ("bob@example.com", 2), ("cy@example.com", 1)] {
        let created_at = Some(NOW - Duration::days(days));
        account(pool, Account { email: Some(email), created_at, ..Account::default() }).await;
    }
    let (since, until) = (Some(NOW - Duration::days(2)), Some(NOW - Duration::days(1)));
    let of = async |since, until| emails(pool, Filter { since, until, ..Filter::default() }).await;
    assert_eq!(of(since, until).await, ["bob@example.com"]);
    assert_eq!(of(since, None).await, ["bob@example.com", "cy@example.com"]);
    assert_eq!(of(None, since).await, ["ada@example.com"]);
    for (filter, rows) in [
        (Filter::default(), 3),
        (Filter { since, ..Filter::default() }, 2),
        (Filter { text: Some("bob".to_owned()), ..Filter::default() }, 1),
    ] {
        assert_eq!(count(pool, &filter).await.unwrap(), Some(Count { rows, is_capped: false }));
    }
}

#[tokio::test]
async fn search_finds_text_in_name_address_and_phone() {
    let database = database().await;
    let pool = &database.pool;
    let ada = named(pool, "ada@example.com").await;
    profile(pool, ada, "Ada", "Old", "2026-01-01T00:00:00Z").await;
    profile(pool, ada, "Ada", "50%_off\\", "2026-03-01T00:00:00Z").await;
    let bob = named(pool, "bob_smith@example.com").await;
    profile(pool, bob, "Bob", "Smith", "2026-01-01T00:00:00Z").await;
    let phone = Some("+4930123");
    account(pool, Account { email: Some("c@example.org"), phone, ..Account::default() }).await;
    for (text, found) in [
        ("ADA", &["ada@example.com"][..]),
        ("a 5", &["ada@example.com"]),
        ("0%_", &["ada@example.com"]),
        ("f\\", &["ada@example.com"]),
        ("%", &["ada@example.com"]),
        ("_", &["ada@example.com", "bob_smith@example.com"]),
        ("Old", &[]),
        ("example.com", &["ada@example.com", "bob_smith@example.com"]),
        ("4930", &["c@example.org"]),
        ("' or true --", &[]),
        ("", &["ada@example.com", "bob_smith@example.com", "c@example.org"]),
    ] {
        let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(emails(pool, filter).await, found, "{text:?}");
    }
}

#[tokio::test]
async fn each_filter_keeps_those_who_show_its_value() {
    let database = database().await;
    let pool = &database.pool;
    let (pro, elite) = (tier(pool, "Pro").await, tier(pool, "Elite").await);
    let ada = named(pool, "ada@example.com").await;
    subscription(pool, ada, pro, "active", "2025-01-01T00:00:00Z").await;
    let activity = json!({"user_id": ada, "engagement_status": "champion", "health_status": "healthy"});
    row(pool, "public.user_activity_metrics", activity).await;
    let bob = named(pool, "bob@example.com").await;
    subscription(pool, bob, elite, "past_due", "2025-01-01T00:00:00Z").await;
    subscription(pool, bob, pro, "canceled", "2024-01-01T00:00:00Z").await;
    let activity =
        json!({"user_id": bob, "engagement_status": "at_risk", "health_status": "needs_attention"});
    row(pool, "public.user_activity_metrics", activity).await;
    named(pool, "cy@example.com").await;

    let some = |value: &str| Some(value.to_owned());
    let default = Filter::default;
    for (filter, found) in [
        (Filter { engagement_status: some("champion"), ..default() }, &["ada@example.com"][..]),
        (Filter { engagement_status: some("inactive"), ..default() }, &["cy@example.com"]),
        (Filter { engagement_status: some("active"), ..default() }, &[]),
        (Filter { health_status: some("healthy"), ..default() }, &["ada@example.com", "cy@example.com"]),
        (Filter { health_status: some("needs_attention"), ..default() }, &["bob@example.com"]),
        (Filter { tier: some("pro"), ..default() }, &["ada@example.com"]),
        (Filter { tier: some("ELITE"), ..default() }, &["bob@example.com"]),
        (Filter { tier: some("none"), ..default() }, &[]),
        (Filter { status: some("active"), ..default() }, &["ada@example.com"]),
        (Filter { status: some("past_due"), ..default() }, &["bob@example.com"]),
        (Filter { status: some("canceled"), ..default() }, &[]),
        (Filter { status: some("active"), tier: some("elite"), ..default() }, &[]),
        (
            Filter { status: some("active"), text: some("ada"), health_status: some("healthy"), ..default() },
            &["ada@example.com"],
        ),
    ] {
        assert_eq!(emails(pool, filter.clone()).await, found, "{filter:?}");
    }
}

#[tokio::test]
async fn invalid_filters_are_rejected() {
    let database = database().await;
    let request = |limit, cursor: Option<&str>| PageRequest {
        limit,
        cursor: cursor.map(str::to_owned),
        ..PageRequest::default()
    };
    for limit in [0, 201, u32::MAX] {
        let refused = list(&database.pool, &request(limit, None), NOW).await;
        assert!(matches!(refused, Err(ListError::Limit)), "{limit}");
    }
    let refused = list(&database.pool, &request(1, Some("bm90IGEgY3Vyc29y")), NOW).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))));
    let filter = Filter { status: Some("happy".to_owned()), ..Filter::default() };
    let refused = list(&database.pool, &PageRequest { filter, ..PageRequest::default() }, NOW).await;
    assert!(matches!(refused, Err(ListError::Filter(_))));
}

/// Every order there is.
pub(super) const SORTS: [SortBy; 7] = [
    SortBy::CreatedAt,
    SortBy::Email,
    SortBy::Name,
    SortBy::Mrr,
    SortBy::Ltv,
    SortBy::TotalSpent,
    SortBy::LastLoginAt,
];
