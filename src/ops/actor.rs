//! The operator of a command, and its row in the audit log.

use std::env;

use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::store::audit::{self, Act};

/// The operating system's user and host, as `ada@crm-1`.
#[must_use]
pub fn actor() -> String {
    let name =
        ["LOGNAME", "USER"].into_iter().find_map(|name| env::var(name).ok().filter(|it| !it.is_empty()));
    // Container users may have no name.
    let name = name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{name}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// Records an action of this user in the audit log that used several transactions, or not ours.
pub async fn note(
    pool: &PgPool,
    act: &str,
    arguments: Value,
    outcome: Value,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    note_by(pool, Act { actor: &actor(), act, arguments, outcome }, at).await
}

/// The same for an action of anybody.
pub async fn note_by(pool: &PgPool, act: Act<'_>, at: OffsetDateTime) -> Result<(), sqlx::Error> {
    audit::record(&mut *pool.acquire().await?, act, at).await
}
