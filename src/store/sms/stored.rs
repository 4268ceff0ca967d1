//! The stored state of text messages, for comparison with Twilio's API. Read-only.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::types::Json;

use crate::project::twilio::Message;
use crate::store::{Store, StoreError};

/// The stored state of one message.
#[derive(Clone, Debug, Default)]
pub struct StoredMessage {
    /// The union of its reports, if any.
    pub message: Option<Message>,
    /// The text in its row, which the application may have written.
    pub body: Option<String>,
    /// It belonged to a forgotten person. Earlier versions did not note that: they only removed its reports
    /// (pruning by age keeps the facts).
    pub is_forgotten: bool,
}

impl Store {
    /// The stored state of the messages `sids`, without unknown ones.
    pub async fn stored_messages(&self, sids: &[&str]) -> Result<HashMap<String, StoredMessage>, StoreError> {
        let rows = sqlx::query(
            "select w.sid, f.state, m.body, p.pruned and f.sid is null or g.id is not null
             from unnest($1::text[]) as w (sid)
             cross join lateral (
                 select exists (select from ingest.events i where i.subject = w.sid and i.pruned_at is not null)
             ) p (pruned)
             left join ingest.sms_facts f on f.sid = w.sid
             left join ingest.forgotten_objects g on g.id = w.sid
             left join lateral (
                 select nullif(max(m.body), '') as body from public.sms_messages m where m.twilio_sid = w.sid
             ) m on true
             where f.sid is not null or m.body is not null or p.pruned or g.id is not null",
        )
        .bind(sids)
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let message: Option<Json<Message>> = row.try_get(1)?;
                let message = message.map(|Json(message)| message);
                let stored = StoredMessage { message, body: row.try_get(2)?, is_forgotten: row.try_get(3)? };
                Ok((row.try_get(0)?, stored))
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(StoreError::from)
    }
}
