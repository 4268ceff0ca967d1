//! Imports events from Stripe's list, `GET /v1/events`, which goes back thirty days. They keep their ids, so one that was
//! delivered before or is delivered later is the same event.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::envelope::{Envelope, Origin, parse};
use crate::ops::actor::note;
use crate::ops::progress::Progress;
use crate::ops::reconcile::stripe::{Forgotten, ReconcileError};
use crate::ops::stripe_api::{StripeApi, StripeApiError};
use crate::store::{Store, StoreError};

const PATH: &str = "/events";

/// Which events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Those made at this moment or later; all of the thirty days without it.
    pub since: Option<OffsetDateTime>,
    /// Only those that Stripe could not deliver to every endpoint.
    pub undelivered: bool,
}

/// The result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events that Stripe listed.
    pub listed: u64,
    /// Those that had not been received, and were applied.
    pub new: u64,
    /// Those that could not be decoded: dead letters.
    pub dead: u64,
    /// Those about objects of forgotten persons from before they were forgotten, which are left out.
    pub forgotten: u64,
    /// Entries that are no events.
    pub unreadable: u64,
}

/// Applies the events that were not received.
///
/// # Errors
/// [`ReconcileError`]; what was applied until then stays.
pub async fn run(
    store: &Store,
    api: &StripeApi,
    clock: &Clock,
    options: Options,
    progress: &mut Progress,
) -> Result<Report, ReconcileError> {
    let at_fault = |path: &str| {
        let path = path.to_owned();
        move |source| ReconcileError::Api { path, source }
    };
    api.check_mode().await.map_err(at_fault("/balance"))?;
    store.initial_import().await?;
    let account = store.settings().decoding.origin_filter.account.as_deref();
    let since = options.since.map(|since| since.unix_timestamp().to_string());
    let mut params: Vec<(&str, &str)> = Vec::new();
    params.extend(since.as_deref().map(|since| ("created[gte]", since)));
    params.extend(options.undelivered.then_some(("delivery_success", "false")));
    progress.begin("events", 0);
    let mut report = Report::default();
    let mut last: Option<String> = None;
    loop {
        let page = api.page(PATH, &params, &[], last.as_deref()).await.map_err(at_fault(PATH))?;
        if page.has_more && page.last_id() == last.as_deref() {
            let stuck = StripeApiError::InvalidResponse("the list does not advance".to_owned());
            return Err(at_fault(PATH)(stuck));
        }
        last = page.last_id().map(ToOwned::to_owned);
        let listed = page.data.len();
        let wanted = without_forgotten(store, page.data).await?;
        report.listed += listed as u64;
        report.forgotten += (listed - wanted.len()) as u64;
        let entries = wanted.len();
        let events = wanted.into_iter().filter_map(|event| envelope(event, account, clock));
        let events: Vec<Envelope> = events.collect();
        report.unreadable += (entries - events.len()) as u64;
        let applied = store.apply(&events).await?;
        report.new += applied.new as u64;
        report.dead += applied.dead as u64;
        progress.advance(listed as u64);
        if !page.has_more {
            progress.finish();
            let arguments = json!({"since": since, "undelivered": options.undelivered});
            note(store.pool(), "backfill stripe-events", arguments, json!(report), clock.now())
                .await
                .map_err(StoreError::from)?;
            return Ok(report);
        }
    }
}

/// Leaves out what was made before a person was forgotten, about an object that was theirs: the events that were received
/// are known, and the others would bring the person back.
async fn without_forgotten(store: &Store, events: Vec<Value>) -> Result<Vec<Value>, StoreError> {
    let objects: Vec<&Value> = events.iter().map(|event| &event["data"]["object"]).collect();
    let forgotten = Forgotten::among(store, &objects).await?;
    let is_wanted = |event: &Value| {
        let created = event["created"].as_i64().unwrap_or_default();
        forgotten.at(&event["data"]["object"]).is_none_or(|at| created > at.unix_timestamp())
    };
    Ok(events.into_iter().filter(is_wanted).collect())
}

/// `account`: the requested one. Events of a webhook name it, so these must too.
fn envelope(mut event: Value, account: Option<&str>, clock: &Clock) -> Option<Envelope> {
    if let (Some(account), None, true) = (account, Origin::of_event(&event).account, event.is_object()) {
        event["account"] = account.into();
    }
    parse::stripe(Bytes::from(event.to_string()), clock.now()).ok()
}
