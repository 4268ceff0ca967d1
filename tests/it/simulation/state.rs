//! The simulated Stripe account and Supabase project: clock, random generator, and emitted events.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use fastrand::Rng;
use memberflow::envelope::{Envelope, parse};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::shapes::{Era, Pen};
use super::stripe_sim::Stripe;
use super::supabase_sim::Supabase;
use super::texts_sim::Desk;

/// The moment of every comparison: 2026-11-20 12:00 UTC.
pub const NOW: i64 = 1_795_176_000;
/// What happens to the database itself (a sign-up, a deletion) happens at the start of one of these parts
/// of a delivery; the events in each part come in any order.
pub const PHASES: usize = 3;

/// An event, and the first phase in which it can be delivered.
#[derive(Clone, Debug)]
pub struct Emitted {
    pub envelope: Envelope,
    pub phase: usize,
}

/// Something that happens to the database, not by an event.
#[derive(Clone, Debug)]
pub enum Act {
    SignUp {
        id: Uuid,
        email: String,
        confirmed: bool,
    },
    Change {
        id: Uuid,
        email: String,
        confirmed: bool,
    },
    Delete {
        id: Uuid,
    },
    NameTier(Tier),
    /// The application writes a row of its own.
    Run(String),
}

impl Act {
    pub fn is_about(&self, user: Uuid) -> bool {
        match self {
            Self::SignUp { id, .. } | Self::Change { id, .. } | Self::Delete { id } => *id == user,
            Self::NameTier(_) | Self::Run(_) => false,
        }
    }
}

/// A row of `membership_tiers`.
#[derive(Clone, Debug)]
pub struct Tier {
    pub id: Uuid,
    pub name: String,
    pub price: Option<String>,
    pub product: Option<String>,
}

/// A pre-existing row.
#[derive(Clone, Debug)]
pub struct PreexistingRow {
    pub id: Uuid,
    pub user: Uuid,
    pub customer: String,
    pub subscription: String,
    pub price: String,
    pub status: &'static str,
    pub created: i64,
}

/// One account and project, and everything that happened to it.
pub struct Simulation {
    pub number: u16,
    pub seed: u64,
    pub rng: Rng,
    /// Decides what happens in the other mode and in other accounts.
    pub elsewhere: Rng,
    pub now: i64,
    /// Which API version writes the events from when on.
    pub eras: Vec<(i64, Era)>,
    /// Ids of customers come as whole customers.
    pub expands: bool,
    pub emitted: Vec<Emitted>,
    pub acts: Vec<(usize, Act)>,
    pub preexisting: Vec<PreexistingRow>,
    pub tiers: Vec<Tier>,
    /// Engagement statuses set by hand before memberflow was switched on.
    pub by_hand: BTreeMap<Uuid, &'static str>,
    pub stripe: Stripe,
    pub supabase: Supabase,
    pub desk: Desk,
    /// Objects emitted of in this second: the state it began with, none where it was made in it.
    pub second: HashMap<String, (i64, Option<Value>)>,
    /// Thin events: object and second, and the last second of each object's full events.
    pub thin: Vec<(String, i64)>,
    pub last_emitted: HashMap<String, i64>,
    /// Objects whose deletion was emitted; not the place of a discount of old, which can be filled again.
    pub deleted: HashSet<String>,
}

impl Simulation {
    pub fn new(number: u16, seed: u64) -> Self {
        Self {
            number,
            seed,
            rng: Rng::with_seed(seed),
            elsewhere: Rng::with_seed(seed ^ 0xe15e),
            now: NOW - 420 * 86_400,
            eras: Vec::new(),
            expands: false,
            emitted: Vec::new(),
            acts: Vec::new(),
            preexisting: Vec::new(),
            tiers: Vec::new(),
            by_hand: BTreeMap::new(),
            stripe: Stripe::default(),
            supabase: Supabase::default(),
            desk: Desk::default(),
            second: HashMap::new(),
            thin: Vec::new(),
            last_emitted: HashMap::new(),
            deleted: HashSet::new(),
        }
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.rng.usize(..among.len())].clone()
    }

    pub fn any<T: Clone>(&mut self, among: impl IntoIterator<Item = T>) -> Option<T> {
        let all: Vec<T> = among.into_iter().collect();
        (!all.is_empty()).then(|| self.pick(&all))
    }

    /// An id of Stripe's: where it sorts says nothing, and its end says whose it is.
    pub fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}_{:012x}L{:04x}", self.rng.u64(..1 << 48), self.number)
    }

    /// An id of Supabase's, which begins with the simulation's number.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u128((u128::from(self.number) << 112) | (self.rng.u128(..) >> 16))
    }

    /// Mostly no time passes: many events share a second.
    pub fn pause(&mut self) {
        let seconds = match self.rng.u32(0..100) {
            0..62 => 0,
            62..84 => self.rng.i64(1..4),
            84..95 => self.rng.i64(60..9_000),
            _ => self.rng.i64(9_000..90_000),
        };
        self.wait(seconds);
    }

    pub fn wait(&mut self, seconds: i64) {
        let left = (NOW - 3_600 - self.now).max(3);
        self.now += seconds.min(left);
    }

    pub fn era(&self) -> Era {
        let since = self.eras.iter().rev().find(|(from, _)| *from <= self.now);
        since.or(self.eras.first()).expect("an era").1
    }

    /// How an event of this moment is written.
    pub fn pen(&self) -> Pen {
        Pen { era: self.era(), expands: self.expands }
    }

    /// Reports one change of one object in as many events as Stripe has `types` for it. `before`: the
    /// object until then; none where it was just made.
    pub fn emit(&mut self, id: &str, before: Option<&Value>, after: &Value, types: &[&str]) {
        let previous = before.and_then(|before| difference(before, after));
        for kind in types {
            let shows_previous =
                kind.ends_with("updated") || ["charge.refunded", "charge.dispute.closed"].contains(kind);
            if shows_previous && before.is_some() && previous.is_none() {
                continue;
            }
            self.note_second(id, before);
            self.stripe_event(kind, after, previous.as_ref().filter(|_| shows_previous));
            self.last_emitted.insert(id.to_owned(), self.now);
            if kind.ends_with(".deleted") && !id.starts_with("discount:") {
                self.deleted.insert(id.to_owned());
            }
            if self.chance(2) {
                self.emit_thin(kind, id);
            }
        }
    }

    fn note_second(&mut self, id: &str, before: Option<&Value>) {
        let known = self.second.get(id).is_some_and(|(second, _)| *second == self.now);
        if !known {
            self.second.insert(id.to_owned(), (self.now, before.cloned()));
        }
    }

    /// A walk within one second that ends where it began, without a birth in sight, cannot be emitted from
    /// one that never left: Stripe's reports do not say which of its states was the last.
    pub fn would_return(&self, id: &str, after: &Value) -> bool {
        self.second
            .get(id)
            .is_some_and(|(second, first)| *second == self.now && first.as_ref() == Some(after))
    }

    /// An event that says that something happened, and not what.
    pub fn emit_thin(&mut self, kind: &str, object: &str) {
        let id = self.id("evt");
        let created = moment(self.now).format(&Rfc3339).unwrap();
        let related = json!({ "id": object, "type": "object", "url": format!("/v1/objects/{object}") });
        let body = json!({ "id": id, "object": "v2.core.event", "type": format!("v1.{kind}"), "created": created,
            "livemode": false, "context": null, "data": {}, "related_object": related });
        if !kind.starts_with("credit_note") {
            self.thin.push((object.to_owned(), self.now));
        }
        self.happens_elsewhere(&body);
        self.keep(parse::stripe(bytes(&body), moment(NOW)).unwrap(), 0);
    }

    pub fn stripe_event(&mut self, kind: &str, object: &Value, previous: Option<&Value>) {
        let mut data = json!({ "object": object });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous.clone();
        }
        let id = self.id("evt");
        let body = json!({ "id": id, "object": "event", "api_version": self.era().version(), "created": self.now,
            "data": data, "livemode": false, "pending_webhooks": self.rng.u32(1..4),
            "request": { "id": null, "idempotency_key": null }, "type": kind });
        self.happens_elsewhere(&body);
        self.keep(parse::stripe(bytes(&body), moment(NOW)).unwrap(), 0);
    }

    /// An Auth Hook's call as it is sent. What is kept of it names too little to be sent again.
    pub fn auth_hook(&mut self, body: &Value) {
        let body = bytes(body);
        let envelope = parse::auth_hook(body.clone(), moment(NOW)).unwrap().envelope;
        self.keep(Envelope { body, ..envelope }, 0);
    }

    /// A Database Webhook, delivered in `phase` or later.
    pub fn row_event(&mut self, relation: &str, record: &Value, old_record: &Value, phase: usize) {
        let (schema, table) = relation.split_once('.').unwrap();
        let kind = match (record.is_null(), old_record.is_null()) {
            (false, true) => "INSERT",
            (false, false) => "UPDATE",
            _ => "DELETE",
        };
        let body = json!({ "type": kind, "schema": schema, "table": table, "record": record,
            "old_record": old_record });
        let id = self.uuid().to_string();
        self.keep(parse::database(&id, moment(self.now), bytes(&body), moment(NOW)).unwrap(), phase);
    }

    fn keep(&mut self, envelope: Envelope, phase: usize) {
        self.emitted.push(Emitted { envelope, phase });
    }
}

pub fn moment(unix_seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap()
}

pub fn bytes(body: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(body).unwrap())
}

/// `previous_attributes`: the old values of what changed; of hashes only the keys that did, arrays whole.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (before, after) if before == after => None,
        (Value::Object(then), Value::Object(now)) => {
            let keys = then.keys().chain(now.keys().filter(|key| !then.contains_key(*key)));
            let null = Value::Null;
            let changed = keys.filter_map(|key| {
                let old = then.get(key).unwrap_or(&null);
                Some((key.clone(), difference(old, now.get(key).unwrap_or(&null))?))
            });
            Some(Value::Object(changed.collect::<Map<_, _>>()))
        }
        (before, _) => Some(before.clone()),
    }
}
