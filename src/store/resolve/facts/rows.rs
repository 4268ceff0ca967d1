//! The stored facts about the application's rows and files.

use std::collections::HashMap;

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{HistoryPosition, Reported, Stored};
use crate::project::supabase::Row;

#[derive(FromRow)]
struct LoadedFact {
    relation: String,
    row_id: String,
    user_id: Option<Uuid>,
    counted: bool,
    amount: i64,
    #[sqlx(rename = "final")]
    is_final: bool,
    number: Option<i64>,
    occurred_at: OffsetDateTime,
    event_id: String,
}

/// The facts about the reported rows, by `relation/id`.
pub(in crate::store) async fn load(
    tx: &mut PgConnection,
    reported: &[Reported<Row>],
) -> Result<HashMap<String, Stored<Row>>, sqlx::Error> {
    let states = || reported.iter().map(|reported| &reported.report.state);
    let facts: Vec<LoadedFact> = sqlx::query_as(
        "select f.relation, f.row_id, f.user_id, f.counted, f.amount, f.final, f.number, f.occurred_at, f.event_id
         from (select distinct * from unnest($1::text[], $2::text[])) as w (relation, row_id)
         join row_facts f using (relation, row_id)",
    )
    .bind(states().map(|row| row.relation.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.row_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let facts = facts.into_iter().map(|fact| {
        let LoadedFact { relation, row_id, user_id, counted, amount, .. } = fact;
        let LoadedFact { is_final, number, occurred_at, event_id, .. } = fact;
        let subject = format!("{relation}/{row_id}");
        let state = Row { relation, row_id, user_id, counted, amount };
        (
            subject,
            Stored { position: HistoryPosition { is_final, sequence: number, occurred_at }, event_id, state },
        )
    });
    Ok(facts.collect())
}
