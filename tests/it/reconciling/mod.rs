//! Reconciliation with Stripe's and Twilio's APIs and the database itself: differences are found exactly, and
//! fixed.

pub mod account;
mod command;
mod events;
mod lists;
mod peer;
mod stripe;
mod supabase;
mod twilio;

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::Options;
use memberflow::ops::reconcile::stripe::{
    self as reconcile, DriftedObject, ObjectDrift, ReconcileError, Report,
};
use memberflow::ops::stripe_api::StripeApi;
use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;

use self::account::Account;
use crate::support::app::{NOW, TestApp};

fn config(account: &Account, app: &TestApp) -> Config {
    Config {
        stripe_api_key: Some(SecretString::from("sk_test_123".to_owned())),
        stripe_api_base: Some(account.base.clone()),
        stripe_requests_per_second: 100,
        ..crate::support::config(app.database.url())
    }
}

fn api(account: &Account, app: &TestApp) -> StripeApi {
    StripeApi::rate_limited(&config(account, app)).unwrap().unwrap()
}

/// What differs, as the comparison at `now` shows it.
async fn compared(
    account: &Account,
    app: &TestApp,
    now: OffsetDateTime,
    options: Options,
) -> Result<(Report, Vec<DriftedObject>), ReconcileError> {
    let mut drifted = Vec::new();
    let (store, clock) = (app.store_at(now), Clock::fixed(now));
    let show = |one: &DriftedObject| drifted.push(one.clone());
    let report =
        reconcile::run(&store, &api(account, app), &clock, options, &mut Progress::Silent, show).await?;
    Ok((report, drifted))
}

const COMPARE: Options = Options { fix: false, since: None };
const FIX: Options = Options { fix: true, since: None };

/// Each object that differs in one line: `subscription sub_1 status,ended_at`.
fn lines(drifted: &[DriftedObject]) -> Vec<String> {
    let line = |one: &DriftedObject| {
        let fields: Vec<&str> = one.fields.iter().map(|field| field.field.as_str()).collect();
        let how = match one.drift {
            ObjectDrift::Differs => fields.join(","),
            ObjectDrift::Missing => "missing".to_owned(),
            ObjectDrift::NotAtStripe => "not at Stripe".to_owned(),
            ObjectDrift::DeletedAtStripe => "deleted at Stripe".to_owned(),
        };
        format!("{} {} {how}", one.kind, one.id)
    };
    let mut lines: Vec<String> = drifted.iter().map(line).collect();
    lines.sort();
    lines
}

async fn found(account: &Account, app: &TestApp) -> Vec<String> {
    lines(&compared(account, app, NOW, COMPARE).await.unwrap().1)
}

/// Compares and fixes; returns the differences.
async fn fixed(account: &Account, app: &TestApp) -> Vec<String> {
    lines(&compared(account, app, NOW, FIX).await.unwrap().1)
}

fn with(mut object: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

fn charge(id: &str, customer: &str, amount: i64) -> Value {
    json!({"id": id, "object": "charge", "customer": customer, "created": crate::support::app::BEGIN, "currency": "usd",
        "status": "succeeded", "captured": true, "amount": amount, "amount_captured": amount, "amount_refunded": 0,
        "payment_intent": format!("pi_{id}")})
}
