//! Demo data: tiers, members and tickets of the fixtures; seeding is idempotent.

use std::path::Path;

use memberflow::clock::Clock;
use memberflow::dev::demo;
use memberflow::ops::fixture::{self, Member};
use memberflow::store::events::EventKey;

use crate::support::database::TestDatabase;

#[tokio::test]
async fn second_sign_up_changes_nothing() {
    let database = TestDatabase::migrated().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let tiers = fixture::tiers(&folder).unwrap();
    let scenarios = fixture::scenarios(&folder).unwrap();
    let members: Vec<&Member> = scenarios.iter().flat_map(|scenario| &scenario.members).collect();

    demo::insert_tiers(&database.pool, &tiers).await.unwrap();
    let reported = demo::sign_up(&database.pool, &members).await.unwrap();
    let before = content(&database).await;
    demo::insert_tiers(&database.pool, &tiers).await.unwrap();
    let signed_up_again = demo::sign_up(&database.pool, &members).await.unwrap();

    assert_eq!(content(&database).await, before);
    assert_eq!(before.0, tiers.len());
    assert_eq!((before.1, before.2), (members.len(), members.len()));
    let pending = "select source, event_id from ingest.events where state = 'pending' order by id";
    let pending: Vec<EventKey> = sqlx::query_as(pending).fetch_all(&database.pool).await.unwrap();
    assert_eq!(reported, pending);
    assert_eq!(signed_up_again, [], "nobody signed up a second time");
}

#[tokio::test]
async fn demo_tickets_wait_are_answered_reopened_and_closed() {
    let database = TestDatabase::migrated().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let scenarios = fixture::scenarios(&folder).unwrap();
    let members: Vec<&Member> = scenarios.iter().flat_map(|scenario| &scenario.members).collect();
    demo::sign_up(&database.pool, &members).await.unwrap();
    let tickets = fixture::tickets(&folder).unwrap();
    for _ in 0..2 {
        demo::open_tickets(&database.pool, &tickets, Clock::System.now()).await.unwrap();
        let said =
            "select concat_ws(' ', p.first_name, t.status, t.waiting_for, t.reply_count, t.reopened_count)
            from public.support_tickets t join public.user_profiles p using (user_id) order by 1";
        let said: Vec<String> = sqlx::query_scalar(said).fetch_all(&database.pool).await.unwrap();
        assert_eq!(
            said,
            [
                "Anna open staff 1 0",
                "Ben waiting_reply member 1 0",
                "Farid open staff 2 1",
                "Greta closed 1 0"
            ]
        );
    }
}

/// Tiers, accounts and profiles, counted, and all of them as text.
async fn content(database: &TestDatabase) -> (usize, usize, usize, String) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for table in ["public.membership_tiers", "auth.users", "public.user_profiles"] {
        let all = sqlx::AssertSqlSafe(format!("select t::text from {table} t order by id"));
        rows.push(sqlx::query_scalar(all).fetch_all(&database.pool).await.unwrap());
    }
    (rows[0].len(), rows[1].len(), rows[2].len(), rows.concat().join("\n"))
}
