//! Leads: people who have shown interest, some of whom become members.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

/// Converts the leads that have the confirmed address of one of `users` and were made before the first payment, takes
/// back those that turn out to have been made after it, and gives their leads the value of what was paid since. The
/// campaigns' sums follow by the triggers of `leads`.
///
/// # Errors
/// Whatever the database says.
pub async fn convert(tx: &mut PgConnection, users: &BTreeSet<Uuid>) -> Result<(), sqlx::Error> {
    if users.is_empty() {
        return Ok(());
    }
    let users: Vec<Uuid> = users.iter().copied().collect();
    sqlx::query("select ingest.convert_leads($1)").bind(users).execute(tx).await?;
    Ok(())
}
