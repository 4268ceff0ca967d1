//! A population: the fixtures repeated for many members, with their own ids.

use std::path::Path;

use memberflow::dev::demo;
use memberflow::envelope::{Envelope, Source};
use memberflow::ops::fixture::{self, FixtureEvent, Member, Scenario, SignsUp};
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::events::envelope;

/// What ids of Stripe's objects begin with. Prices and products are the deployment's, and the same for all.
const STRIPE_IDS: [&str; 20] = [
    "ch", "cn", "cnli", "cs", "cus", "di", "dp", "evt", "il", "in", "inpay", "pi", "plink", "pm", "promo",
    "re", "req", "si", "sub", "txn",
];

/// What follows is random characters; words (`in_app`) are shorter.
const STRIPE_ID_MIN_CHARS: usize = 8;

/// The fixtures, repeatable for any number of members.
pub struct Population {
    scenarios: Vec<Scenario>,
}

impl Population {
    /// Reads the fixtures.
    pub fn read() -> Self {
        Self { scenarios: fixture::scenarios(&folder()).unwrap() }
    }

    /// The number of events in one round of the fixtures.
    pub fn events_per_round(&self) -> usize {
        self.scenarios.iter().map(|scenario| scenario.events.len()).sum()
    }

    /// The events of all fixtures for the members of `round`. Round 0 has the fixtures' own members.
    pub fn fixture_events(&self, round: usize) -> Vec<FixtureEvent> {
        self.scenarios
            .iter()
            .flat_map(|scenario| &scenario.events)
            .map(|event| event_of(event, round))
            .collect()
    }

    /// The same, as they are applied.
    pub fn events(&self, round: usize, received_at: OffsetDateTime) -> Vec<Envelope> {
        self.fixture_events(round).iter().map(|event| envelope(event, received_at)).collect()
    }

    /// The members of `round`.
    pub fn members(&self, round: usize, signs_up: SignsUp) -> Vec<Member> {
        let members = self.scenarios.iter().flat_map(|scenario| &scenario.members);
        members.filter(|member| member.signs_up == signs_up).map(|member| other(member, round)).collect()
    }

    /// Puts the tiers into the database, which every round shares.
    pub async fn insert_tiers(&self, pool: &PgPool) {
        demo::insert_tiers(pool, &fixture::tiers(&folder()).unwrap()).await.unwrap();
    }

    /// Signs up those members of `round` who do so then.
    pub async fn sign_up(&self, pool: &PgPool, round: usize, signs_up: SignsUp) {
        let members = self.members(round, signs_up);
        demo::sign_up(pool, &members.iter().collect::<Vec<_>>()).await.unwrap();
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn other(member: &Member, round: usize) -> Member {
    let mut other =
        Member { id: uuid(member.id, round), email: address(&member.email, round), ..member.clone() };
    other.profile.phone = phone(&member.profile.phone, round);
    other
}

fn event_of(event: &FixtureEvent, round: usize) -> FixtureEvent {
    if round == 0 {
        return event.clone();
    }
    let mut body: Value = serde_json::from_slice(&event.body).unwrap();
    rename(&mut body, round);
    let body = bytes::Bytes::from(serde_json::to_vec(&body).unwrap());
    let event_id = match event.source {
        Source::SupabaseDatabase => fixture::name_by_hash(&body),
        Source::Twilio => renamed(&event.event_id, round),
        _ => event.event_id.clone(),
    };
    FixtureEvent { event_id, body, ..event.clone() }
}

fn rename(value: &mut Value, round: usize) {
    match value {
        Value::String(text) => *text = renamed(text, round),
        Value::Array(entries) => entries.iter_mut().for_each(|entry| rename(entry, round)),
        Value::Object(members) => {
            let is_coupon = members.get("object").is_some_and(|object| object == "coupon");
            for (key, member) in members {
                rename(member, round);
                if let (true, Value::String(id)) = (key == "coupon" || is_coupon && key == "id", member) {
                    *id = format!("{id}R{round}");
                }
            }
        }
        _ => {}
    }
}

fn renamed(text: &str, round: usize) -> String {
    if let Ok(id) = text.parse::<Uuid>() {
        return uuid(id, round).to_string();
    }
    if text.contains('@') && !text.contains(' ') {
        return address(text, round);
    }
    if let Some((sid, rest)) = text.split_at_checked(34).filter(|(sid, _)| is_message(sid)) {
        let other = Uuid::new_v5(&Uuid::nil(), format!("{sid} {round}").as_bytes());
        return format!("{}{}{rest}", &sid[..2], other.simple());
    }
    if text.starts_with("+1202555") {
        return phone(text, round);
    }
    match text.split_once('_') {
        Some((kind, rest)) if STRIPE_IDS.contains(&kind) && rest.len() >= STRIPE_ID_MIN_CHARS => {
            format!("{text}R{round}")
        }
        _ => text.to_owned(),
    }
}

fn uuid(id: Uuid, round: usize) -> Uuid {
    if round == 0 || id.is_nil() { id } else { Uuid::new_v5(&id, &round.to_be_bytes()) }
}

/// Twilio's id of a message.
fn is_message(sid: &str) -> bool {
    (sid.starts_with("SM") || sid.starts_with("MM")) && sid[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn phone(number: &str, round: usize) -> String {
    if round == 0 { number.to_owned() } else { format!("{number}{round:04}") }
}

fn address(email: &str, round: usize) -> String {
    match email.split_once('@') {
        Some((name, domain)) if round > 0 => format!("{name}+{round}@{domain}"),
        _ => email.to_owned(),
    }
}
