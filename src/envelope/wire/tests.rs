//! The wire form: what goes in comes out, and garbage is an error, never a crash.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use time::OffsetDateTime;

use super::{Envelope, Source, WireError, decode, decode_from, encode, encoded_len};

fn moments() -> impl Strategy<Value = OffsetDateTime> {
    let (first, last) = (-377_705_116_800_i64, 253_402_300_799_i64);
    (first..=last, 0..1_000_000_000_u32).prop_map(|(seconds, nanoseconds)| {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap().replace_nanosecond(nanoseconds).unwrap()
    })
}

fn envelopes(source: Source) -> impl Strategy<Value = Vec<Envelope>> {
    let envelope = (any::<String>(), any::<String>(), moments(), moments(), vec(any::<u8>(), 0..300));
    vec(envelope, 1..6).prop_map(move |fields| {
        fields
            .into_iter()
            .map(|(event_id, event_type, occurred_at, received_at, body)| {
                let body = Bytes::from(body);
                Envelope { source, event_id, event_type, occurred_at, received_at, body }
            })
            .collect()
    })
}

fn messages() -> impl Strategy<Value = (Source, Vec<Envelope>)> {
    prop::sample::select(Source::QUEUED.to_vec())
        .prop_flat_map(|source| envelopes(source).prop_map(move |envelopes| (source, envelopes)))
}

proptest! {
    #[test]
    fn encoding_round_trips((source, envelopes) in messages()) {
        let message = encode(source, &envelopes);
        let head = 2 + source.as_str().len();
        prop_assert_eq!(message.len(), head + envelopes.iter().map(encoded_len).sum::<usize>());
        prop_assert_eq!(decode(message.into()).unwrap(), envelopes);
    }

    #[test]
    fn truncated_message_never_gives_all_envelopes(
        (source, envelopes) in messages(),
        cut in any::<prop::sample::Index>(),
    ) {
        let message = encode(source, &envelopes);
        let short = Bytes::from(message).split_to(cut.index(2 + source.as_str().len() + 48));
        prop_assert!(decode(short).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        decode(bytes.into()).ok();
    }

    #[test]
    fn one_flipped_byte_never_panics(
        (source, envelopes) in messages(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut message = encode(source, &envelopes);
        let at = at.index(message.len());
        message[at] = to;
        decode(message.into()).ok();
    }
}

fn one(source: Source, event_id: &str) -> Bytes {
    let (at, event_type) = (OffsetDateTime::UNIX_EPOCH, "t".to_owned());
    let event_id = event_id.to_owned();
    let body = Bytes::from_static(b"{}");
    encode(source, &[Envelope { source, event_id, event_type, occurred_at: at, received_at: at, body }])
        .into()
}

#[test]
fn internal_events_are_rejected_from_a_queue() {
    assert!(matches!(decode(one(Source::Internal, "found/1")), Err(WireError::Internal)));
}

#[test]
fn events_of_another_source_are_rejected() {
    let message = one(Source::SupabaseAuth, "u");
    assert_eq!(decode_from(Source::SupabaseAuth, message.clone()).unwrap().len(), 1);
    let foreign = decode_from(Source::Stripe, message);
    let (declared, queue) = (Source::SupabaseAuth, Source::Stripe);
    assert!(
        matches!(foreign, Err(WireError::Foreign { declared: t, queue: q }) if (t, q) == (declared, queue))
    );
}

#[test]
fn reserved_ids_are_accepted_only_from_known_senders() {
    let is_taken = |source, id: &str| decode(one(source, id)).is_ok();
    assert!(is_taken(Source::SupabaseDatabase, "trigger/0000000000000000042/1700000000000000"));
    assert!(is_taken(Source::Stripe, "unreadable/00ff"));
    for (source, id) in [
        (Source::Stripe, "trigger/1"),
        (Source::SupabaseDatabase, "found/user/x"),
        (Source::SupabaseAuth, "match/c/u"),
        (Source::Stripe, "snapshot/x"),
    ] {
        assert!(matches!(decode(one(source, id)), Err(WireError::Reserved(_))), "{id}");
    }
}

type IsExpected = fn(&WireError) -> bool;

#[test]
fn garbage_kinds_have_distinct_errors() {
    let stripe = |rest: &[u8]| [&[1, 6][..], b"stripe", rest].concat();
    let far = [&i64::MAX.to_le_bytes()[..], &[0; 4]].concat();
    let no_such_nanosecond = [&[0; 8][..], &u32::MAX.to_le_bytes()].concat();
    let huge = [&[0; 24][..], &u64::MAX.to_le_bytes(), b"x"].concat();
    let not_utf8 = [&[0; 24][..], &1_u64.to_le_bytes(), &[0xff], &[0; 16]].concat();
    let cases: [(Vec<u8>, IsExpected); 10] = [
        (vec![], |e| matches!(e, WireError::Truncated)),
        (vec![1], |e| matches!(e, WireError::Truncated)),
        (vec![2, 6], |e| matches!(e, WireError::Version(2))),
        (b"\x01\x06strip".to_vec(), |e| matches!(e, WireError::Truncated)),
        (b"\x01\x06paypal".to_vec(), |e| matches!(e, WireError::Source(_))),
        (stripe(&[]), |e| matches!(e, WireError::Empty)),
        (stripe(&far), |e| matches!(e, WireError::Moment)),
        (stripe(&no_such_nanosecond), |e| matches!(e, WireError::Moment)),
        (stripe(&huge), |e| matches!(e, WireError::Truncated)),
        (stripe(&not_utf8), |e| matches!(e, WireError::Text)),
    ];
    for (bytes, expected) in cases {
        let error = decode(bytes.clone().into()).expect_err("garbage");
        assert!(expected(&error), "{bytes:?} gave {error:?}");
    }
}
