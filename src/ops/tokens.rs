//! Tokens for programs: each with a name, scopes and an optional expiry. Only their hashes are stored.

use std::str::FromStr;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{FromRow, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::database;
use crate::store::audit::{self, Act};

/// The prefix of every token, for secret scanners.
pub const PREFIX: &str = "mfl_";
/// The random hexadecimal digits of a token.
const RANDOM_DIGITS: usize = 40;
/// The check digits after them, which detect typing errors without the database.
const CHECK_DIGITS: usize = 8;
/// The longest name, in characters.
const NAME_MAX_CHARS: usize = 60;
/// The use of a token is recorded at most this often.
const USE_NOTED_EVERY: Duration = Duration::minutes(1);

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reading members.
    MembersRead,
    /// Changing members.
    MembersWrite,
    /// Reading events, dead letters and what is parked.
    EventsRead,
    /// Redriving and dropping dead letters.
    EventsAct,
    /// Reading revenue and campaigns.
    RevenueRead,
    /// Reading tickets.
    TicketsRead,
    /// Changing tickets and replying.
    TicketsWrite,
    /// Everything, the audit log too.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::MembersRead,
        Self::MembersWrite,
        Self::EventsRead,
        Self::EventsAct,
        Self::RevenueRead,
        Self::TicketsRead,
        Self::TicketsWrite,
        Self::Admin,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MembersRead => "members:read",
            Self::MembersWrite => "members:write",
            Self::EventsRead => "events:read",
            Self::EventsAct => "events:act",
            Self::RevenueRead => "revenue:read",
            Self::TicketsRead => "tickets:read",
            Self::TicketsWrite => "tickets:write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        named.ok_or_else(|| crate::ops::unknown_value("scope", text, &Self::ALL.map(Self::as_str)))
    }
}

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct Token {
    /// The token's number.
    pub id: i64,
    /// What the audit log calls it: `token:<name>`.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it expires; `None`: never.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// When it was revoked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
}

/// The token cannot be created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is invalid.
    #[error("invalid name: expected 1 to {NAME_MAX_CHARS} letters, digits, dots, dashes or underscores")]
    Name,
    /// Another token in use has it.
    #[error("there is a token {0}: revoke it first, or take another name")]
    Taken(String),
    /// No token in use has it.
    #[error("there is no token {0} in use: `memberflow tokens list` shows them")]
    NotFound(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes a token. It is shown this once: only its hash is stored.
///
/// # Errors
/// If the name is invalid or taken, or the database does not answer.
pub async fn create(
    pool: &PgPool,
    name: &str,
    scopes: &[Scope],
    expires_at: Option<OffsetDateTime>,
    actor: &str,
    now: OffsetDateTime,
) -> Result<SecretString, TokenError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > NAME_MAX_CHARS || !name.chars().all(fits) {
        return Err(TokenError::Name);
    }
    let token = random();
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let mut tx = database::begin(pool).await?;
    let made = sqlx::query(
        "insert into ingest.api_tokens (name, hash, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5)
         on conflict (name) where revoked_at is null do nothing",
    )
    .bind(name)
    .bind(hash(&token))
    .bind(&scopes)
    .bind(now)
    .bind(expires_at)
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        return Err(TokenError::Taken(name.to_owned()));
    }
    let arguments = json!({"name": name, "scopes": scopes});
    audit::record(&mut tx, Act { actor, act: "tokens create", arguments, outcome: json!({}) }, now).await?;
    tx.commit().await?;
    Ok(SecretString::from(token))
}

/// Every token, those in use first, the newest first.
pub async fn list(pool: &PgPool) -> Result<Vec<Token>, sqlx::Error> {
    sqlx::query_as(
        "select id, name, scopes, created_at, expires_at, last_used_at, revoked_at from ingest.api_tokens
         order by revoked_at desc nulls first, id desc",
    )
    .fetch_all(pool)
    .await
}

/// Ends a token at once.
///
/// # Errors
/// If no token in use has this name, or the database does not answer.
pub async fn revoke(pool: &PgPool, name: &str, actor: &str, now: OffsetDateTime) -> Result<(), TokenError> {
    let mut tx = database::begin(pool).await?;
    let revoked =
        sqlx::query("update ingest.api_tokens set revoked_at = $2 where name = $1 and revoked_at is null")
            .bind(name)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    if revoked.rows_affected() == 0 {
        return Err(TokenError::NotFound(name.to_owned()));
    }
    let act = Act { actor, act: "tokens revoke", arguments: json!({"name": name}), outcome: json!({}) };
    audit::record(&mut tx, act, now).await?;
    Ok(tx.commit().await?)
}

/// The presented token, if it is valid; records its use.
pub async fn present(pool: &PgPool, token: &str, now: OffsetDateTime) -> Result<Option<Token>, sqlx::Error> {
    let found: Option<Token> = sqlx::query_as(
        "select id, name, scopes, created_at, expires_at, last_used_at, revoked_at from ingest.api_tokens
         where hash = $1 and revoked_at is null",
    )
    .bind(hash(token))
    .fetch_optional(pool)
    .await?;
    let Some(token) = found.filter(|token| token.expires_at.is_none_or(|end| end > now)) else {
        return Ok(None);
    };
    if token.last_used_at.is_none_or(|last| now - last >= USE_NOTED_EVERY) {
        sqlx::query("update ingest.api_tokens set last_used_at = $2 where id = $1")
            .bind(token.id)
            .bind(now)
            .execute(pool)
            .await?;
    }
    Ok(Some(token))
}

/// Whether a text has the form of a token, its check digits included.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(PREFIX) else { return false };
    let Some((random, check)) = digits.split_at_checked(RANDOM_DIGITS) else { return false };
    check == check_of(random)
}

/// 160 bits from the operating system, with check digits.
fn random() -> String {
    let mut random =
        hex::encode(Sha256::new().chain_update(Uuid::new_v4()).chain_update(Uuid::new_v4()).finalize());
    random.truncate(RANDOM_DIGITS);
    format!("{PREFIX}{random}{}", check_of(&random))
}

fn check_of(random: &str) -> String {
    let mut check = hex::encode(Sha256::digest(format!("{PREFIX}{random}")));
    check.truncate(CHECK_DIGITS);
    check
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_check_digits_detect_typos() {
        let (one, other) = (random(), random());
        assert!(one != other && is_well_formed(&one) && is_well_formed(&other));
        assert_eq!(one.len(), PREFIX.len() + RANDOM_DIGITS + CHECK_DIGITS);
        let slip = one.replacen(|c: char| c.is_ascii_digit(), "x", 1);
        for wrong in [slip.as_str(), &one[1..], &one[..51], "mfl_", "", "mfl_é", &format!("{one}0")] {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
    }

    #[test]
    fn scopes_parse_by_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("members".parse::<Scope>().unwrap_err().contains("members:read"));
    }
}
