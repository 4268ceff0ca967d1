//! What pre-existing rows of `customer_subscriptions` said, as imported.

use std::collections::HashMap;

use sqlx::PgConnection;

/// The statuses of these subscriptions in such rows: used if no event has reported a known one.
pub(super) async fn statuses(
    tx: &mut PgConnection,
    subscriptions: &[&str],
) -> Result<HashMap<String, String>, sqlx::Error> {
    if subscriptions.is_empty() {
        return Ok(HashMap::new());
    }
    // `found`: an imported row (`Internal::ImportedSubscription`).
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select subject, convert_from(body, 'UTF8')::jsonb ->> 'status' from ingest.events
         where subject = any($1) and source = 'internal' and event_type = 'found'",
    )
    .bind(subscriptions)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().collect())
}
