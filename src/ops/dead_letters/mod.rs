//! Dead letters: which there are, and what an operator makes of them.

mod act;

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

pub use act::{Acted, Limits, drop_all, redrive};

/// An event that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct DeadLetter {
    /// What operators name it by.
    pub id: i64,
    /// The provider's endpoint.
    pub source: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The provider's type.
    pub event_type: String,
    /// When it happened, as the provider says.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// When we were told.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// When it was given up.
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
    /// Why.
    pub reason: String,
}

/// Which dead letters; all of what is said must hold.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Selection {
    /// These, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<i64>,
    /// Of this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// With this text in the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Given up since then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
}

impl Selection {
    /// Whether it leaves none out.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.ids.is_empty()
            && self.source.is_none()
            && self.event_type.is_none()
            && self.reason.is_none()
            && self.since.is_none()
    }
}

/// The selection in SQL, over the table's columns; binds $1 to $5.
macro_rules! selected {
    () => {
        "($1::bigint[] = '{}' or id = any ($1)) and ($2::text is null or source = $2)
         and ($3::text is null or event_type = $3) and ($4::text is null or strpos(lower(reason), lower($4)) > 0)
         and ($5::timestamptz is null or dead_at >= $5)"
    };
}
use selected;

/// The newest of the selected dead letters, at most `limit`.
///
/// # Errors
/// Whatever the database says.
pub async fn list(pool: &PgPool, selection: &Selection, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let letters = concat!(
        "select id, source, event_id, event_type, occurred_at, received_at, dead_at, reason
         from ingest.events where state = 'dead' and ",
        selected!(),
        " order by id desc limit $6"
    );
    sqlx::query_as(letters)
        .bind(&selection.ids)
        .bind(&selection.source)
        .bind(&selection.event_type)
        .bind(&selection.reason)
        .bind(selection.since)
        .bind(limit)
        .fetch_all(pool)
        .await
}

/// How many are selected, by source and reason, the most first.
///
/// # Errors
/// Whatever the database says.
pub async fn count(pool: &PgPool, selection: &Selection) -> Result<Vec<(String, String, i64)>, sqlx::Error> {
    let counts = concat!(
        "select source, reason, count(*) from ingest.events where state = 'dead' and ",
        selected!(),
        " group by source, reason order by count(*) desc, source, reason"
    );
    sqlx::query_as(counts)
        .bind(&selection.ids)
        .bind(&selection.source)
        .bind(&selection.event_type)
        .bind(&selection.reason)
        .bind(selection.since)
        .fetch_all(pool)
        .await
}

/// One dead letter with the bytes of its body.
///
/// # Errors
/// Whatever the database says.
pub async fn show(pool: &PgPool, id: i64) -> Result<Option<(DeadLetter, Vec<u8>)>, sqlx::Error> {
    let letter = sqlx::query_as(
        "select id, source, event_id, event_type, occurred_at, received_at, dead_at, reason
         from ingest.events where state = 'dead' and id = $1",
    );
    let Some(letter) = letter.bind(id).fetch_optional(pool).await? else { return Ok(None) };
    let body = sqlx::query_scalar("select body from ingest.events where state = 'dead' and id = $1");
    Ok(body.bind(id).fetch_optional(pool).await?.map(|body| (letter, body)))
}

/// What the audit log keeps of a selection.
fn arguments(selection: &Selection) -> serde_json::Value {
    serde_json::to_value(Json(selection)).unwrap_or_default()
}
