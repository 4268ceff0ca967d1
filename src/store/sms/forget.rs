//! Forgets a person's text messages: removes Twilio's reports from the events, the facts and, where nobody else
//! has the number, the consent ledger.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::consent;
use crate::store::events::prune;
use crate::store::forgotten;

/// Empties the events of these rows of `sms_messages`, and of the messages `reports` that have no row; removes
/// what was derived from them and returns the number of messages. Numbers without anything else are removed too.
///
/// A number with messages of others keeps its consent: an opt-out is the number's, and whoever has it now must not be
/// texted because somebody else was forgotten. Opt-ins stay for the same reason, or an opt-out that one of them ended would
/// be in force again. Of the ledger's row the text is removed. Its sid stays, which the emptied event has in any case: by
/// it a rebuild knows the row as one whose event was emptied, and takes it over.
pub(in crate::store) async fn forget(
    tx: &mut PgConnection,
    rows: &[&str],
    reports: &[&str],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let sids: Vec<String> = sqlx::query_scalar(
        "select twilio_sid from public.sms_messages where id = any ($1::text[]::uuid[]) and twilio_sid <> ''
         union select unnest($2::text[])",
    )
    .bind(rows)
    .bind(reports)
    .fetch_all(&mut *tx)
    .await?;
    let sids: Vec<&str> = sids.iter().map(String::as_str).collect();
    forgotten::remember(tx, &sids, now).await?;
    let events: Vec<(String, String)> = sqlx::query_as(
        "select source, event_id from ingest.events where subject = any ($1) and source = 'twilio'",
    )
    .bind(sids.as_slice())
    .fetch_all(&mut *tx)
    .await?;
    let keys: Vec<(&str, &str)> = events.iter().map(|(source, id)| (source.as_str(), id.as_str())).collect();
    prune::prune_events(tx, &keys, now).await?;
    let (forgotten, kept): (i64, Vec<String>) = sqlx::query_as(
        "with theirs as (
             select sid, number from ingest.sms_facts where sid = any ($1)
         ), numbers as (
             select distinct number from theirs t where number is not null and not exists (
                 select from ingest.sms_facts o where o.number = t.number and o.sid not in (select sid from theirs))
         ), facts as (
             delete from ingest.sms_facts f using theirs t where f.sid = t.sid
         ), ledger as (
             delete from ingest.sms_consent_ledger l using numbers n where l.number = n.number
         ), kept as (
             update ingest.sms_consent_ledger l set keyword = null from theirs t
             where l.sid = t.sid and l.number not in (select number from numbers)
             returning l.number
         ), consents as (
             delete from public.sms_consents c using numbers n where c.number = n.number
         ), followers as (
             delete from ingest.sms_consent_followers f using numbers n where f.number = n.number
         ), unmatched as (
             delete from ingest.unmatched_numbers u using numbers n where u.number = n.number
         )
         select (select count(*) from theirs), array(select distinct number from kept)",
    )
    .bind(sids.as_slice())
    .fetch_one(&mut *tx)
    .await?;
    consent::update_consents(tx, &kept).await?;
    Ok(forgotten.unsigned_abs())
}
