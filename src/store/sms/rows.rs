//! The rows of `sms_messages`: inserted if the application has none, completed by a trigger otherwise, and
//! assigned to the owner of their number.

use std::collections::BTreeSet;

use sqlx::{Executor as _, PgConnection};
use time::OffsetDateTime;

use super::consent::{self, ChangedConsent};
use super::{CONSENTS, MESSAGES};
use crate::store::{SmsSettings, Store, StoreError, locks};
use crate::{database, store};

/// Numbers matched again at once.
const PAGE: i64 = 500;
/// How long until a number is matched again.
const PAUSE: time::Duration = time::Duration::minutes(1);

/// Tells the trigger that memberflow writes, until the transaction ends.
const BEGIN_WRITING: &str = "select set_config('memberflow.writes_sms', 'yes', true)";
const END_WRITING: &str = "select set_config('memberflow.writes_sms', 'no', true)";

/// Inserts the missing rows of these messages, and completes the others.
pub(super) async fn write(tx: &mut PgConnection, sids: &BTreeSet<String>) -> Result<(), sqlx::Error> {
    let sids: Vec<&str> = sids.iter().map(String::as_str).collect();
    tx.execute(BEGIN_WRITING).await?;
    sqlx::query(
        "with facts as (
             select * from ingest.sms_facts where sid = any($1)
         ), completed as (
             update public.sms_messages m set twilio_sid = m.twilio_sid
             from facts f where m.twilio_sid = f.sid
               and to_jsonb(m) || ingest.completed_sms(to_jsonb(m), to_jsonb(f)) <> to_jsonb(m)
         )
         insert into public.sms_messages (id, twilio_sid, direction, from_number, to_number, body, status, created_at)
         select md5('memberflow sms ' || f.sid)::uuid, f.sid, f.direction, coalesce(f.from_number, ''),
                coalesce(f.to_number, ''), '', f.status, f.received_at
         from facts f where not exists (select from public.sms_messages m where m.twilio_sid = f.sid)
         order by f.sid
         on conflict do nothing",
    )
    .bind(sids)
    .execute(&mut *tx)
    .await?;
    tx.execute(END_WRITING).await?;
    Ok(())
}

/// Assigns unowned messages to the one member or lead with their number; records the numbers of nobody, or of
/// several.
pub(super) async fn assign_to_owners(
    tx: &mut PgConnection,
    sids: &BTreeSet<String>,
    settings: &SmsSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let numbers: Vec<String> = sqlx::query_scalar(
        "select distinct f.number from ingest.sms_facts f join public.sms_messages m on m.twilio_sid = f.sid
         where f.sid = any($1) and f.number is not null and m.user_id is null and m.lead_id is null",
    )
    .bind(sids.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    assign_numbers(tx, &numbers, settings, now).await?;
    Ok(())
}

/// Returns the numbers that were matched.
async fn assign_numbers(
    tx: &mut PgConnection,
    numbers: &[String],
    settings: &SmsSettings,
    now: OffsetDateTime,
) -> Result<BTreeSet<String>, sqlx::Error> {
    if numbers.is_empty() {
        return Ok(BTreeSet::new());
    }
    let found: Vec<String> = sqlx::query_scalar(
        "with holders as materialized (
             select n.number, h.users, h.leads
             from unnest($1::text[]) as n (number) cross join lateral ingest.holders_of_number(n.number, $2) h
         ), found as (
             select * from holders where cardinality(users) + cardinality(leads) = 1
         ), assigned as (
             update public.sms_messages m set user_id = h.users[1], lead_id = h.leads[1]
             from found h join ingest.sms_facts f on f.number = h.number
             where m.twilio_sid = f.sid and m.user_id is null and m.lead_id is null
         ), resolved as (
             delete from ingest.unmatched_numbers u using found h where u.number = h.number
         ), noted as (
             insert into ingest.unmatched_numbers as u (number, users, leads, checked_at, since)
             select number, users, leads, $3, $3 from holders where cardinality(users) + cardinality(leads) <> 1
             on conflict (number) do update set
                 users = excluded.users, leads = excluded.leads, checked_at = excluded.checked_at
         )
         select number from found",
    )
    .bind(numbers)
    .bind(&settings.country_code)
    .bind(now)
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().collect())
}

/// Matches unmatched numbers again, those checked longest ago first; returns how many were matched. Earlier
/// consent by text then applies.
pub(in crate::store) async fn match_again(store: &Store) -> Result<usize, StoreError> {
    let now = store.now();
    let settings = &store.settings().sms;
    let mut tx = database::begin(store.pool()).await?;
    let numbers: Vec<String> = sqlx::query_scalar(
        "select number from ingest.unmatched_numbers where checked_at <= $1 order by checked_at limit $2",
    )
    .bind(now - PAUSE)
    .bind(PAGE)
    .fetch_all(&mut *tx)
    .await?;
    if numbers.is_empty() {
        return Ok(0);
    }
    locks::lock(&mut tx).await?;
    let numbers = assign_numbers(&mut tx, &numbers, settings, now).await?;
    let matched = numbers.len();
    consent::update_columns(&mut tx, &ChangedConsent { numbers, ..ChangedConsent::default() }, settings)
        .await?;
    tx.commit().await?;
    Ok(matched)
}

/// Adds the messages that differ from their facts to a rebuild's differences.
pub(in crate::store) async fn compare(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into differences (relation, key, before, after)
         select $1, jsonb_build_object('twilio_sid', f.sid), case when m.id is not null then to_jsonb(m) end,
                coalesce(to_jsonb(m), '{}') || ingest.completed_sms(coalesce(to_jsonb(m), '{}'), to_jsonb(f))
         from sms_facts f left join public.sms_messages m on m.twilio_sid = f.sid
         where m.id is null or to_jsonb(m) || ingest.completed_sms(to_jsonb(m), to_jsonb(f)) <> to_jsonb(m)",
    )
    .bind(MESSAGES)
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the messages among a rebuild's differences, whose facts have already been repaired, and the columns that
/// follow repaired consent.
pub(in crate::store) async fn repair(
    tx: &mut PgConnection,
    settings: &SmsSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let sids = differing_keys(tx, MESSAGES, "twilio_sid").await?;
    let withdrawn = differing_keys(tx, CONSENTS, "number").await?;
    if sids.is_empty() && withdrawn.is_empty() {
        return Ok(());
    }
    store::tables::Tables::Live.set_search_path(&mut *tx).await?;
    if !sids.is_empty() {
        write(tx, &sids).await?;
        assign_to_owners(tx, &sids, settings, now).await?;
    }
    let changed = ChangedConsent { withdrawn, ..ChangedConsent::default() };
    consent::update_columns(tx, &changed, settings).await?;
    store::tables::Tables::Shadow.set_search_path(tx).await
}

/// The keys of a rebuild's differences of this table.
async fn differing_keys(
    tx: &mut PgConnection,
    relation: &str,
    column: &str,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let keys: Vec<String> = sqlx::query_scalar("select key ->> $2 from differences where relation = $1")
        .bind(relation)
        .bind(column)
        .fetch_all(tx)
        .await?;
    Ok(keys.into_iter().collect())
}
