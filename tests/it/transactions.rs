//! Transactions that somebody began and then no longer waited for.

use futures_util::{FutureExt as _, poll};
use memberflow::database::{begin, begin_reading};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::yield_now;

use crate::support::database::TestDatabase;

/// Given up at every point on the way, from before the connection was there to after the answer.
const POINTS: usize = 40;

#[tokio::test]
async fn a_begin_that_is_given_up_leaves_no_transaction_on_the_connection() {
    let database = TestDatabase::empty().await;
    sqlx::query("create table kept (point int)").execute(&database.pool).await.unwrap();
    let one = PgPoolOptions::new().max_connections(1).connect_with(database.options()).await.unwrap();
    for point in 0..POINTS {
        give_up(begin(&one).boxed(), point).await;
        keep(&one, point).await;
        give_up(begin_reading(&one).boxed(), point).await;
        keep(&one, point).await;
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from kept").fetch_one(&database.pool).await.unwrap();
    assert_eq!(kept, 2 * i64::try_from(POINTS).unwrap(), "others do not see what was written");
}

/// Lets `work` go so far, and no further.
async fn give_up(mut work: impl Future + Unpin, point: usize) {
    for _ in 0..point {
        if poll!(&mut work).is_ready() {
            return;
        }
        yield_now().await;
    }
}

/// Whoever is next on the connection writes something and is told that it is committed.
async fn keep(pool: &PgPool, point: usize) {
    let point = i32::try_from(point).unwrap();
    sqlx::query("insert into kept values ($1)").bind(point).execute(pool).await.unwrap();
}
