//! Prune: the bodies of old events go, page by page; the audit log says how many.

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::actor::note;
use crate::store::events::prune::Pruned;
use crate::store::{Store, StoreError};

/// Removes the bodies of events that were applied before a moment. Nothing where a rebuild is under way, which
/// reads them. Can be stopped at any moment: what is removed by then stays so.
///
/// # Errors
/// [`StoreError`], which says whether waiting helps.
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
