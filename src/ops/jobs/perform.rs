//! What each operation does, and what its command would say if it failed.

use serde_json::{Value, json};

use super::Operation;
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::drift::STORED_MAX;
use crate::ops::progress::Progress;
use crate::ops::rebuild;
use crate::ops::reconcile::stripe::ObjectId;
use crate::ops::reconcile::{Options, stripe, supabase, twilio};
use crate::ops::stripe_api::{self, StripeApi};
use crate::ops::twilio_api::{self, TwilioApi};
use crate::store::Store;
use crate::store::rebuild::RowDifference;

/// Who wants what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub operation: Operation,
    /// Fix what differs; otherwise only compare.
    pub is_fix: bool,
    /// The id of the only object that is compared.
    pub object: Option<&'a str>,
    pub actor: &'a str,
}

/// Does it; returns the summary as JSON, or what is wrong and what to do.
pub(super) async fn perform(
    order: Order<'_>,
    config: &Config,
    clock: &Clock,
    store: &Store,
    progress: &mut Progress,
) -> Result<Value, String> {
    let Order { operation, is_fix: fix, object, actor } = order;
    match operation {
        Operation::ReconcileStripe => {
            let api = StripeApi::rate_limited(config).map_err(|error| error.to_string())?;
            let api = api.ok_or(stripe_api::NO_KEY)?;
            let options = Options { fix, since: None };
            let done = match object.map(str::parse::<ObjectId>).transpose()? {
                Some(object) => stripe::run_object_by(store, &api, clock, fix, &object, actor, |_| {}).await,
                None => stripe::run_by(store, &api, clock, options, actor, progress, |_| {}).await,
            };
            done.map(|report| json!(report)).map_err(|error| error.explained())
        }
        Operation::ReconcileSupabase => {
            let done = supabase::run_by(store, fix, actor, progress, |_| {}).await;
            done.map(|report| json!(report)).map_err(|error| format!("{error}; {}", error.hint()))
        }
        Operation::ReconcileTwilio => {
            let api = TwilioApi::new(config).map_err(|error| error.to_string())?;
            let api = api.ok_or(twilio_api::NO_ACCOUNT)?;
            let options = twilio::Options { fix, ..twilio::Options::default() };
            let done = twilio::run_by(store, &api, options, actor, progress, &mut None, |_| {}).await;
            let explained = |error: twilio::ReconcileError| {
                format!("{error}; {}. What was fixed by then stays", error.hint())
            };
            done.map(|report| json!(report)).map_err(explained)
        }
        Operation::Rebuild => {
            let mut rows = 0;
            // As many as are stored.
            let show = |_: RowDifference| {
                rows += 1;
                rows < STORED_MAX
            };
            let done = rebuild::run_by(store, !fix, actor, progress, show).await;
            done.map(|report| json!(report)).map_err(|error| error.to_string())
        }
    }
}
