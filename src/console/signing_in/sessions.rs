//! Sessions as they are stored: begun, found, ended.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::{FromRow, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::supabase::Supabase;
use super::supabase::roles::{self, Account};
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::console::state::Console;

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
    account: Option<Account>,
    now: OffsetDateTime,
) -> Result<String, sqlx::Error> {
    let id = random();
    // What somebody who signed in by Supabase may do is looked up. A version that does not know that lets them read.
    let role = if account.is_some() { ConsoleRole::Viewer } else { session.role };
    sqlx::query("delete from ingest.console_sessions where expires_at <= $1").bind(now).execute(pool).await?;
    sqlx::query(
        "insert into ingest.console_sessions
             (id_hash, actor, role, created_at, last_used_at, expires_at, user_id, auth_session_id)
         values ($1, $2, $3, $4, $4, $5, $6, $7)",
    )
    .bind(fingerprint(key, &id))
    .bind(&session.actor)
    .bind(role.as_str())
    .bind(now)
    .bind(now + LASTS)
    .bind(account.map(|account| account.user_id))
    .bind(account.map(|account| account.auth_session_id))
    .execute(pool)
    .await?;
    Ok(id)
}

/// A session as it is stored.
#[derive(FromRow)]
struct Stored {
    actor: String,
    role: String,
    last_used_at: OffsetDateTime,
    user_id: Option<Uuid>,
    auth_session_id: Option<Uuid>,
}

/// The session with this id, unless it has ended. That of somebody who signed in by Supabase ends as soon as they are no
/// longer signed in there, or may not use the console any more.
pub(in crate::console) async fn find(console: &Console, id: &str) -> Result<Option<Session>, sqlx::Error> {
    let (pool, now) = (console.pool(), console.now());
    let id_hash = fingerprint(console.key(), id);
    let found: Option<Stored> = sqlx::query_as(
        "select actor, role, last_used_at, user_id, auth_session_id from ingest.console_sessions
         where id_hash = $1 and expires_at > $2 and last_used_at > $3",
    )
    .bind(&id_hash)
    .bind(now)
    .bind(now - IDLE)
    .fetch_optional(pool)
    .await?;
    let Some(stored) = found else { return Ok(None) };
    let Some(role) = role_of(pool, console.0.supabase.as_ref(), &stored, now).await? else {
        end(pool, console.key(), id).await?;
        return Ok(None);
    };
    if stored.last_used_at <= now - USE_KEPT_TO {
        sqlx::query("update ingest.console_sessions set last_used_at = $2 where id_hash = $1")
            .bind(&id_hash)
            .bind(now)
            .execute(pool)
            .await?;
    }
    Ok(Some(Session { actor: stored.actor, role }))
}

/// What the person of this session may do now.
async fn role_of(
    pool: &PgPool,
    supabase: Option<&Supabase>,
    stored: &Stored,
    now: OffsetDateTime,
) -> Result<Option<ConsoleRole>, sqlx::Error> {
    let Some(user_id) = stored.user_id else { return Ok(Some(ConsoleRole::stored(&stored.role))) };
    let (Some(supabase), Some(auth_session_id)) = (supabase, stored.auth_session_id) else { return Ok(None) };
    let account = Account { user_id, auth_session_id };
    Ok(roles::present(pool, supabase.roles(), account, now).await?.map(|person| person.role))
}

/// Ends the session with this id, wherever else its cookie may be.
pub(in crate::console) async fn end(pool: &PgPool, key: &SecretString, id: &str) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("delete from ingest.console_sessions where id_hash = $1");
    delete.bind(fingerprint(key, id)).execute(pool).await?;
    Ok(())
}

/// Ends every session of the person whose session has this id, and says how many those were. Who signed in by the admin
/// token is whoever has it.
pub(in crate::console) async fn end_all(
    pool: &PgPool,
    key: &SecretString,
    id: &str,
) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query(
        "delete from ingest.console_sessions s using ingest.console_sessions own
         where own.id_hash = $1
           and (s.user_id = own.user_id or (own.user_id is null and s.user_id is null and s.actor = own.actor))",
    )
    .bind(fingerprint(key, id))
    .execute(pool)
    .await?;
    Ok(ended.rows_affected())
}
