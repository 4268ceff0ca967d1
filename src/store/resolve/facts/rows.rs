//! The stored facts about the application's rows and files.

use std::collections::HashMap;

use sqlx::{PgConnection, Row as _};

use super::{Reported, Stored, Winner};
use crate::project::supabase::Row;

/// The facts about the reported rows, by `relation/id`.
pub(in crate::store) async fn stored(
    tx: &mut PgConnection,
    reported: &[Reported<Row>],
) -> Result<HashMap<String, Stored<Row>>, sqlx::Error> {
    let states = || reported.iter().map(|reported| &reported.report.state);
    let rows = sqlx::query(
        "select f.relation, f.row_id, f.user_id, f.counted, f.amount, f.final, f.number, f.occurred_at, f.event_id
         from (select distinct * from unnest($1::text[], $2::text[])) as w (relation, row_id)
         join row_facts f using (relation, row_id)",
    )
    .bind(states().map(|row| row.relation.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.row_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let state = Row {
                relation: row.try_get(0)?,
                row_id: row.try_get(1)?,
                user_id: row.try_get(2)?,
                counted: row.try_get(3)?,
                amount: row.try_get(4)?,
            };
            let subject = format!("{}/{}", state.relation, state.row_id);
            let moment = (row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
            Ok((subject, Stored { moment, event_id: row.try_get(8)?, state }))
        })
        .collect()
}

/// Stores the winners as facts.
pub(in crate::store) async fn write(
    tx: &mut PgConnection,
    winners: &[Winner<Row>],
) -> Result<(), sqlx::Error> {
    if winners.is_empty() {
        return Ok(());
    }
    let states = || winners.iter().map(|winner| &winner.reported.report.state);
    sqlx::query(
        "insert into row_facts
             (relation, row_id, user_id, counted, amount, occurred_at, final, number, event_id, tied)
         select * from unnest($1::text[], $2::text[], $3::uuid[], $4::bool[], $5::bigint[], $6::timestamptz[], $7::bool[], $8::bigint[], $9::text[], $10::bool[])
         on conflict (relation, row_id) do update set
             user_id = excluded.user_id, counted = excluded.counted, amount = excluded.amount,
             occurred_at = excluded.occurred_at, final = excluded.final, number = excluded.number,
             event_id = excluded.event_id, tied = excluded.tied",
    )
    .bind(states().map(|row| row.relation.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.row_id.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.user_id).collect::<Vec<_>>())
    .bind(states().map(|row| row.counted).collect::<Vec<_>>())
    .bind(states().map(|row| row.amount).collect::<Vec<_>>())
    .bind(winners.iter().map(|winner| winner.reported.report.occurred_at).collect::<Vec<_>>())
    .bind(winners.iter().map(|winner| winner.reported.report.is_final).collect::<Vec<_>>())
    .bind(winners.iter().map(|winner| winner.reported.report.number).collect::<Vec<_>>())
    .bind(winners.iter().map(|winner| winner.reported.event_id.as_str()).collect::<Vec<_>>())
    .bind(winners.iter().map(|winner| winner.tied).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
