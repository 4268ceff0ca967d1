//! The audit log: a row for each action of an operator.

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;

/// What an operator did.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// Who: the operating system's user and host.
    pub actor: &'a str,
    /// The command.
    pub act: &'a str,
    /// Its arguments.
    pub arguments: Value,
    /// Its outcome.
    pub outcome: Value,
}

/// Writes the row, in the transaction of the action if it has one.
pub async fn record(
    connection: &mut PgConnection,
    act: Act<'_>,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into ingest.audit_log (at, actor, act, arguments, outcome) values ($1, $2, $3, $4, $5)",
    )
    .bind(at)
    .bind(act.actor)
    .bind(act.act)
    .bind(Json(act.arguments))
    .bind(Json(act.outcome))
    .execute(connection)
    .await?;
    Ok(())
}
