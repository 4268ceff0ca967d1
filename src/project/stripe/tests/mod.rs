//! Whole events of several API versions, as Stripe writes them, from `tests/events/`: a folder for each year of
//! versions, a file for each kind of object.

mod kinds;
mod life;
mod tolerance;
mod versions;

use serde_json::Value;

use super::{StripeObject, decode};
use crate::project::payload::Report;
use crate::project::{DecodeError, Payload};

/// 2026-01-01 00:00 UTC, when the fixtures begin.
const START: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const USER: &str = "7f8d6a52-3c1e-4b0a-9f51-0d2a7c9e1b34";

/// The event in the file `name`: `2025/invoice`.
fn event(name: &str) -> Value {
    let path = format!("{}/tests/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn payload(event: Value) -> Result<Payload, DecodeError> {
    decode(event, &["user_id".to_owned(), "supabase_user_id".to_owned()])
}

fn report(event: Value) -> Report<StripeObject> {
    match payload(event) {
        Ok(Payload::Stripe(report)) => *report,
        other => panic!("no report: {other:?}"),
    }
}

/// The object that the event `name` reports.
fn state(name: &str) -> StripeObject {
    report(event(name)).state
}

/// The struct inside a `StripeObject`; a test that meets another kind is wrong.
macro_rules! only {
    ($kind:ident, $object:expr) => {
        match $object {
            $crate::project::stripe::StripeObject::$kind(it) => it,
            other => panic!("not a {}: {other:?}", stringify!($kind)),
        }
    };
}
use only;
