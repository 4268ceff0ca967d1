//! The union of reports does not depend on their order, and rows follow Twilio's statuses.

use bytes::Bytes;
use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;
use crate::envelope::{Parameters, twilio};
use crate::project::Payload;

const SID: &str = "SM00000000000000000000000000000001";
const ACCOUNT: &str = "AC00000000000000000000000000000001";

fn message(pairs: &[(&str, &str)]) -> Message {
    let pairs = [&[("MessageSid", SID), ("AccountSid", ACCOUNT)], pairs].concat();
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let parameters = Parameters::from_form(&Bytes::from(form)).unwrap();
    let event = twilio::event(parameters, OffsetDateTime::UNIX_EPOCH).unwrap();
    let Payload::Sms(report) = decode(&event.envelope).unwrap() else { panic!("no message") };
    assert_eq!(report.sid, SID);
    report.message
}

fn callback(status: &str, error: &str, done_at: &str) -> Message {
    message(&[
        ("MessageStatus", status),
        ("ErrorCode", error),
        ("RawDlrDoneDate", done_at),
        ("From", "+15550100"),
        ("To", "+12025550112"),
    ])
}

fn merged(messages: impl IntoIterator<Item = Message>) -> Message {
    messages.into_iter().fold(Message::default(), |mut all, one| {
        all.merge(one);
        all
    })
}

#[test]
fn highest_status_wins_with_its_error() {
    for (callbacks, status, word, error, tied) in [
        (&["sent", "queued"][..], "sent", "sent", None, false),
        (&["delivered", "sent", "sending"], "delivered", "delivered", None, false),
        (&["accepted"], "queued", "accepted", None, false),
        (
            &["sent", "undelivered:30003"],
            "failed",
            "undelivered",
            Some("30003 Unreachable destination handset"),
            false,
        ),
        (&["failed:99999"], "failed", "failed", Some("99999 failed"), false),
        (&["canceled"], "failed", "canceled", Some("canceled"), false),
        (&["read", "delivered"], "delivered", "read", None, false),
        (&["partially_delivered", "sent"], "delivered", "partially_delivered", None, false),
        (&["delivered", "undelivered:30008"], "delivered", "delivered", None, true),
        (
            &["delivered::2611201200", "undelivered:30008:2611201201"],
            "failed",
            "undelivered",
            Some("30008 Unknown error"),
            false,
        ),
        (&["delivered::2611201201", "undelivered:30008:2611201201"], "delivered", "delivered", None, true),
        (&["delivered::2611201201", "undelivered:30008"], "delivered", "delivered", None, true),
        (&["of_tomorrow"], "queued", "of_tomorrow", None, false),
        (&["of_tomorrow", "sent"], "sent", "sent", None, false),
    ] {
        let parts = |text: &str| {
            let mut parts = text.split(':').map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            callback(&next(), &next(), &next())
        };
        let row = merged(callbacks.iter().map(|text| parts(text))).row();
        let was = (row.status, row.twilio_status.as_deref(), row.error_message.as_deref(), row.is_tied);
        assert_eq!(was, (status, Some(word), error, tied), "{callbacks:?}");
    }
}

#[test]
fn incoming_message_has_its_text_and_all_its_pictures() {
    let row = message(&[
        ("Body", "Look\0!"),
        ("From", "whatsapp:+12025550112"),
        ("To", "whatsapp:+15550100"),
        ("NumMedia", "1"),
        ("NumSegments", "2"),
        ("MediaUrl0", "https://api.twilio.com/a"),
        ("MediaContentType0", "image/jpeg"),
        ("MediaUrl1", "https://api.twilio.com/b"),
    ])
    .row();
    assert_eq!((row.direction, row.status, row.num_segments), ("inbound", "received", Some(2)));
    assert_eq!((row.body.as_deref(), row.number.as_deref()), (Some("Look\u{fffd}!"), Some("12025550112")));
    let media: Vec<_> = row.media.iter().map(|it| (it.url.as_str(), it.kind.as_str())).collect();
    assert_eq!(media, [("https://api.twilio.com/a", "image/jpeg"), ("https://api.twilio.com/b", "")]);
}

#[test]
fn number_is_the_other_sides_or_none() {
    for (address, number) in [
        ("+1 (202) 555-0112", Some("12025550112")),
        ("whatsapp:+12025550112", Some("12025550112")),
        ("rcs:brand_agent", None),
        ("messenger:1234567890", None),
        ("72166", None),
        ("+123", None),
        ("", None),
    ] {
        assert_eq!(digits(address).as_deref(), number, "{address}");
    }
}

#[test]
fn consent_follows_keywords_and_opt_out_type() {
    let incoming = |text: &str, kind: &str| {
        let consent = message(&[("Body", text), ("OptOutType", kind), ("From", "+12025550112")]).consent();
        consent.map(|it| (it.opted_in, it.source.as_str(), it.is_explicit))
    };
    for word in words::OPT_OUT {
        assert_eq!(incoming(word, ""), Some((false, "keyword", true)), "{word}");
        assert_eq!(incoming(&format!(" {}.\n", word.to_lowercase()), ""), Some((false, "keyword", true)));
        assert_eq!(incoming(&format!("{word} it"), ""), None);
    }
    assert_eq!(incoming("start", ""), Some((true, "keyword", true)));
    assert_eq!(incoming("Unstop ", ""), Some((true, "keyword", true)));
    assert_eq!(incoming("yes", ""), Some((true, "keyword", false)));
    assert_eq!(incoming("Yes!", ""), None);
    assert_eq!(incoming("ARRET", "STOP"), Some((false, "opt_out_type", true)));
    assert_eq!(incoming("yes", "START"), Some((true, "opt_out_type", true)));
    assert_eq!(incoming("STOP", "HELP"), None, "Twilio knows which keywords are configured");
    assert_eq!(incoming("Help", ""), None);
}

#[test]
fn opt_out_error_counts_outgoing_keywords_do_not() {
    let refused = callback("failed", "21610", "").consent().unwrap();
    assert_eq!((refused.opted_in, refused.source.as_str()), (false, "error_21610"));
    assert_eq!(callback("failed", "30003", "").consent(), None);
}

fn any_report() -> impl Strategy<Value = Message> {
    let words = prop::sample::select(vec![
        "accepted",
        "queued",
        "sending",
        "sent",
        "delivered",
        "undelivered",
        "failed",
        "canceled",
        "read",
        "new",
    ]);
    let errors = prop::sample::select(vec!["", "0", "30003", "30008", "21610"]);
    let moments = prop::sample::select(vec!["", "2611201200", "2611201201", "nonsense"]);
    let callbacks = (words, errors, moments).prop_map(|(word, error, at)| callback(word, error, at));
    let texts = prop::sample::select(vec!["STOP", "yes", "", "Hello"]);
    let incoming = texts.prop_map(|text| {
        message(&[("Body", text), ("From", "+12025550112"), ("NumMedia", "1"), ("MediaUrl0", "https://x")])
    });
    prop_oneof![4 => callbacks, 1 => incoming]
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        reports in prop::collection::vec(any_report(), 1..8), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        seed in any::<u64>(),
    ) {
        let expected = merged(reports.clone());
        let again = picks.iter().map(|pick| pick.get(&reports).clone());
        let mut others: Vec<Message> = reports.iter().cloned().chain(again).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut others);
        let (head, tail) = others.split_at(others.len() / 2);
        // As it is joined with the stored message.
        let halves = merged([merged(head.to_vec()), merged(tail.to_vec())]);
        prop_assert_eq!(&halves, &expected);
        prop_assert_eq!(halves.row(), expected.row());
        let stored = serde_json::to_value(&expected).unwrap();
        prop_assert_eq!(serde_json::from_value::<Message>(stored).unwrap(), expected);
    }

    #[test]
    fn every_accepted_event_is_decodable(pairs in prop::collection::vec((any_name(), ".{0,40}"), 0..12)) {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let pairs = [&[("MessageSid", SID), ("AccountSid", ACCOUNT)], &pairs[..]].concat();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let parameters = Parameters::from_form(form.as_bytes()).unwrap();
        if let Ok(event) = twilio::event(parameters, OffsetDateTime::UNIX_EPOCH) {
            let Ok(Payload::Sms(report)) = decode(&event.envelope) else { panic!("unreadable") };
            let row = report.message.row();
            prop_assert!([row.body, row.from_number, row.to_number].iter().flatten().all(|text| !text.contains('\0')));
            drop(report.message.consent());
        }
    }
}

fn any_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Body",
        "From",
        "To",
        "MessageStatus",
        "SmsStatus",
        "ErrorCode",
        "RawDlrDoneDate",
        "NumMedia",
        "MediaUrl0",
        "MediaContentType1",
        "OptOutType",
        "NumSegments",
        "MessagingServiceSid",
        "Other",
    ])
}
