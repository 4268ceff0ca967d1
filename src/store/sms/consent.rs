//! Consent: the ledger of opt-ins and opt-outs by text, the result for each number, and the columns that
//! follow it.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::facts::Fact;
use crate::project::twilio::{Consent, digits};
use crate::store::SmsSettings;

/// The numbers whose consent changed.
#[derive(Debug, Default)]
pub(super) struct ChangedConsent {
    /// Those whose consent changed.
    pub numbers: BTreeSet<String>,
    /// Those with a message that turned out to be no opt-in or opt-out, or the opposite one.
    pub withdrawn: BTreeSet<String>,
}

/// Records the opt-ins and opt-outs of the messages, and removes those of messages that are none any more.
pub(super) async fn write(tx: &mut PgConnection, facts: &[Fact]) -> Result<ChangedConsent, sqlx::Error> {
    let mut consents: Vec<(&Fact, String, Consent)> = Vec::new();
    let (mut sids, mut withdrawn) = (Vec::new(), BTreeSet::new());
    let mut numbers = BTreeSet::new();
    for fact in facts {
        let consent = fact.consent();
        if let Some((number, opted_in)) = &fact.consented_before
            && consent.as_ref().is_none_or(|(now, consent)| (now, consent.opted_in) != (number, *opted_in))
        {
            withdrawn.insert(number.clone());
        }
        match consent {
            Some((number, consent)) => {
                numbers.insert(number.clone());
                consents.push((fact, number, consent));
            }
            None if fact.consented_before.is_some() => sids.push(fact.sid.as_str()),
            None => {}
        }
    }
    if !sids.is_empty() {
        sqlx::query("delete from sms_consent_ledger where sid = any($1)")
            .bind(sids)
            .execute(&mut *tx)
            .await?;
    }
    record(tx, &consents).await?;
    numbers.extend(withdrawn.iter().cloned());
    let numbers: Vec<String> = numbers.into_iter().collect();
    let changed = update_consents(tx, &numbers).await?;
    Ok(ChangedConsent { numbers: changed.into_iter().collect(), withdrawn })
}

/// Computes the consents of these numbers from the ledger and stores them; returns the numbers whose consent changed.
pub(in crate::store) async fn update_consents(
    tx: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(UPDATE_CONSENTS).bind(numbers).fetch_all(tx).await
}

async fn record(tx: &mut PgConnection, consents: &[(&Fact, String, Consent)]) -> Result<(), sqlx::Error> {
    if consents.is_empty() {
        return Ok(());
    }
    let ours = |fact: &Fact| {
        let address = if fact.message.is_incoming { &fact.message.to } else { &fact.message.from };
        address.as_ref().and_then(|(_, address)| digits(address))
    };
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
    .bind(consents.iter().map(|(fact, ..)| fact.sid.as_str()).collect::<Vec<_>>())
    .bind(consents.iter().map(|(_, number, _)| number.as_str()).collect::<Vec<_>>())
    .bind(consents.iter().map(|(fact, ..)| ours(fact)).collect::<Vec<_>>())
    .bind(consents.iter().map(|(fact, ..)| fact.message.row().messaging_service_sid).collect::<Vec<_>>())
    .bind(consents.iter().map(|(.., consent)| consent.opted_in).collect::<Vec<_>>())
    .bind(consents.iter().map(|(.., consent)| consent.is_explicit).collect::<Vec<_>>())
    .bind(consents.iter().map(|(.., consent)| consent.source.as_str()).collect::<Vec<_>>())
    .bind(consents.iter().map(|(.., consent)| consent.keyword.as_deref()).collect::<Vec<_>>())
    .bind(consents.iter().map(|(fact, ..)| fact.received_at).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// An opt-out holds until a later opt-in to the same number of ours, or its Messaging Service. A number with
/// any opt-out in force is out. A keyword that is not a consent by itself counts only after an opt-out. Numbers
/// of which nothing is left in the ledger have no consent.
const UPDATE_CONSENTS: &str = "
    with recorded as (
        select * from sms_consent_ledger where number = any($1)
    ), counted as (
        select s.* from recorded s
        where s.explicit or exists (
            select from recorded o where o.number = s.number and not o.opted_in and (o.received_at, o.sid) < (s.received_at, s.sid))
    ), in_force as (
        select c.* from counted c
        where c.opted_in or not exists (
            select from counted i
            where i.number = c.number and i.opted_in and (i.received_at, i.sid) > (c.received_at, c.sid)
              and (i.sender = c.sender or i.messaging_service_sid = c.messaging_service_sid
                   or c.sender is null and c.messaging_service_sid is null))
    ), result as (
        select distinct on (number) number, opted_in, source, keyword, sid, received_at
        from in_force order by number, opted_in, received_at desc, sid desc
    ), withdrawn as (
        delete from sms_consents a
        where a.number = any($1) and not exists (select from result w where w.number = a.number)
        returning a.number
    ), written as (
        insert into sms_consents as a (number, opted_in, source, keyword, twilio_sid, changed_at)
        select number, opted_in, source, keyword, sid, received_at from result
        on conflict (number) do update set
            opted_in = excluded.opted_in, source = excluded.source, keyword = excluded.keyword,
            twilio_sid = excluded.twilio_sid, changed_at = excluded.changed_at
        where (a.opted_in, a.source, a.keyword, a.twilio_sid, a.changed_at)
            is distinct from (excluded.opted_in, excluded.source, excluded.keyword, excluded.twilio_sid, excluded.changed_at)
        returning a.number
    )
    select number from written union all select number from withdrawn";

/// Updates the consent columns of the application's tables. Those of numbers with a withdrawn consent are first set
/// to what they were without it.
pub(super) async fn update_columns(
    tx: &mut PgConnection,
    ChangedConsent { numbers, withdrawn }: &ChangedConsent,
    settings: &SmsSettings,
) -> Result<(), sqlx::Error> {
    if settings.consent_tables.is_empty() {
        return Ok(());
    }
    if !withdrawn.is_empty() {
        sqlx::query("select ingest.give_back_sms_consent($1, $2)")
            .bind(withdrawn.iter().map(String::as_str).collect::<Vec<_>>())
            .bind(&settings.consent_tables)
            .execute(&mut *tx)
            .await?;
    }
    let numbers: Vec<String> = numbers.union(withdrawn).cloned().collect();
    if !numbers.is_empty() {
        sqlx::query("select ingest.follow_sms_consent($1, $2, $3)")
            .bind(numbers)
            .bind(&settings.consent_tables)
            .bind(&settings.country_code)
            .execute(tx)
            .await?;
    }
    Ok(())
}
