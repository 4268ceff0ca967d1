//! Leads, some of whom become members.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

/// Converts the leads that have the confirmed address of one of `users` and were created before the first
/// payment, reverts those created after it, and sets their value to what was paid since. Triggers on `leads`
/// update the campaigns' sums.
pub async fn convert(tx: &mut PgConnection, users: &BTreeSet<Uuid>) -> Result<(), sqlx::Error> {
    if users.is_empty() {
        return Ok(());
    }
    let users: Vec<Uuid> = users.iter().copied().collect();
    // For the thousands of members of an import's page the function takes long, even if there is no lead.
    sqlx::query("select ingest.convert_leads($1) where exists (select from public.leads)")
        .bind(users)
        .execute(tx)
        .await?;
    Ok(())
}
