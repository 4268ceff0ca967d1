//! Links that sign somebody in once, within minutes: `memberflow dev` prints one.

use secrecy::SecretString;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use super::sessions::{fingerprint, random};
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;

/// How long a link can be used.
pub const LASTS: Duration = Duration::minutes(15);

/// Makes a link for `session`'s person and gives its code. `key` is the admin token.
pub async fn make(
    pool: &PgPool,
    key: &SecretString,
    session: &Session,
    now: OffsetDateTime,
) -> Result<String, sqlx::Error> {
    let code = random();
    sqlx::query("delete from ingest.console_links where expires_at <= $1").bind(now).execute(pool).await?;
    sqlx::query(
        "insert into ingest.console_links (code_hash, actor, role, expires_at) values ($1, $2, $3, $4)",
    )
    .bind(fingerprint(key, &code))
    .bind(&session.actor)
    .bind(session.role.as_str())
    .bind(now + LASTS)
    .execute(pool)
    .await?;
    Ok(code)
}

/// The path to which a code belongs.
#[must_use]
pub fn path(code: &str) -> String {
    format!("/console/sign-in/link?code={code}")
}

/// Uses up the link of this code, and says for whom it was made.
pub(in crate::console) async fn redeem(
    pool: &PgPool,
    key: &SecretString,
    code: &str,
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let used: Option<(String, String)> = sqlx::query_as(
        "delete from ingest.console_links where code_hash = $1 and expires_at > $2 returning actor, role",
    )
    .bind(fingerprint(key, code))
    .bind(now)
    .fetch_optional(pool)
    .await?;
    Ok(used.map(|(actor, role)| Session { actor, role: ConsoleRole::stored(&role) }))
}
