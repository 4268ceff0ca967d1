//! Events of the other mode and of a connected account at the same time, for objects with the same ids and
//! others. None of them count here.

use memberflow::envelope::{Envelope, Source, parse};
use memberflow::project::stripe::{OriginFilter, StripeMode};
use serde_json::{Value, json};

use super::state::{Emitted, NOW, Simulation, bytes, moment};

/// Of a hundred events, those that something like it happens elsewhere, too.
const PERCENT: u32 = 8;
/// What the ids of objects begin with that are others elsewhere.
const PREFIXES: [&str; 9] = ["cus_", "sub_", "in_", "inpay_", "ch_", "pi_", "re_", "dp_", "cs_"];

impl Simulation {
    /// Now and then the same happens elsewhere: the event comes once more, under a name of its own, with other amounts
    /// and quantities, at times of objects with other ids.
    pub(super) fn happens_elsewhere(&mut self, body: &Value) {
        // Dice of its own: the histories that seeds stand for stay what they are.
        if self.elsewhere.u32(0..100) >= PERCENT {
            return;
        }
        let mut body = body.clone();
        if self.elsewhere.bool() {
            body["livemode"] = json!(true);
        } else {
            body["account"] = json!("acct_1Elsewhere");
        }
        distort(&mut body["data"]);
        let mut text = body.to_string();
        if self.elsewhere.bool() {
            for prefix in PREFIXES {
                text = text.replace(&format!("\"{prefix}"), &format!("\"{prefix}elsewhere"));
            }
        }
        let mut body: Value = serde_json::from_str(&text).unwrap();
        body["id"] = json!(format!("evt_{:012x}L{:04x}", self.elsewhere.u64(..1 << 48), self.number));
        let envelope = parse::stripe(bytes(&body), moment(NOW)).unwrap();
        self.emitted.push(Emitted { envelope, phase: 0 });
    }
}

/// Whether this happened in the simulation's own account and mode.
pub fn happened_here(envelope: &Envelope) -> bool {
    let here = OriginFilter { mode: StripeMode::Test, account: None };
    let origin = || parse::stripe_with_origin(envelope.body.clone(), envelope.received_at).unwrap().1;
    envelope.source != Source::Stripe || here.check(&origin()).is_ok()
}

/// Other amounts, quantities and states, wherever they stand.
fn distort(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_i64()) {
                    (name, Some(number)) if name.contains("amount") || name == "quantity" => {
                        *value = json!(number * 3 + 7);
                    }
                    ("status", _) => *value = json!("canceled"),
                    _ => distort(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(distort),
        _ => {}
    }
}
