//! Who is at the keyboard, and the line that an operator's act leaves in the audit log.

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
    // Containers have users without a name.
    let name = name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{name}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// Notes in the audit log an act that took more than one transaction, or one that is not ours.
///
/// # Errors
/// Whatever the database says.
pub async fn note(
    pool: &PgPool,
    act: &str,
    arguments: Value,
    outcome: Value,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let act = Act { actor: &actor(), act, arguments, outcome };
    audit::record(&mut *pool.acquire().await?, act, at).await
}
