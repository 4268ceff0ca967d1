//! The advisory locks: one derivation at a time, one rebuild, and one search for what is due.

use sqlx::PgConnection;

use super::tables::Tables;

/// "memberfl" in ASCII: the advisory lock of the transaction that changes facts and derived tables.
pub(super) const DERIVATION_LOCK: i64 = 0x6d65_6d62_6572_666c;

/// "rebuild" in ASCII: the advisory lock of whoever rebuilds.
pub(super) const REBUILD_LOCK: i64 = 0x0072_6562_7569_6c64;

/// "upkeep" in ASCII: the advisory lock under which due items are found and derived, one process at a time.
const UPKEEP_LOCK: i64 = 0x0000_7570_6b65_6570;

/// Takes the derivation lock until the transaction ends, and selects the live tables.
pub(super) async fn lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    lock_by(tx, "select pg_advisory_xact_lock($1), set_config('search_path', $2, true)").await
}

/// SQL: takes the derivation lock for a batch, given by the two parameters, until the transaction ends, and selects the live
/// tables. With settings that make the batch's statements use indexes whatever the statistics say, so that one generic plan
/// serves all batches: by default the planner would make a new plan for each batch's number of ids. Rows that the
/// application has locked are waited for only briefly, because all other batches wait for this one; the derivation lock
/// itself, which comes first, is waited for without limit.
macro_rules! batch_lock {
    ($lock:literal, $search_path:literal) => {
        concat!(
            "pg_advisory_xact_lock(", $lock, "), set_config('search_path', ", $search_path, ", true),
             set_config('plan_cache_mode', 'force_generic_plan', true), set_config('lock_timeout', '5s', true)"
        )
    };
}
pub(super) use batch_lock;

/// The same as [`lock`] for a batch.
pub(super) async fn lock_for_batch(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    lock_by(tx, concat!("select ", batch_lock!("$1", "$2"))).await
}

async fn lock_by(tx: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(statement).bind(DERIVATION_LOCK).bind(Tables::Live.search_path()).execute(tx).await?;
    Ok(())
}

/// Prevents rebuilds until the transaction ends; false if one is running.
pub(super) async fn prevent_rebuild(tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock($1)").bind(REBUILD_LOCK).fetch_one(tx).await
}

/// Takes the upkeep lock until the transaction ends.
pub(super) async fn lock_upkeep(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(UPKEEP_LOCK).execute(tx).await?;
    Ok(())
}
