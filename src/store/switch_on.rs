//! The first start: what the tables held before memberflow becomes part of the set of events.

use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, apply};
use crate::database;
use crate::envelope::{Envelope, Source};
use crate::project::internal::{FoundSubscription, Internal};

/// Rows that are read in at once.
const PAGE: i64 = 500;

/// The counts, the last login and the profile's completion as they stand become an event for each member, and
/// the facts that this event makes; the statuses count as set by hand. The facts stand for what is not known in
/// detail: whatever an event tells takes the login's and the profile's place and adds to the counts.
const KEEP: [&str; 5] = [
    "insert into ingest.inbox (source, event_id, event_type, occurred_at, received_at, applied_at, body)
     select 'internal', 'found/activity/' || user_id, 'found_activity', $1, $1, $1,
            convert_to(jsonb_build_object(
                'type', 'found_activity', 'user_id', user_id,
                'last_login_at_us', (extract(epoch from last_login_at) * 1000000)::bigint,
                'logins', coalesce(total_logins, 0) - (last_login_at is not null)::int,
                'files', coalesce(s3_file_count, 0),
                'file_bytes', coalesce(total_storage_mb * 1048576, 0)::bigint,
                'visions', coalesce(vision_count, 0),
                'journal_entries', coalesce(journal_entry_count, 0),
                'profile_percent', coalesce(profile_completion_percent, 0))::text, 'UTF8')
     from public.user_activity_metrics
     on conflict do nothing",
    "insert into ingest.row_facts (relation, row_id, user_id, counted, amount, occurred_at, final, event_id, tied)
     select f.relation, f.row_id, (e.body ->> 'user_id')::uuid, true, f.amount, 'epoch', false, e.event_id, false
     from (select event_id, convert_from(body, 'UTF8')::jsonb as body
           from ingest.inbox where source = 'internal' and event_type = 'found_activity') e
     cross join lateral (values
         ('found.logins', e.body ->> 'user_id', (e.body ->> 'logins')::bigint),
         ('found.files', e.body ->> 'user_id', (e.body ->> 'files')::bigint),
         ('found.file_bytes', e.body ->> 'user_id', (e.body ->> 'file_bytes')::bigint),
         ('found.visions', e.body ->> 'user_id', (e.body ->> 'visions')::bigint),
         ('found.journal_entries', e.body ->> 'user_id', (e.body ->> 'journal_entries')::bigint),
         ('public.user_profiles', 'found/' || (e.body ->> 'user_id'), (e.body ->> 'profile_percent')::bigint)
     ) as f (relation, row_id, amount)
     where f.amount <> 0
     on conflict do nothing",
    "insert into ingest.logins (session_id, user_id, logged_in_at)
     select 'found/' || user_id, user_id, last_login_at from public.user_activity_metrics
     where last_login_at is not null
     on conflict do nothing",
    "insert into ingest.activity (user_id, logins, files, file_bytes, visions, journal_entries)
     select user_id, coalesce(total_logins, 0), coalesce(s3_file_count, 0),
            coalesce(total_storage_mb * 1048576, 0)::bigint, coalesce(vision_count, 0), coalesce(journal_entry_count, 0)
     from public.user_activity_metrics
     where (coalesce(total_logins, 0), coalesce(s3_file_count, 0), coalesce(total_storage_mb, 0),
            coalesce(vision_count, 0), coalesce(journal_entry_count, 0)) <> (0, 0, 0, 0, 0)
     on conflict do nothing",
    "update public.user_activity_metrics set
         engagement_status_is_manual = engagement_status is not null,
         health_status_is_manual = health_status is not null",
];

impl Store {
    /// Reads in what stands in the tables, unless that was done before: activity as it was counted so far and
    /// the rows of `customer_subscriptions` become internal events, and statuses that members have count as
    /// set by hand. Interrupted, it goes on next time; nothing is read
    /// twice, whoever else starts at the same time.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn switch_on(&self) -> Result<(), StoreError> {
        let (pool, now) = self.parts();
        let done: bool = sqlx::query_scalar("select exists (select from ingest.switched_on where completed)")
            .fetch_one(pool)
            .await?;
        if done {
            return Ok(());
        }
        self.keep_what_stands().await?;
        let mut after = Uuid::nil();
        while let Some(last) = self.read_in(after, now).await? {
            after = last;
        }
        sqlx::query("update ingest.switched_on set completed = true").execute(pool).await?;
        Ok(())
    }

    /// What stands in `user_activity_metrics`, once, before any event is applied: none of it is ours yet.
    async fn keep_what_stands(&self) -> Result<(), StoreError> {
        let (pool, now) = self.parts();
        let mut tx = database::begin(pool).await?;
        apply::lock(&mut tx).await?;
        let first = sqlx::query("insert into ingest.switched_on (at) values ($1) on conflict do nothing")
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        if first == 1 {
            let [events, facts @ ..] = KEEP;
            sqlx::query(events).bind(now).execute(&mut *tx).await?;
            for statement in facts {
                sqlx::query(statement).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Applies one page of rows as events; returns the last row's id.
    async fn read_in(&self, after: Uuid, now: OffsetDateTime) -> Result<Option<Uuid>, StoreError> {
        let (pool, _) = self.parts();
        let rows = sqlx::query(
            "select id, user_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status::text,
                    created_at, canceled_at, membership_tier_id
             from public.customer_subscriptions where id > $1 and stripe_customer_id <> '' order by id limit $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        let mut last = None;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let found = found(row)?;
            last = Some(found.id);
            events.push(event(found, now)?);
        }
        self.apply(events).await?;
        Ok(last)
    }
}

fn found(row: &sqlx::postgres::PgRow) -> Result<FoundSubscription, sqlx::Error> {
    let created: Option<OffsetDateTime> = row.try_get(6)?;
    let canceled: Option<OffsetDateTime> = row.try_get(7)?;
    Ok(FoundSubscription {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        customer: row.try_get(2)?,
        subscription: row.try_get(3)?,
        price: row.try_get(4)?,
        tier: row.try_get(8)?,
        status: row.try_get(5)?,
        created: created.unwrap_or(OffsetDateTime::UNIX_EPOCH).unix_timestamp(),
        canceled_at: canceled.map(OffsetDateTime::unix_timestamp),
    })
}

fn event(found: FoundSubscription, now: OffsetDateTime) -> Result<Envelope, sqlx::Error> {
    let event_id = format!("found/{}", found.id);
    let body =
        serde_json::to_vec(&Internal::Found(found)).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(Envelope {
        source: Source::Internal,
        event_id,
        event_type: "found".to_owned(),
        occurred_at: now,
        received_at: now,
        body: body.into(),
    })
}
