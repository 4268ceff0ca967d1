//! Reconcile: what Stripe's API and the database itself say, beside what the events have told.

pub mod stripe;
pub mod supabase;

use serde_json::Value;

use crate::ops::actor::actor;
use crate::store::audit::{self, Act};
use crate::store::{Store, StoreError};

/// Notes in the audit log what was mended.
async fn note(store: &Store, act: &str, arguments: Value, outcome: Value) -> Result<(), StoreError> {
    let mut connection = store.pool().acquire().await?;
    let act = Act { actor: &actor(), act, arguments, outcome };
    Ok(audit::record(&mut connection, act, store.now()).await?)
}
