//! Idempotency keys: stores the responses to requests for a day.

use sqlx::{FromRow, PgPool};
use time::{Duration, OffsetDateTime};

/// How long a response is stored.
const RETENTION: Duration = Duration::hours(24);
/// After this time an action without a response is abandoned: its process crashed.
const ABANDONED_AFTER: Duration = Duration::minutes(10);

/// Identifies a request.
#[derive(Clone, Debug)]
pub struct Key {
    /// Who sends the request: keys are per actor.
    pub actor: String,
    /// The key.
    pub name: String,
    /// The hash of the request.
    pub request_hash: Vec<u8>,
}

/// The stored response.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Answer {
    /// The HTTP status.
    pub status: i16,
    /// The header Content-Type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The state in which a request finds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It was free and is reserved: the caller executes the action.
    Reserved,
    /// Another request is executing it.
    InProgress,
    /// The key was used for another request.
    Reused,
    /// It was executed before.
    Answered(Answer),
}

#[derive(FromRow)]
struct Row {
    request_hash: Vec<u8>,
    status: Option<i16>,
    content_type: Option<String>,
    body: Option<Vec<u8>>,
}

/// Reserves the key if it is free.
pub async fn reserve(pool: &PgPool, key: &Key, now: OffsetDateTime) -> Result<KeyState, sqlx::Error> {
    let reserved = sqlx::query(
        "insert into ingest.idempotency_keys as k (actor, key, request_hash, began_at) values ($1, $2, $3, $4)
         on conflict (actor, key) do update set request_hash = excluded.request_hash, began_at = excluded.began_at,
                                                status = null, content_type = null, body = null
         where k.began_at < $5 or k.status is null and k.began_at < $6 and k.request_hash = excluded.request_hash",
    )
    .bind(&key.actor)
    .bind(&key.name)
    .bind(&key.request_hash)
    .bind(now)
    .bind(now - RETENTION)
    .bind(now - ABANDONED_AFTER)
    .execute(pool)
    .await?;
    if reserved.rows_affected() > 0 {
        return Ok(KeyState::Reserved);
    }
    let row: Option<Row> = sqlx::query_as(
        "select request_hash, status, content_type, body from ingest.idempotency_keys where actor = $1 and key = $2",
    )
    .bind(&key.actor)
    .bind(&key.name)
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        Some(row) if row.request_hash != key.request_hash => KeyState::Reused,
        Some(Row { status: Some(status), content_type, body, .. }) => KeyState::Answered(Answer {
            status,
            content_type: content_type.unwrap_or_default(),
            body: body.unwrap_or_default(),
        }),
        // Also if it was just released: the next attempt finds the key free.
        _ => KeyState::InProgress,
    })
}

/// Stores the response.
pub async fn answer(pool: &PgPool, key: &Key, answer: &Answer) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update ingest.idempotency_keys set status = $3, content_type = $4, body = $5 where actor = $1 and key = $2",
    )
    .bind(&key.actor)
    .bind(&key.name)
    .bind(answer.status)
    .bind(&answer.content_type)
    .bind(&answer.body)
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes expired responses.
pub async fn expire(pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("delete from ingest.idempotency_keys where began_at < $1");
    delete.bind(now - RETENTION).execute(pool).await?;
    Ok(())
}

/// Releases the key: nothing was executed.
pub async fn release(pool: &PgPool, key: &Key) -> Result<(), sqlx::Error> {
    sqlx::query("delete from ingest.idempotency_keys where actor = $1 and key = $2")
        .bind(&key.actor)
        .bind(&key.name)
        .execute(pool)
        .await?;
    Ok(())
}
