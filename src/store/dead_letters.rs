//! Events that cannot be applied, kept with the reason.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::envelope::Envelope;

/// Keeps `dead` events, each with its reason. One that is already there keeps its first reason; one that was
/// applied (the broker may not have heard of it) is not dead.
///
/// # Errors
/// Whatever the database says.
pub async fn insert(
    tx: &mut PgConnection,
    dead: &[(Envelope, String)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if dead.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into ingest.dead_letters
             (source, event_id, event_type, occurred_at, received_at, body, reason, dead_at)
         select source, event_id, event_type, occurred_at, received_at, body, reason, $8
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[], $7::text[])
             as d (source, event_id, event_type, occurred_at, received_at, body, reason)
         where not exists (select from ingest.inbox i where i.source = d.source and i.event_id = d.event_id)
         on conflict (source, event_id) do nothing",
    )
    .bind(dead.iter().map(|(e, _)| e.source.as_str()).collect::<Vec<_>>())
    .bind(dead.iter().map(|(e, _)| e.event_id.as_str()).collect::<Vec<_>>())
    .bind(dead.iter().map(|(e, _)| e.event_type.as_str()).collect::<Vec<_>>())
    .bind(dead.iter().map(|(e, _)| e.occurred_at).collect::<Vec<_>>())
    .bind(dead.iter().map(|(e, _)| e.received_at).collect::<Vec<_>>())
    .bind(dead.iter().map(|(e, _)| &e.body[..]).collect::<Vec<_>>())
    .bind(dead.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
