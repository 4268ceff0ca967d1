//! Valid seed input from `fixtures/` and `tests/events/`.

use std::path::Path;

use bytes::Bytes;
use memberflow::envelope::{Envelope, Source, parse, wire};
use memberflow::ops::fixture;
use memberflow::verify::{standard_webhooks, stripe};
use serde_json::json;
use time::OffsetDateTime;

use super::targets::{NOW_S, stripe_secrets, supabase_secrets};

/// The longest event taken: long ones make the search slow and no better.
const EVENT_MAX_BYTES: usize = 12_000;

/// By what each target reads.
pub struct Corpus {
    pub stripe_signatures: Vec<Vec<u8>>,
    pub standard_webhooks: Vec<Vec<u8>>,
    pub events: Vec<Vec<u8>>,
    pub stripe: Vec<Vec<u8>>,
    pub changes: Vec<Vec<u8>>,
    pub hooks: Vec<Vec<u8>>,
    pub messages: Vec<Vec<u8>>,
}

impl Corpus {
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let whole = fixture::events(&[root.join("tests/events")]);
        let mut stripe: Vec<Vec<u8>> = whole.map(|event| event.unwrap().body.to_vec()).collect();
        stripe.sort();
        let (mut changes, mut hooks) = (changes(), Vec::new());
        let scenarios = fixture::scenarios(&root.join("fixtures")).unwrap();
        for event in scenarios.into_iter().flat_map(|scenario| scenario.events) {
            match event.source {
                Source::Stripe => stripe.push(event.body.to_vec()),
                Source::SupabaseAuth => hooks.push(event.body.to_vec()),
                _ => changes.push(event.body.to_vec()),
            }
        }
        stripe.retain(|event| event.len() <= EVENT_MAX_BYTES);
        let events: Vec<_> = [&stripe, &changes, &hooks].into_iter().flatten().cloned().collect();
        let few = || events.iter().step_by(7);
        Self {
            stripe_signatures: few().map(|body| signed_by_stripe(body)).collect(),
            standard_webhooks: few().map(|body| signed_by_supabase(body)).collect(),
            messages: stripe.chunks(2).step_by(3).map(message).collect(),
            events,
            stripe,
            changes,
            hooks,
        }
    }
}

/// A change of each table that is read in a way of its own.
fn changes() -> Vec<Vec<u8>> {
    let id = "7f8d6a52-3c1e-4b0a-9f51-0d2a7c9e1b34";
    let row = json!({
        "id": id, "user_id": id, "owner_id": id, "email": "Ann@example.com", "encrypted_password": "x",
        "created_at": "2025-01-07 09:02:12.418+00", "updated_at": "2025-01-07T09:02:12+01:00",
        "is_draft": false, "is_active": true, "metadata": {"size": 1024}, "first_name": "Ann",
    });
    let tables =
        ["auth.users", "auth.sessions", "storage.objects", "public.user_profiles", "public.vision_versions"];
    let change = |relation: &str, verb: &str| {
        let (schema, table) = relation.split_once('.').unwrap();
        let (record, old_record) =
            if verb == "DELETE" { (None, Some(&row)) } else { (Some(&row), Some(&row)) };
        let change = json!({
            "type": verb, "schema": schema, "table": table, "record": record, "old_record": old_record,
        });
        change.to_string().into_bytes()
    };
    let verbs = ["INSERT", "UPDATE", "DELETE"];
    tables.iter().flat_map(|relation| verbs.map(|verb| change(relation, verb))).collect()
}

fn signed_by_stripe(body: &[u8]) -> Vec<u8> {
    let header = stripe::sign(&stripe_secrets(), NOW_S, body);
    [header.as_bytes(), b"\n", body].concat()
}

fn signed_by_supabase(body: &[u8]) -> Vec<u8> {
    let signed = standard_webhooks::sign(&supabase_secrets(), "msg_1", NOW_S, body);
    let head = format!("{}\n{}\n{}\n", signed.id, signed.timestamp, signed.signature);
    [head.as_bytes(), body].concat()
}

fn message(bodies: &[Vec<u8>]) -> Vec<u8> {
    let now = OffsetDateTime::from_unix_timestamp(NOW_S).unwrap();
    let parsed = bodies.iter().filter_map(|body| parse::stripe(Bytes::copy_from_slice(body), now).ok());
    let envelopes: Vec<Envelope> = parsed.collect();
    wire::encode(Source::Stripe, &envelopes)
}
