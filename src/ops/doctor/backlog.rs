//! What waits: events on their way, parked facts, dead letters.

use sqlx::PgConnection;

use super::{Finding, Level};

const CHECK: &str = "backlog";
/// From so many events on, the outbox is not merely busy.
const LONG_OUTBOX: i64 = 10_000;

pub(super) async fn examine(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let there: bool = sqlx::query_scalar(
        "select to_regclass('ingest.outbox') is not null and to_regclass('ingest.parked') is not null
            and to_regclass('ingest.dead_letters') is not null",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        // The migrations' finding says so already.
        return Ok(Vec::new());
    }
    let outbox: i64 = count(connection, "select count(*) from ingest.outbox").await?;
    let dead: i64 = count(connection, "select count(*) from ingest.dead_letters").await?;
    let parked: Vec<(String, i64)> =
        sqlx::query_as("select reason, count(*) from ingest.parked group by reason order by reason")
            .fetch_all(connection)
            .await?;
    Ok(vec![waiting(outbox), parked_facts(&parked), dead_letters(dead)])
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}

fn waiting(events: i64) -> Finding {
    if events < LONG_OUTBOX {
        return Finding::fine(CHECK, format!("events in the outbox: {events}"));
    }
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("events in the outbox: {events}"),
        "see whether `memberflow serve` runs with the roles relay and consume, and whether RabbitMQ takes messages",
    )
}

fn parked_facts(parked: &[(String, i64)]) -> Finding {
    let total: i64 = parked.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return Finding::fine(CHECK, "nothing is parked");
    }
    let reasons: Vec<String> = parked.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    Finding::note(CHECK, format!("parked until the missing piece arrives: {}", reasons.join(", ")))
}

fn dead_letters(count: i64) -> Finding {
    if count == 0 {
        return Finding::fine(CHECK, "no dead letters");
    }
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("dead letters: {count}"),
        "memberflow dead-letters list; then redrive or drop each",
    )
}
