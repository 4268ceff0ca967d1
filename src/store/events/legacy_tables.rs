//! Moves what processes and triggers of earlier versions still write (outbox, failed events, dead letters) to
//! `ingest.events`, page by page. Each event is applied once, even if an earlier version applies it
//! meanwhile.
//!
//! An earlier consumer of the outbox deletes a row in one transaction and inserts its event in another, and commits the
//! deletion only after the insertion. Rows that it has locked are skipped here. New rows are written in
//! the common order of all writers, to avoid deadlocks.

use crate::store::{Store, StoreError};

/// Rows of one table in one transaction.
const PAGE: i64 = 500;

const OUTBOX: &str = r#"
    with taken as (
        delete from ingest.outbox where id = any (
            array(select id from ingest.outbox order by id limit $1 for update skip locked))
        returning *
    ), kept as (
        insert into ingest.events as e
            (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
        select distinct on (source collate "C", event_id collate "C")
               source, event_id, event_type, occurred_at, received_at, body, 'pending', now()
        from taken order by source collate "C", event_id collate "C"
        on conflict (source, event_id) do update set
            state = 'pending', attempts = 0, alone = false, next_attempt_at = now(), reason = null, dead_at = null
            where e.state = 'dead'
        returning 1
    )
    select count(*), (select ingest.wake_consumers()::text where exists (select from kept)) from taken"#;

const FAILING: &str = r#"
    with taken as (
        delete from ingest.failing f using (
            select source, event_id from ingest.failing order by next_at limit $1 for update skip locked) t
        where f.source = t.source and f.event_id = t.event_id
        returning f.*
    ), kept as (
        insert into ingest.events
            (source, event_id, event_type, occurred_at, received_at, body, state, attempts, alone, reason, next_attempt_at)
        select source, event_id, event_type, occurred_at, received_at, body, 'pending', attempts, attempts > 0,
               last_error, least(next_at, now() + interval '5 min')
        from taken order by source collate "C", event_id collate "C"
        on conflict (source, event_id) do nothing
    )
    select count(*), null from taken"#;

const DEAD_LETTERS: &str = r#"
    with taken as (
        delete from ingest.dead_letters where id = any (
            array(select id from ingest.dead_letters order by id limit $1 for update skip locked))
        returning *
    ), kept as (
        insert into ingest.events
            (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
        select source, event_id, event_type, occurred_at, received_at, body, 'dead', reason, dead_at
        from taken order by source collate "C", event_id collate "C"
        on conflict (source, event_id) do nothing
    )
    select count(*), null from taken"#;

impl Store {
    /// Moves all unlocked rows; returns their number.
    ///
    /// # Errors
    /// [`StoreError`]; pages moved before it are committed.
    pub async fn drain_legacy_tables(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        for page in [OUTBOX, FAILING, DEAD_LETTERS] {
            loop {
                let (rows, _): (i64, Option<String>) =
                    sqlx::query_as(page).bind(PAGE).fetch_one(&self.pool).await?;
                total += rows.unsigned_abs();
                if rows < PAGE {
                    break;
                }
            }
        }
        Ok(total)
    }
}
