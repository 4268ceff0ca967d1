//! Which members a list holds, in which order, page by page.

use memberflow::ops::members::{
    Direction, Filter, ListError, Member, Page, PageRequest, Sort, SortBy, count, list, show,
};
use memberflow::ops::page::Count;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

use super::population::{Account, NOW, account, database, named, profile, row, subscription, tier};

async fn all(pool: &PgPool, filter: Filter) -> Vec<Member> {
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

const SORTS: [SortBy; 7] = [
    SortBy::CreatedAt,
    SortBy::Email,
    SortBy::Name,
    SortBy::Mrr,
    SortBy::Ltv,
    SortBy::TotalSpent,
    SortBy::LastLoginAt,
];

/// Members whose values are few and often absent: 60 accounts, so that every order is full of ties.
async fn population(pool: &PgPool) {
    sqlx::raw_sql(
        "insert into auth.users (id, email, created_at, is_sso_user)
         select md5('u' || i)::uuid, case when i % 4 > 0 then 'mail' || i % 9 || '@example.com' end,
                case when i % 5 > 0 then timestamptz '2026-01-01' + (i % 7) * interval '1 day' end, true
         from generate_series(1, 60) i;
         insert into public.user_profiles (user_id, first_name, last_name, is_active)
         select md5('u' || i)::uuid, case when i % 2 = 0 then 'Kim' else 'kim' end,
                case when i % 6 > 0 then 'No ' || i % 5 end, i % 7 > 0
         from generate_series(1, 50) i;
         insert into public.user_profiles (user_id, first_name, is_active)
         select md5('u' || i)::uuid, '  ', true from generate_series(51, 54) i;
         insert into public.user_profiles (user_id, first_name, is_active)
         select md5('u' || i)::uuid, 'Twice', true from generate_series(1, 5) i;
         insert into public.user_revenue_metrics (user_id, mrr, ltv, total_spent, currency)
         select md5('u' || i)::uuid, (i % 4) * 100, (i % 5 - 2) * 100, (i % 3) * 50, 'usd'
         from generate_series(1, 40) i;
         insert into public.user_activity_metrics (user_id, last_login_at)
         select md5('u' || i)::uuid, case when i % 3 > 0 then timestamptz '2026-02-01' - (i % 4) * interval '1 hour' end
         from generate_series(20, 55) i;",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// All pages, from the first to the last; on the way back they hold the same.
async fn walk(pool: &PgPool, sort: Sort, limit: u32) -> Vec<Member> {
    let mut request = PageRequest { sort, limit, ..PageRequest::default() };
    let mut pages = vec![list(pool, &request, NOW).await.unwrap()];
    while let Some(cursor) = pages[pages.len() - 1].next_cursor.clone() {
        assert_eq!(pages[pages.len() - 1].members.len(), limit as usize, "only the last page is short");
        assert!(pages.len() <= 60, "the pages never end");
        request.cursor = Some(cursor);
        pages.push(list(pool, &request, NOW).await.unwrap());
    }
    assert_eq!(pages[0].prev_cursor, None);
    for at in (1..pages.len()).rev() {
        request.cursor.clone_from(&pages[at].prev_cursor);
        let Page { members, next_cursor, prev_cursor, .. } = list(pool, &request, NOW).await.unwrap();
        assert_eq!(members, pages[at - 1].members, "back from page {at}");
        assert_eq!((next_cursor.is_some(), prev_cursor.is_some()), (true, at > 1));
    }
    pages.into_iter().flat_map(|page| page.members).collect()
}

/// What a member is sorted by, as something that compares like it; `None` where there is no value.
fn key(member: &Member, by: SortBy) -> Option<(i128, String)> {
    let moment = |moment: time::OffsetDateTime| (moment.unix_timestamp_nanos(), String::new());
    let amount = |amount: i64| Some((i128::from(amount), String::new()));
    match by {
        SortBy::CreatedAt => member.created_at.map(moment),
        SortBy::LastLoginAt => member.last_login_at.map(moment),
        SortBy::Email => member.email.clone().map(|email| (0, email)),
        SortBy::Name => member.full_name.as_ref().map(|name| (0, name.to_lowercase())),
        SortBy::Mrr => amount(member.mrr),
        SortBy::Ltv => amount(member.ltv),
        SortBy::TotalSpent => amount(member.total_spent),
    }
}

#[tokio::test]
async fn pages_in_any_order_hold_every_member_exactly_once() {
    let database = database().await;
    population(&database.pool).await;
    for by in SORTS {
        for direction in [Direction::Asc, Direction::Desc] {
            let sort = Sort { by, direction };
            let whole = walk(&database.pool, sort, 200).await;
            let mut ids: Vec<Uuid> = whole.iter().map(|member| member.user_id).collect();
            ids.sort();
            ids.dedup();
            assert_eq!((whole.len(), ids.len()), (60, 60), "{sort:?}");
            let mut keys: Vec<_> = whole.iter().map(|member| key(member, by)).collect();
            let shown = keys.clone();
            keys.sort_by(|one, other| match (one, other) {
                (Some(one), Some(other)) if direction == Direction::Asc => one.cmp(other),
                (Some(one), Some(other)) => other.cmp(one),
                (one, other) => other.is_some().cmp(&one.is_some()),
            });
            assert_eq!(shown, keys, "{sort:?}: in order, members without a value last");
            for limit in [1, 7, 59, 60] {
                assert_eq!(walk(&database.pool, sort, limit).await, whole, "{sort:?} by {limit}");
            }
        }
    }
}

#[tokio::test]
async fn filtered_pages_hold_every_match_exactly_once() {
    let database = database().await;
    population(&database.pool).await;
    let filter = Filter { text: Some("kim".to_owned()), ..Filter::default() };
    for by in SORTS {
        let sort = Sort { by, direction: Direction::Desc };
        let mut request = PageRequest { filter: filter.clone(), sort, limit: 4, cursor: None };
        let mut ids = Vec::new();
        loop {
            let page = list(&database.pool, &request, NOW).await.unwrap();
            ids.extend(page.members.iter().map(|member| member.user_id));
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        // 50 profiles, every seventh not active, five hidden behind a newer one of another name or not
        // (equal times: the higher id), so the whole list tells.
        let whole = all(&database.pool, filter.clone()).await.len();
        assert_eq!((count, ids.len()), (whole, whole), "{by:?}");
    }
}

#[tokio::test]
async fn page_cost_does_not_grow_with_the_table() {
    let database = database().await;
    let mut connection = database.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "insert into auth.users (id, email, created_at)
         select md5('u' || i)::uuid, 'mail' || i || '@example.com', timestamptz '2026-01-01' + i * interval '1 second'
         from generate_series(1, 20000) i;
         insert into public.user_profiles (user_id, first_name, last_name, is_active)
         select md5('u' || i)::uuid, 'Kim', 'No ' || i, true from generate_series(1, 20000) i;
         insert into public.user_revenue_metrics (user_id, mrr, ltv, total_spent, currency)
         select md5('u' || i)::uuid, i % 1000, i % 900, i % 800, 'usd' from generate_series(1, 12000) i;
         insert into public.user_activity_metrics (user_id, last_login_at)
         select md5('u' || i)::uuid, timestamptz '2026-02-01' + i * interval '1 minute'
         from generate_series(1, 15000) i;
         analyze;",
    )
    .execute(&mut *connection)
    .await
    .unwrap();
    drop(connection);
    // One connection, so that its counts are in before they are read.
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = options.connect(&database.url()).await.unwrap();
    for by in SORTS {
        for direction in [Direction::Asc, Direction::Desc] {
            let before = rows_scanned(&pool).await;
            let mut request = PageRequest { sort: Sort { by, direction }, ..PageRequest::default() };
            for _ in 0..3 {
                request.cursor = list(&pool, &request, NOW).await.unwrap().next_cursor;
                assert!(request.cursor.is_some());
            }
            let scanned = rows_scanned(&pool).await - before;
            assert!(scanned < 5_000, "{by:?} {direction:?} read {scanned} rows for 150 members");
        }
    }
    pool.close().await;
}

/// Rows read so far from the tables that grow with the number of members, by index or not.
async fn rows_scanned(pool: &PgPool) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()").execute(pool).await.unwrap();
    sqlx::query_scalar(
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
         where relname in ('users', 'user_profiles', 'user_revenue_metrics', 'user_activity_metrics')",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}
