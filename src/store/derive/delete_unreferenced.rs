//! Deleting rows that tables of the application may refer to.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// What deletes rows of `payment_history` by their ids.
pub const PAYMENT: &str = "delete from payment_history where id = any($1)";
/// What deletes rows of `customer_subscriptions` by their ids.
pub const SUBSCRIPTION: &str = "delete from customer_subscriptions where id = any($1)";

/// SQLSTATE of a row that another one refers to.
const REFERRED_TO: &str = "23503";

/// Deletes the rows `ids` by `statement`. One that the application refers to stays, and the log says so: it
/// would otherwise hold up everything behind it for as long as it is referred to.
///
/// # Errors
/// Whatever else the database says.
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

/// Whether nothing stood against it.
async fn attempt(tx: &mut PgConnection, statement: &'static str, ids: &[Uuid]) -> Result<bool, sqlx::Error> {
    let mut savepoint = tx.begin().await?;
    match sqlx::query(statement).bind(ids).execute(&mut *savepoint).await {
        Ok(_) => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(REFERRED_TO) => {
            savepoint.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
