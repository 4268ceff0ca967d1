//! Fixes rows by deriving or counting them again.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Compared;
use super::checks::campaigns;
use crate::database;
use crate::ops::progress::Progress;
use crate::store::{Store, StoreError};

/// Members or tickets that are derived again at once.
const PAGE: usize = 500;

/// Derives the members and the tickets again, and counts the campaigns' leads again.
pub(super) async fn run(
    store: &Store,
    compared: &Compared,
    progress: &mut Progress,
) -> Result<(), StoreError> {
    progress.begin("deriving members again", compared.members.len() as u64);
    let members: Vec<Uuid> = compared.members.iter().copied().collect();
    for page in members.chunks(PAGE) {
        store.recompute(BTreeSet::new(), page.iter().copied().collect()).await?;
        progress.advance(page.len() as u64);
    }
    progress.begin("counting campaigns again", compared.campaigns.len() as u64);
    for campaign in &compared.campaigns {
        let mut tx = database::begin(store.pool()).await?;
        for statement in [campaigns::COUNT_AGAIN, campaigns::SET] {
            sqlx::query(statement).bind([*campaign]).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        progress.advance(1);
    }
    progress.begin("deriving tickets again", compared.tickets.len() as u64);
    let tickets: Vec<Uuid> = compared.tickets.iter().copied().collect();
    for page in tickets.chunks(PAGE) {
        let mut tx = database::begin(store.pool()).await?;
        sqlx::query("select ingest.derive_tickets($1)").bind(page).execute(&mut *tx).await?;
        tx.commit().await?;
        progress.advance(page.len() as u64);
    }
    Ok(())
}
