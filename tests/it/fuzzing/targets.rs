//! What is fuzzed, each target a function of any bytes that panics where a promise is broken. `fuzz/` runs
//! the same functions under libFuzzer.

use bytes::Bytes;
use memberflow::envelope::{Envelope, Origin, Source, parse, wire};
use memberflow::project::order::{self, Candidate};
use memberflow::project::payload::{Login, Payload, Report};
use memberflow::project::stripe::{StripeObject, decode_api_object, differences};
use memberflow::project::supabase::{ActivityTables, Row, auth_hook as hook, reduced, row};
use memberflow::project::{DecodeError, mrr, payments, stripe};
use memberflow::verify::secrets::{split_stripe, split_supabase};
use memberflow::verify::{StripeSecrets, SupabaseSecrets, Window, standard_webhooks as standard};
use serde_json::Value;
use time::{Duration, OffsetDateTime, UtcOffset};

/// When everything is signed and received: 2026-01-01 00:00 UTC.
pub const NOW_S: i64 = 1_767_225_600;
/// Signs for both sources.
pub const SUPABASE_SECRET: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// See [`SUPABASE_SECRET`].
pub const STRIPE_SECRET: &str = "whsec_memberflow";
/// The longest name that a key column holds with room to spare.
const KEY_MAX_BYTES: usize = 2048;

fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(NOW_S)
}

fn window() -> Window {
    Window { now: now(), tolerance: std::time::Duration::from_secs(300) }
}

/// The secret of Stripe's endpoint.
pub fn stripe_secrets() -> StripeSecrets {
    StripeSecrets::new(&split_stripe(STRIPE_SECRET)).unwrap().unwrap()
}

/// The secret of Supabase's hooks.
pub fn supabase_secrets() -> SupabaseSecrets {
    SupabaseSecrets::new(&split_supabase(SUPABASE_SECRET)).unwrap().unwrap()
}

/// A line of text, and what is behind it; text that is none cannot get here through HTTP.
fn line(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&data[..end]).ok()?, &data[end + 1..]))
}

/// The body with one bit turned, in a place that depends on it.
fn tampered(body: &[u8]) -> Vec<u8> {
    let mut other = body.to_vec();
    match body.len() {
        0 => other.push(0),
        length => other[usize::from(body[0]) % length] ^= 1,
    }
    other
}

/// A header, a newline, a body: only what Stripe's secret made over this body and second is accepted.
pub fn stripe_signature(data: &[u8]) {
    let Some((header, body)) = line(data) else { return };
    let secrets = stripe_secrets();
    let verify = |header: &str, body: &[u8]| {
        memberflow::verify::stripe::verify(&secrets, Some(header), body, window())
    };
    let verdict = verify(header, body);
    assert_eq!(verdict, verify(header, body), "two answers");
    if verdict.is_ok() {
        let (_, rest) = header.split_once("t=").expect("accepted without a time");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let at: i64 = digits.parse().expect("accepted without a number");
        assert!((at - NOW_S).abs() <= 300, "accepted out of its time");
        let signed = memberflow::verify::stripe::sign(&secrets, at, body);
        let (_, mac) = signed.split_once("v1=").expect("a signature");
        assert!(header.contains(mac), "accepted a signature that is not ours");
        assert!(verify(header, &tampered(body)).is_err(), "accepted a tampered body");
        let later = header.replacen(&digits, &(at + 1).to_string(), 1);
        assert!(verify(&later, body).is_err(), "accepted a tampered time");
    }
}

/// Three headers and a body, a newline behind each header.
pub fn standard_webhooks(data: &[u8]) {
    let Some((id, rest)) = line(data) else { return };
    let Some((timestamp, rest)) = line(rest) else { return };
    let Some((signature, body)) = line(rest) else { return };
    let secrets = supabase_secrets();
    let headers = standard::Headers { id: Some(id), timestamp: Some(timestamp), signature: Some(signature) };
    let verify = |headers: standard::Headers<'_>, body: &[u8]| {
        standard::verify(&secrets, headers, body, window()).map(|it| (it.id.to_owned(), it.signed_at))
    };
    let verdict = verify(headers, body);
    assert_eq!(verdict, verify(headers, body), "two answers");
    if let Ok((reported, at)) = verdict {
        assert_eq!(reported, id, "another id than the signed one");
        assert!((at - now()).abs() <= Duration::seconds(300), "accepted out of its time");
        let signed = standard::sign(&secrets, id, at.unix_timestamp(), body);
        assert_eq!(signed.timestamp, timestamp, "another time than the signed one");
        assert!(signature.contains(&signed.signature), "accepted a signature that is not ours");
        assert!(verify(headers, &tampered(body)).is_err(), "accepted a tampered body");
        let other_id = format!("{id}x");
        let other = standard::Headers { id: Some(&other_id), ..headers };
        assert!(verify(other, body).is_err(), "accepted a tampered id");
    }
}

/// A body that is peeked at for every source.
pub fn parse(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let stripe = parse::stripe_with_origin(body.clone(), now());
    assert_eq!(stripe, parse::stripe_with_origin(body.clone(), now()), "two answers");
    if let Ok((envelope, origin)) = stripe {
        if let Ok(event) = serde_json::from_slice::<Value>(&body) {
            assert_eq!(origin, Origin::of_event(&event), "the sender is reported otherwise than it counts");
        }
        assert_eq!(envelope.body, body, "the body was touched");
        can_travel(envelope);
    }
    let hook = parse::auth_hook(body.clone(), now());
    if let Ok(hook) = hook {
        let (whole, kept) = (hook::decode(&body), hook::decode(&hook.envelope.body));
        assert_eq!(format!("{whole:?}"), format!("{kept:?}"), "what is kept means something else");
        let kind = parse::hook_kind(&body).expect("an event of no hook");
        assert_eq!((&kind.name, &kind.claims), (&hook.envelope.event_type, &hook.claims));
        if let Some(claims) = &hook.claims {
            // They are sent back inside an object that is put together by hand.
            serde_json::from_slice::<serde::de::IgnoredAny>(claims).expect("claims that are no JSON");
        }
        can_travel(hook.envelope);
    }
    if let Ok(envelope) = parse::database("msg_1", now(), body.clone(), now()) {
        if envelope.event_type.starts_with("auth.") {
            holds_no_secrets(&envelope.body);
            let again = parse::database("msg_1", now(), envelope.body.clone(), now());
            assert_eq!(again.as_ref(), Ok(&envelope), "scrubbed twice is not scrubbed once");
        } else {
            assert_eq!(envelope.body, body, "the body was touched");
        }
        can_travel(envelope);
    }
}

/// What is peeked fits the queue, and comes out of it the same.
fn can_travel(envelope: Envelope) {
    for name in [&envelope.event_id, &envelope.event_type] {
        assert!((1..=255).contains(&name.len()) && !name.contains(char::is_control), "{name:?}");
    }
    let sent = wire::encode(envelope.source, std::slice::from_ref(&envelope));
    assert_eq!(wire::decode(sent.into()).expect("what we wrote"), [envelope]);
}

fn holds_no_secrets(body: &[u8]) {
    // A value that only the whole document refuses is a dead letter later, and still without secrets here.
    let text = std::str::from_utf8(body).expect("text");
    for name in ["\"encrypted_password\":", "\"refresh_token\":", "\"confirmation_token\":"] {
        let Ok(body) = serde_json::from_str::<Value>(text) else { continue };
        let column = name.trim_matches([':', '"']);
        for row in ["record", "old_record"] {
            assert!(body[row].get(column).is_none(), "{row}.{column} was kept");
        }
    }
}

/// An event of Stripe's, and what is made of it, also by who leaves out what nobody reads.
pub fn stripe_event(data: &[u8]) {
    let fields = stripe::decode_fields(data);
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return assert!(fields.is_err()) };
    let _ = decode_api_object(&event["data"]["object"], &keys());
    let fields = fields.expect("it is JSON");
    assert_eq!(Origin::of_event(&event), Origin::of_event(&fields));
    let payload = stripe::decode(event, &keys());
    let again = stripe::decode(fields, &keys());
    match (payload, again) {
        (Ok(Payload::Stripe(report)), Ok(Payload::Stripe(again))) => {
            assert_eq!(report.state, again.state, "two readings");
            stripe_report(&report);
        }
        (Ok(Payload::Thin { object_id }), Ok(Payload::Thin { .. })) => is_key(&object_id),
        (Ok(Payload::Ignored), Ok(Payload::Ignored)) | (Err(_), Err(_)) => {}
        other => panic!("no payload of Stripe's: {other:?}"),
    }
}

fn keys() -> Vec<String> {
    vec!["user_id".to_owned(), "supabase_user_id".to_owned()]
}

fn stripe_report(report: &Report<StripeObject>) {
    let state = &report.state;
    assert_eq!(report.subject, state.id());
    is_key(&report.subject);
    is_moment(report.occurred_at);
    let kept = serde_json::to_string(state).expect("a state that can be kept");
    assert!(!kept.contains("\\u0000"), "Postgres holds no NUL: {kept}");
    let read: StripeObject = serde_json::from_str(&kept).expect("a state that can be read again");
    assert_eq!(&read, state, "kept otherwise than reported");
    assert_eq!(differences(state, state, true), [], "differs from itself");
    wins_whatever_the_order(report);
    payments::links(state).iter().for_each(|id| is_key(id));
    for payment in payments::resolve(std::slice::from_ref(state)) {
        is_key(&payment.id);
        assert!(payment.refunded >= 0 && payment.disputed >= 0, "{payment:?}");
    }
    if let StripeObject::Subscription(subscription) = state {
        let value = mrr::of_subscription(subscription, &[], &mrr::Catalogue::default(), NOW_S);
        assert!(value.changes_at.is_none_or(|at| at > NOW_S), "{value:?}");
        mrr::dependencies(subscription).iter().for_each(|id| is_key(id));
    }
}

/// Of the event, a copy of it and the state before it, whichever way round.
fn wins_whatever_the_order<T: Ranked>(report: &Report<T>) {
    let candidate = |event_id, previous| Candidate {
        event_id,
        change_kind: report.change_kind,
        rank: report.state.its_rank(),
        object: &report.object,
        previous,
    };
    let first = candidate("a", report.previous.as_ref());
    let second = candidate("b", None);
    let before =
        Candidate { object: report.previous.as_ref().unwrap_or(&Value::Null), ..candidate("c", None) };
    let ways = [[first, second, before], [before, first, second], [second, before, first]];
    let winners = ways.map(|way| order::last_report(&way).map(|it| (way[it.index].event_id, it.tied)));
    assert!(winners.iter().all(|it| it.is_some() && *it == winners[0]), "{winners:?}");
}

trait Ranked {
    fn its_rank(&self) -> i32;
}

impl Ranked for StripeObject {
    fn its_rank(&self) -> i32 {
        self.rank()
    }
}

impl Ranked for Row {
    fn its_rank(&self) -> i32 {
        0
    }
}

/// The change of a row from a Database Webhook.
pub fn database_change(data: &[u8]) {
    let tables = ActivityTables::default();
    let Ok(payload) = row::decode(data, None, &tables) else { return };
    // As it is stored where the door lets it in, else as it is.
    let stored = reduced(data, &tables).unwrap_or_else(|| data.to_vec());
    match (Ok::<_, DecodeError>(payload), row::decode(&stored, None, &tables)) {
        (Ok(Payload::Row(report)), Ok(Payload::Row(again))) => {
            assert_eq!(report.state, again.state, "two readings");
            is_key(&report.subject);
            is_key(&report.state.row_id);
            is_moment(report.occurred_at);
            assert!(report.state.amount >= 0, "{:?}", report.state);
            assert!(!(report.is_final && report.state.counted), "counts though it was deleted");
            wins_whatever_the_order(&report);
        }
        (Ok(Payload::Login(login)), Ok(Payload::Login(again))) => is_login(&login, &again),
        (Ok(Payload::User(user)), Ok(Payload::User(again))) => {
            assert_eq!(user, again, "two readings");
            user.emails.iter().for_each(|email| is_key(email));
        }
        (Ok(Payload::Ignored), Ok(Payload::Ignored)) | (Err(_), Err(_)) => {}
        other => panic!("no payload of a row's: {other:?}"),
    }
}

/// An Auth Hook's call.
pub fn auth_hook(data: &[u8]) {
    match (hook::decode(data), hook::decode(data)) {
        (Ok(Payload::Login(login)), Ok(Payload::Login(again))) => is_login(&login, &again),
        (Ok(Payload::User(user)), Ok(Payload::User(again))) => {
            assert_eq!(user, again, "two readings");
            user.emails.iter().for_each(|email| is_key(email));
        }
        (Ok(Payload::Ignored), Ok(Payload::Ignored)) | (Err(_), Err(_)) => {}
        other => panic!("no payload of a hook's: {other:?}"),
    }
}

fn is_login(login: &Login, again: &Login) {
    assert_eq!(login, again, "two readings");
    is_key(&login.session_id);
    is_moment(login.logged_in_at);
}

/// A key column can hold it.
fn is_key(text: &str) {
    assert!(!text.is_empty() && text.len() <= KEY_MAX_BYTES, "{} bytes: no key", text.len());
    assert!(!text.contains('\0'), "Postgres holds no NUL: {text:?}");
}

/// Every clock on the way can show it.
fn is_moment(moment: OffsetDateTime) {
    let utc = moment.checked_to_offset(UtcOffset::UTC).expect("a moment that is none in UTC");
    assert!((-4000..=9999).contains(&utc.year()), "{utc}");
}

/// A message: what can be read says, written again, the very same bytes.
pub fn wire(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let Ok(envelopes) = wire::decode(message) else { return };
    let source: Source = envelopes.first().expect("a message without an envelope").source;
    assert!(envelopes.iter().all(|it| it.source == source), "two sources in one message");
    let again = wire::encode(source, &envelopes);
    assert_eq!(again, data, "written otherwise than read");
}
