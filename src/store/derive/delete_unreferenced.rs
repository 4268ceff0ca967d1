//! Deletes rows, except those that a table of the application references.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Deletes rows of `payment_history` by id.
pub const PAYMENT: &str = "delete from payment_history where id = any($1)";
/// Deletes rows of `customer_subscriptions` by id.
pub const SUBSCRIPTION: &str = "delete from customer_subscriptions where id = any($1)";

/// Deletes the rows `ids` by `statement`. A row that the application references is kept and logged: failing
/// would block everything behind it.
///
/// # Errors
/// Any other database error.
pub async fn delete(tx: &mut PgConnection, statement: &'static str, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    if ids.is_empty() || attempt(tx, statement, ids).await? {
        return Ok(());
    }
    for id in ids {
        if !attempt(tx, statement, std::slice::from_ref(id)).await? {
            tracing::warn!(%id, statement, "row not deleted: the application references it");
        }
    }
    Ok(())
}

/// Whether no foreign key prevented it.
async fn attempt(tx: &mut PgConnection, statement: &'static str, ids: &[Uuid]) -> Result<bool, sqlx::Error> {
    let mut savepoint = tx.begin().await?;
    match sqlx::query(statement).bind(ids).execute(&mut *savepoint).await {
        Ok(_) => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            savepoint.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
