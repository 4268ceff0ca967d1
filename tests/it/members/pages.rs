//! The pages of the member list, in every order, forwards and back.

use memberflow::ops::members::{Direction, Filter, Member, Page, PageRequest, Sort, SortBy, list};
use sqlx::PgPool;
use uuid::Uuid;

use super::population::{NOW, database, subscription, tier};
use super::query::{SORTS, all};

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
async fn walk(pool: &PgPool, filter: &Filter, sort: Sort, limit: u32) -> Vec<Member> {
    let mut request = PageRequest { filter: filter.clone(), sort, limit, cursor: None };
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
            let whole = walk(&database.pool, &Filter::default(), sort, 200).await;
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
            // One of the pages ends where the members without a value begin.
            let valued = u32::try_from(shown.iter().flatten().count()).unwrap();
            let smallest = if by == SORTS[0] { 1 } else { 7 };
            for limit in [smallest, valued, 59, 60] {
                let walked = walk(&database.pool, &Filter::default(), sort, limit).await;
                assert_eq!(walked, whole, "{sort:?} by {limit}");
            }
        }
    }
}

#[tokio::test]
async fn filtered_pages_hold_what_matches_of_the_whole_list_in_its_order() {
    let database = database().await;
    let pool = &database.pool;
    population(pool).await;
    let pro = tier(pool, "Pro").await;
    for member in all(pool, Filter::default()).await.iter().step_by(5) {
        for began in ["2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z"] {
            subscription(pool, member.user_id, pro, "past_due", began).await;
        }
    }
    let (text, status) = (Some("kim".to_owned()), Some("past_due".to_owned()));
    let filters = [
        Filter { text: text.clone(), ..Filter::default() },
        Filter { status: status.clone(), ..Filter::default() },
        Filter { text, status, ..Filter::default() },
    ];
    let matches = |member: &Member, filter: &Filter| {
        let is_named = member.full_name.as_ref().is_some_and(|name| name.to_lowercase().contains("kim"));
        (filter.text.is_none() || is_named)
            && (filter.status.is_none() || filter.status == member.subscription_status)
    };
    for by in SORTS {
        for direction in [Direction::Asc, Direction::Desc] {
            let sort = Sort { by, direction };
            let whole = walk(pool, &Filter::default(), sort, 200).await;
            for filter in &filters {
                let mut expected = whole.clone();
                expected.retain(|member| matches(member, filter));
                assert!(expected.len() > 4);
                assert_eq!(walk(pool, filter, sort, 4).await, expected, "{sort:?} {filter:?}");
            }
        }
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
