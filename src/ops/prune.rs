//! Prunes the bodies of old events, page by page, with a row in the audit log.

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::actor::note;
use crate::store::events::prune::Pruned;
use crate::store::{Store, StoreError};

/// Removes the bodies of events applied before `before`; `None` while a rebuild reads them. Can be
/// interrupted at any time; pages removed before that are committed.
pub async fn run(store: &Store, before: OffsetDateTime) -> Result<Option<Pruned>, StoreError> {
    let mut total = Pruned::default();
    let ended = loop {
        match store.prune_page(before).await {
            Ok(Some(page)) if page.events > 0 => {
                total.events += page.events;
                total.bytes += page.bytes;
            }
            Ok(Some(_)) => break Ok(Some(total)),
            Ok(None) => break Ok(None),
            Err(error) => break Err(error),
        }
    };
    if total.events > 0 {
        let arguments = json!({"before": before.format(&Rfc3339).unwrap_or_default()});
        note(store.pool(), "prune", arguments, json!(total), store.now()).await?;
    }
    ended
}
