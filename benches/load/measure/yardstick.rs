//! What everything else is compared with: rows that the same PostgreSQL upserts in a second, 500 a statement and a commit
//! each. It goes up and down with the machine as the service does, so ratios to it can be compared across machines.

use std::time::Duration;

use memberflow::database::connect_unpooled;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use crate::durable::durable;
use crate::support::database::TestDatabase;

const ROWS: u128 = 20_000;
const ROWS_AT_ONCE: usize = 500;

const UPSERT: &str = "
    insert into yardstick as y (user_id, mrr, total_spent, status, updated_at)
    select user_id, mrr, total_spent, status, now()
    from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) as given (user_id, mrr, total_spent, status)
    on conflict (user_id) do update
    set mrr = excluded.mrr, total_spent = excluded.total_spent, status = excluded.status, updated_at = excluded.updated_at";

/// Rows per second, measured for so long.
pub async fn measure(lasting: Duration) -> f64 {
    let database = durable(TestDatabase::empty().await).await;
    // With the server's own settings, and as the service connects: every commit is on disk, and no statement waits for a
    // delayed acknowledgement.
    let options: PgConnectOptions = database.url().parse().unwrap();
    let mut connection = connect_unpooled(&options).await.unwrap();
    let table =
        "create table yardstick (user_id uuid primary key, mrr bigint, total_spent bigint, status text,
                                         updated_at timestamptz)";
    sqlx::query(table).execute(&mut connection).await.unwrap();
    let mut ids: Vec<Uuid> = (0..ROWS).map(|n| Uuid::new_v5(&Uuid::nil(), &n.to_be_bytes())).collect();
    // Once through, so that all rows are there and every later statement updates.
    for part in ids.chunks(ROWS_AT_ONCE) {
        upsert(&mut connection, part, 0).await;
    }
    fastrand::Rng::with_seed(1).shuffle(&mut ids);
    let (began, mut rows) = (Instant::now(), 0);
    for (round, part) in (1..).zip(ids.chunks(ROWS_AT_ONCE).cycle()) {
        upsert(&mut connection, part, round).await;
        rows += part.len();
        if began.elapsed() >= lasting {
            break;
        }
    }
    let rate = rows as f64 / began.elapsed().as_secs_f64();
    connection.close().await.unwrap();
    rate
}

async fn upsert(connection: &mut PgConnection, ids: &[Uuid], round: i64) {
    let amounts: Vec<i64> = (0..).take(ids.len()).map(|n| n * round).collect();
    let status = vec!["active"; ids.len()];
    let upsert = sqlx::query(UPSERT).bind(ids).bind(&amounts).bind(&amounts).bind(status);
    upsert.execute(connection).await.unwrap();
}
