//! Sessions as they are stored: begun, found, ended.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::session::{Role, Session};

/// A session ends so long after it began,
const LASTS: Duration = Duration::hours(12);
/// and so long after it was used last.
const IDLE: Duration = Duration::hours(2);
/// How exactly its last use is kept: a page is no reason to write.
const USE_KEPT_TO: Duration = Duration::minutes(1);

/// A text that nobody guesses: 244 random bits.
pub(in crate::console) fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What is stored of a secret: nothing that could be used, and nothing that holds under another key.
pub(in crate::console) fn fingerprint(key: &SecretString, secret: &str) -> Vec<u8> {
    // An HMAC takes a key of any length.
    let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
    mac.map(|mac| mac.chain_update(secret).finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// Begins a session of `session`'s person and gives its id. What has expired is removed.
pub(in crate::console) async fn begin(
    pool: &PgPool,
    key: &SecretString,
    session: &Session,
    now: OffsetDateTime,
) -> Result<String, sqlx::Error> {
    let id = random();
    sqlx::query("delete from ingest.console_sessions where expires_at <= $1").bind(now).execute(pool).await?;
    sqlx::query(
        "insert into ingest.console_sessions (id_hash, actor, role, created_at, last_used_at, expires_at)
         values ($1, $2, $3, $4, $4, $5)",
    )
    .bind(fingerprint(key, &id))
    .bind(&session.actor)
    .bind(session.role.as_str())
    .bind(now)
    .bind(now + LASTS)
    .execute(pool)
    .await?;
    Ok(id)
}

/// The session with this id, unless it has ended.
pub(in crate::console) async fn find(
    pool: &PgPool,
    key: &SecretString,
    id: &str,
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let id_hash = fingerprint(key, id);
    let found: Option<(String, String, OffsetDateTime)> = sqlx::query_as(
        "select actor, role, last_used_at from ingest.console_sessions
         where id_hash = $1 and expires_at > $2 and last_used_at > $3",
    )
    .bind(&id_hash)
    .bind(now)
    .bind(now - IDLE)
    .fetch_optional(pool)
    .await?;
    let Some((actor, role, last_used_at)) = found else { return Ok(None) };
    if last_used_at <= now - USE_KEPT_TO {
        sqlx::query("update ingest.console_sessions set last_used_at = $2 where id_hash = $1")
            .bind(&id_hash)
            .bind(now)
            .execute(pool)
            .await?;
    }
    Ok(Some(Session { actor, role: Role::stored(&role) }))
}

/// Ends the session with this id, wherever else its cookie may be.
pub(in crate::console) async fn end(pool: &PgPool, key: &SecretString, id: &str) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("delete from ingest.console_sessions where id_hash = $1");
    delete.bind(fingerprint(key, id)).execute(pool).await?;
    Ok(())
}
