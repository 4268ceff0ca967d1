//! The union of all reports of each message, and the columns computed from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::project::twilio::{Consent, Message, Row, SmsReport};

/// A message as stored.
#[derive(Debug, PartialEq)]
pub(super) struct Fact {
    pub sid: String,
    /// When the first report came.
    pub received_at: OffsetDateTime,
    pub message: Message,
    /// The number that had opted in or out by this message according to earlier reports, and whether in.
    pub consented_before: Option<(String, bool)>,
}

impl Fact {
    /// The number that opts in or out by this message, and how.
    pub fn consent(&self) -> Option<(String, Consent)> {
        consent_of(&self.message)
    }
}

fn consent_of(message: &Message) -> Option<(String, Consent)> {
    Some((message.row().number?, message.consent()?))
}

/// Joins `reports` with the stored messages; returns those that changed.
pub(super) async fn join(tx: &mut PgConnection, reports: Vec<SmsReport>) -> Result<Vec<Fact>, sqlx::Error> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let sids: BTreeSet<String> = reports.iter().map(|report| report.sid.clone()).collect();
    let stored: Vec<(String, OffsetDateTime, Json<Message>)> =
        sqlx::query_as("select sid, received_at, state from sms_facts where sid = any($1)")
            .bind(sids.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut *tx)
            .await?;
    let stored: HashMap<String, (OffsetDateTime, Message)> =
        stored.into_iter().map(|(sid, at, Json(message))| (sid, (at, message))).collect();
    let mut joined = BTreeMap::<String, (OffsetDateTime, Message)>::new();
    for SmsReport { sid, at, message } in reports {
        let of = joined
            .entry(sid)
            .or_insert_with_key(|sid| stored.get(sid).cloned().unwrap_or((at, Message::default())));
        of.0 = of.0.min(at);
        of.1.merge(message);
    }
    let changed = joined.into_iter().filter(|(sid, fact)| stored.get(sid) != Some(fact));
    let changed: Vec<Fact> = changed
        .map(|(sid, (received_at, message))| {
            let before = stored.get(&sid).and_then(|(_, message)| consent_of(message));
            let consented_before = before.map(|(number, consent)| (number, consent.opted_in));
            Fact { sid, received_at, message, consented_before }
        })
        .collect();
    write(tx, &changed).await?;
    Ok(changed)
}

async fn write(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), sqlx::Error> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row> = facts.iter().map(|fact| fact.message.row()).collect();
    let text = |pick: fn(&Row) -> Option<&str>| rows.iter().map(pick).collect::<Vec<_>>();
    let media = |row: &Row| {
        let urls: Vec<_> = row.media.iter().map(|file| file.url.clone()).collect();
        let types: Vec<_> = row.media.iter().map(|file| file.kind.clone()).collect();
        (urls, types)
    };
    let (urls, types): (Vec<_>, Vec<_>) =
        rows.iter().map(media).map(|(urls, types)| (Json(urls), Json(types))).unzip();
    sqlx::query(
        "insert into sms_facts as f
             (sid, number, direction, from_number, to_number, body, media_urls, media_types, status, twilio_status,
              error_code, error_message, num_segments, messaging_service_sid, tied, received_at, state)
         select sid, number, direction, from_number, to_number, body,
                array(select jsonb_array_elements_text(urls)), array(select jsonb_array_elements_text(types)),
                status, twilio_status, error_code, error_message, num_segments, messaging_service_sid, tied,
                received_at, state
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[],
                     $9::text[], $10::text[], $11::int[], $12::text[], $13::int[], $14::text[], $15::boolean[],
                     $16::timestamptz[], $17::jsonb[])
             as t (sid, number, direction, from_number, to_number, body, urls, types, status, twilio_status, error_code,
                   error_message, num_segments, messaging_service_sid, tied, received_at, state)
         on conflict (sid) do update set
             number = excluded.number, direction = excluded.direction, from_number = excluded.from_number,
             to_number = excluded.to_number, body = excluded.body, media_urls = excluded.media_urls,
             media_types = excluded.media_types, status = excluded.status, twilio_status = excluded.twilio_status,
             error_code = excluded.error_code, error_message = excluded.error_message,
             num_segments = excluded.num_segments, messaging_service_sid = excluded.messaging_service_sid,
             tied = excluded.tied, received_at = excluded.received_at, state = excluded.state",
    )
    .bind(facts.iter().map(|fact| fact.sid.as_str()).collect::<Vec<_>>())
    .bind(text(|row| row.number.as_deref()))
    .bind(text(|row| Some(row.direction)))
    .bind(text(|row| row.from_number.as_deref()))
    .bind(text(|row| row.to_number.as_deref()))
    .bind(text(|row| row.body.as_deref()))
    .bind(urls)
    .bind(types)
    .bind(text(|row| Some(row.status)))
    .bind(text(|row| row.twilio_status.as_deref()))
    .bind(rows.iter().map(|row| row.error_code).collect::<Vec<_>>())
    .bind(text(|row| row.error_message.as_deref()))
    .bind(rows.iter().map(|row| row.num_segments).collect::<Vec<_>>())
    .bind(text(|row| row.messaging_service_sid.as_deref()))
    .bind(rows.iter().map(|row| row.is_tied).collect::<Vec<_>>())
    .bind(facts.iter().map(|fact| fact.received_at).collect::<Vec<_>>())
    .bind(facts.iter().map(|fact| Json(&fact.message)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
