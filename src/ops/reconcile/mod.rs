//! Reconcile: compares what events have reported with Stripe's API, Twilio's API, and the database itself.

pub mod stripe;
pub mod supabase;
pub mod twilio;

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::actor::note_by;
use crate::store::audit::Act;
use crate::store::{Store, StoreError};

/// How to compare with Stripe's API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Fix what differs.
    pub fix: bool,
    /// Leave out invoices, payments, refunds and disputes made before. Customers, subscriptions and the catalogue are always
    /// compared whole, since any of them can change at any time.
    pub since: Option<OffsetDateTime>,
}

/// Records a run of `actor` that fixed something in the audit log.
async fn audit(
    store: &Store,
    actor: &str,
    act: &str,
    arguments: Value,
    report: &(impl Serialize + Sync),
) -> Result<(), StoreError> {
    let act = Act { actor, act, arguments, outcome: json!(report) };
    Ok(note_by(store.pool(), act, store.now()).await?)
}
