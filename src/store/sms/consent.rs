//! Consent: the ledger of opt-ins and opt-outs by text, the result for each number, and the columns that
//! follow it.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::facts::Fact;
use crate::project::twilio::{Consent, digits};
use crate::store::Texting;

/// Records consent from the messages; returns the numbers whose result changed.
pub(super) async fn write(tx: &mut PgConnection, facts: &[Fact]) -> Result<BTreeSet<String>, sqlx::Error> {
    let said: Vec<(&Fact, String, Consent)> = facts
        .iter()
        .filter_map(|fact| Some((fact, fact.message.row().number?, fact.message.consent()?)))
        .collect();
    if said.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ours = |fact: &Fact| {
        let address = if fact.message.is_incoming { &fact.message.to } else { &fact.message.from };
        address.as_ref().and_then(|(_, address)| digits(address))
    };
    let numbers: BTreeSet<String> = said.iter().map(|(_, number, _)| number.clone()).collect();
    sqlx::query(
        "insert into sms_consent_ledger
             (sid, number, sender, messaging_service_sid, opted_in, explicit, source, keyword, received_at)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::text[],
                              $8::text[], $9::timestamptz[])
         on conflict (sid) do update set
             number = excluded.number, sender = excluded.sender,
             messaging_service_sid = excluded.messaging_service_sid, opted_in = excluded.opted_in,
             explicit = excluded.explicit, source = excluded.source, keyword = excluded.keyword,
             received_at = excluded.received_at",
    )
    .bind(said.iter().map(|(fact, ..)| fact.sid.as_str()).collect::<Vec<_>>())
    .bind(said.iter().map(|(_, number, _)| number.as_str()).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, ..)| ours(fact)).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, ..)| fact.message.row().messaging_service_sid).collect::<Vec<_>>())
    .bind(said.iter().map(|(.., consent)| consent.opted_in).collect::<Vec<_>>())
    .bind(said.iter().map(|(.., consent)| consent.is_explicit).collect::<Vec<_>>())
    .bind(said.iter().map(|(.., consent)| consent.source.as_str()).collect::<Vec<_>>())
    .bind(said.iter().map(|(.., consent)| consent.keyword.as_deref()).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, ..)| fact.received_at).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    let changed: Vec<String> =
        sqlx::query_scalar(ANSWER).bind(numbers.into_iter().collect::<Vec<_>>()).fetch_all(tx).await?;
    Ok(changed.into_iter().collect())
}

/// An opt-out holds until a later opt-in to the same number of ours, or its Messaging Service. A number with
/// any opt-out in force is out. A keyword that is not a consent by itself counts only after an opt-out.
const ANSWER: &str = "
    with said as (
        select * from sms_consent_ledger where number = any($1)
    ), counted as (
        select s.* from said s
        where s.explicit or exists (
            select from said o where o.number = s.number and not o.opted_in and (o.received_at, o.sid) < (s.received_at, s.sid))
    ), in_force as (
        select c.* from counted c
        where c.opted_in or not exists (
            select from counted i
            where i.number = c.number and i.opted_in and (i.received_at, i.sid) > (c.received_at, c.sid)
              and (i.sender = c.sender or i.messaging_service_sid = c.messaging_service_sid
                   or c.sender is null and c.messaging_service_sid is null))
    ), answer as (
        select distinct on (number) number, opted_in, source, keyword, sid, received_at
        from in_force order by number, opted_in, received_at desc, sid desc
    )
    insert into sms_consents as a (number, opted_in, source, keyword, twilio_sid, changed_at)
    select number, opted_in, source, keyword, sid, received_at from answer
    on conflict (number) do update set
        opted_in = excluded.opted_in, source = excluded.source, keyword = excluded.keyword,
        twilio_sid = excluded.twilio_sid, changed_at = excluded.changed_at
    where (a.opted_in, a.source, a.keyword, a.twilio_sid, a.changed_at)
        is distinct from (excluded.opted_in, excluded.source, excluded.keyword, excluded.twilio_sid, excluded.changed_at)
    returning a.number";

/// Updates the consent columns of the application's tables for these numbers.
pub(super) async fn follow(
    tx: &mut PgConnection,
    numbers: &BTreeSet<String>,
    texting: &Texting,
) -> Result<(), sqlx::Error> {
    if numbers.is_empty() || texting.consent_tables.is_empty() {
        return Ok(());
    }
    sqlx::query("select ingest.follow_sms_consent($1, $2, $3)")
        .bind(numbers.iter().map(String::as_str).collect::<Vec<_>>())
        .bind(&texting.consent_tables)
        .bind(&texting.country_code)
        .execute(tx)
        .await?;
    Ok(())
}
