//! Support tickets get numbers that never collide.

use std::collections::BTreeSet;

use sqlx::PgPool;

use super::{apply, execute, texts};
use crate::support::database::TestDatabase;

const NEW_TICKET: &str = "insert into public.support_tickets (subject, description) values ('Help', 'It is broken.') returning ticket_number";

async fn new_ticket(pool: &PgPool) -> String {
    sqlx::query_scalar(NEW_TICKET).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn numbers_begin_at_one_with_four_digits_and_outgrow_them() {
    let database = TestDatabase::migrated().await;
    assert_eq!(new_ticket(&database.pool).await, "SUPP-0001");
    execute(&database.pool, "select setval('public.support_ticket_numbers', 9998)").await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(new_ticket(&database.pool).await);
    }
    assert_eq!(numbers, ["SUPP-9999", "SUPP-10000", "SUPP-10001"]);
}

#[tokio::test]
async fn tickets_made_at_once_never_collide() {
    let database = TestDatabase::migrated().await;
    let made: Vec<Vec<String>> = futures_util::future::join_all((0..6).map(|_| async {
        let mut numbers = Vec::new();
        for _ in 0..20 {
            numbers.push(new_ticket(&database.pool).await);
        }
        numbers
    }))
    .await;
    let distinct: BTreeSet<String> = made.into_iter().flatten().collect();
    assert_eq!(distinct.len(), 120);
}

#[tokio::test]
async fn a_deployments_own_numbering_stays() {
    let database = TestDatabase::stubbed().await;
    execute(&database.pool, include_str!("deployment.sql")).await;
    apply(&database).await;
    assert_eq!(new_ticket(&database.pool).await, "SUPP-0042");
    let default = "select column_default::text from information_schema.columns
        where table_name = 'support_tickets' and column_name = 'ticket_number' and column_default is not null";
    assert!(texts(&database.pool, default).await.is_empty());
}

#[tokio::test]
async fn where_there_is_no_numbering_ours_begins_above_the_highest_number() {
    let database = TestDatabase::stubbed().await;
    execute(&database.pool, include_str!("deployment.sql")).await;
    execute(
        &database.pool,
        "drop trigger set_ticket_number on public.support_tickets;
         insert into public.support_tickets (ticket_number, subject, description)
             values ('SUPP-99999999999999999999', 'Help', 'A number that is none of ours.')",
    )
    .await;
    apply(&database).await;
    assert_eq!(new_ticket(&database.pool).await, "SUPP-0042");
}
