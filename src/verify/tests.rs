//! Both schemes against vectors made by other implementations, and against inputs that must fail.

use std::time::Duration;

use proptest::prelude::*;
use secrecy::SecretString;
use time::OffsetDateTime;

use super::standard_webhooks::{Headers, Signed};
use super::{
    InvalidSecret, SignatureError, StripeSecrets, SupabaseSecrets, Window, secrets, standard_webhooks, stripe,
};

const BODY: &str = r#"{"id":"evt_1","object":"event","type":"invoice.paid","created":1700000000,"data":{"object":{"id":"in_1","name":"Zoë"}}}"#;
const NOW_S: i64 = 1_700_000_000;

/// Made by PyPI `stripe` 16.1.0 over `BODY` at `NOW_S`, with `STRIPE` and `ROLLED`.
const STRIPE: &str = "whsec_test_secret";
const STRIPE_MAC: &str = "9eb78a6ea7e1d2ccd24b8372f3de5c0fcec9fdce69fdada6b8b1da73c78c9121";
const ROLLED: &str = "whsec_rolled_secret";
const ROLLED_MAC: &str = "3efc78ba5a06324d90f1c76b37ff6d5b6d7851ee89b4023454ba3692f5f4aa26";

/// Made by PyPI `standardwebhooks` 1.1.0 over `BODY` at `NOW_S` with the id `msg_1`.
const SUPABASE: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SUPABASE_MAC: &str = "ud9c5w7TkrywZCAMgY/t3rrVafWWJq9mNeJjG7tTrGA=";
const OTHER: &str = "v1,whsec_YW5vdGhlciBrZXksIGFub3RoZXIga2V5LCBhbm90aGU=";
const OTHER_MAC: &str = "dmot2W67JcE235pHuyIr/6qzvHjRu4ZDKtnoLodQ7CI=";

fn at(now_s: i64) -> Window {
    Window { now: OffsetDateTime::from_unix_timestamp(now_s).unwrap(), tolerance: Duration::from_secs(300) }
}

fn stripe_secrets(list: &str) -> StripeSecrets {
    StripeSecrets::new(&secrets::split_stripe(list)).unwrap().unwrap()
}

fn supabase_secrets(list: &str) -> SupabaseSecrets {
    SupabaseSecrets::new(&secrets::split_supabase(list)).unwrap().unwrap()
}

fn stripe_says(header: &str) -> Result<(), SignatureError> {
    stripe::verify(&stripe_secrets(STRIPE), Some(header), BODY.as_bytes(), at(NOW_S))
}

fn supabase_says(signature: &str) -> Result<(), SignatureError> {
    let timestamp = NOW_S.to_string();
    let headers = Headers { id: Some("msg_1"), timestamp: Some(&timestamp), signature: Some(signature) };
    standard_webhooks::verify(&supabase_secrets(SUPABASE), headers, BODY.as_bytes(), at(NOW_S)).map(|_| ())
}

#[test]
fn stripe_headers_that_must_be_accepted() {
    let decoy = "0".repeat(64);
    for header in [
        format!("t={NOW_S},v1={STRIPE_MAC}"),
        format!("t={NOW_S}, v1={STRIPE_MAC}"),
        format!("v1={STRIPE_MAC},t={NOW_S}"),
        format!("t={NOW_S},v1={STRIPE_MAC},v0={decoy}"),
        format!("t={NOW_S},v1={decoy},v1={STRIPE_MAC}"),
        format!("t={NOW_S},v1=nonsense,v1=,v1={STRIPE_MAC},v1={decoy}"),
        format!("t={NOW_S},v1={ROLLED_MAC},v1={STRIPE_MAC}"),
        format!("t={NOW_S},nonsense,v1={STRIPE_MAC}"),
    ] {
        assert_eq!(stripe_says(&header), Ok(()), "{header}");
    }
}

#[test]
fn stripe_headers_that_must_be_refused() {
    let missing = SignatureError::HeaderMissing("stripe-signature");
    assert_eq!(
        stripe::verify(&stripe_secrets(STRIPE), None, BODY.as_bytes(), at(NOW_S)),
        Err(missing.clone())
    );
    for (header, kind) in [
        (String::new(), missing.kind()),
        ("nonsense".to_owned(), "signature-header-malformed"),
        (format!("v1={STRIPE_MAC}"), "signature-header-malformed"),
        (format!("t=,v1={STRIPE_MAC}"), "signature-timestamp-invalid"),
        (format!("t=now,v1={STRIPE_MAC}"), "signature-timestamp-invalid"),
        (format!("t=-{NOW_S},v1={STRIPE_MAC}"), "signature-timestamp-invalid"),
        (format!("t={NOW_S}.5,v1={STRIPE_MAC}"), "signature-timestamp-invalid"),
        (format!("t=99999999999999999999,v1={STRIPE_MAC}"), "signature-timestamp-invalid"),
        (format!("t={NOW_S}"), "signature-absent"),
        (format!("t={NOW_S},v0={STRIPE_MAC}"), "signature-absent"),
        (format!("t={NOW_S},v1="), "signature-mismatch"),
        (format!("t={NOW_S},v1={ROLLED_MAC}"), "signature-mismatch"),
        (format!("t={NOW_S},v1={}", &STRIPE_MAC[..62]), "signature-mismatch"),
        (format!("t={},v1={STRIPE_MAC}", NOW_S + 1), "signature-mismatch"),
    ] {
        assert_eq!(stripe_says(&header).unwrap_err().kind(), kind, "{header}");
    }
}

#[test]
fn any_configured_stripe_secret_may_have_signed() {
    let both = stripe_secrets(&format!("{ROLLED}, {STRIPE}"));
    for mac in [STRIPE_MAC, ROLLED_MAC] {
        let header = format!("t={NOW_S},v1={mac}");
        assert_eq!(stripe::verify(&both, Some(&header), BODY.as_bytes(), at(NOW_S)), Ok(()));
    }
}

#[test]
fn stripe_signs_like_stripe() {
    assert_eq!(
        stripe::sign(&stripe_secrets(STRIPE), NOW_S, BODY.as_bytes()),
        format!("t={NOW_S},v1={STRIPE_MAC}")
    );
    assert_eq!(
        stripe::sign(&stripe_secrets(&format!("{STRIPE},{ROLLED}")), NOW_S, BODY.as_bytes()),
        format!("t={NOW_S},v1={STRIPE_MAC},v1={ROLLED_MAC}")
    );
}

#[test]
fn tolerance_applies_both_ways_zero_disables_it() {
    let header = format!("t={NOW_S},v1={STRIPE_MAC}");
    let verdict = |window| stripe::verify(&stripe_secrets(STRIPE), Some(&header), BODY.as_bytes(), window);
    assert_eq!(verdict(at(NOW_S + 300)), Ok(()));
    assert_eq!(verdict(at(NOW_S - 300)), Ok(()));
    assert_eq!(verdict(at(NOW_S + 301)), Err(SignatureError::TooOld { age_s: 301, tolerance_s: 300 }));
    assert_eq!(verdict(at(NOW_S - 301)), Err(SignatureError::TooNew { ahead_s: 301, tolerance_s: 300 }));
    assert_eq!(verdict(Window { tolerance: Duration::ZERO, ..at(NOW_S + 1_000_000) }), Ok(()));
    assert_eq!(verdict(Window { tolerance: Duration::ZERO, ..at(0) }), Ok(()));
}

#[test]
fn public_standard_webhooks_vectors_verify() {
    for (secret, id, timestamp_s, body, signature) in [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "v1,whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ] {
        let secrets = supabase_secrets(secret);
        let signed = standard_webhooks::sign(&secrets, id, timestamp_s, body.as_bytes());
        assert_eq!(signed.signature, signature);
        let verified =
            standard_webhooks::verify(&secrets, headers(&signed), body.as_bytes(), at(timestamp_s)).unwrap();
        assert_eq!((verified.id, verified.signed_at.unix_timestamp()), (id, timestamp_s));
    }
}

#[test]
fn supabase_signatures_that_must_be_accepted() {
    let decoy = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for signature in [
        format!("v1,{SUPABASE_MAC}"),
        format!("v1,{SUPABASE_MAC} v1,{decoy}"),
        format!("v1,{decoy} v1,{SUPABASE_MAC}"),
        format!("v1,{SUPABASE_MAC}, v1,{OTHER_MAC}"),
        format!("v1,{OTHER_MAC}, v1,{SUPABASE_MAC}"),
        format!("v1,{decoy}, v1,{SUPABASE_MAC}, v1,{OTHER_MAC}"),
        format!("v1a,{decoy} v2,{decoy} v1, nonsense v1,{SUPABASE_MAC}"),
    ] {
        assert_eq!(supabase_says(&signature), Ok(()), "{signature}");
    }
}

#[test]
fn supabase_signatures_that_must_be_refused() {
    for (signature, kind) in [
        (String::new(), "signature-header-missing"),
        ("v1,".to_owned(), "signature-absent"),
        ("nonsense".to_owned(), "signature-absent"),
        (SUPABASE_MAC.to_owned(), "signature-absent"),
        (format!("v2,{SUPABASE_MAC}"), "signature-absent"),
        (format!("v1a,{SUPABASE_MAC}"), "signature-absent"),
        (format!("v1,{OTHER_MAC}"), "signature-mismatch"),
        ("v1,not/base64".to_owned(), "signature-mismatch"),
        (format!("v1,{}", SUPABASE_MAC.trim_end_matches('=')), "signature-mismatch"),
    ] {
        assert_eq!(supabase_says(&signature).unwrap_err().kind(), kind, "{signature}");
    }
}

#[test]
fn supabase_headers_that_must_be_refused() {
    let secrets = supabase_secrets(SUPABASE);
    let good = standard_webhooks::sign(&secrets, "msg_1", NOW_S, BODY.as_bytes());
    let full = headers(&good);
    for (changed, kind) in [
        (Headers { id: None, ..full }, "signature-header-missing"),
        (Headers { id: Some(""), ..full }, "signature-header-missing"),
        (Headers { timestamp: None, ..full }, "signature-header-missing"),
        (Headers { signature: None, ..full }, "signature-header-missing"),
        (Headers { timestamp: Some("yesterday"), ..full }, "signature-timestamp-invalid"),
        (Headers { timestamp: Some("1700000001"), ..full }, "signature-mismatch"),
        (Headers { id: Some("msg_2"), ..full }, "signature-mismatch"),
    ] {
        let refusal = standard_webhooks::verify(&secrets, changed, BODY.as_bytes(), at(NOW_S)).unwrap_err();
        assert_eq!(refusal.kind(), kind, "{changed:?}");
    }
    for (now_s, kind) in [(NOW_S + 301, "signature-too-old"), (NOW_S - 301, "signature-too-new")] {
        let refusal = standard_webhooks::verify(&secrets, full, BODY.as_bytes(), at(now_s)).unwrap_err();
        assert_eq!(refusal.kind(), kind);
    }
}

#[test]
fn several_supabase_secrets_sign_and_verify_together() {
    let both = supabase_secrets(&format!("{SUPABASE}|{OTHER}"));
    let signed = standard_webhooks::sign(&both, "msg_1", NOW_S, BODY.as_bytes());
    assert_eq!(signed.signature, format!("v1,{SUPABASE_MAC} v1,{OTHER_MAC}"));
    for one in [SUPABASE, OTHER] {
        let verdict =
            standard_webhooks::verify(&supabase_secrets(one), headers(&signed), BODY.as_bytes(), at(NOW_S));
        assert!(verdict.is_ok());
    }
}

#[test]
fn invalid_secrets_are_rejected_and_never_shown() {
    for secret in ["", "whsec_", "whsec_7charss", "sk_live_123", "secret"] {
        let refused = StripeSecrets::new(&[SecretString::from(secret)]);
        assert_eq!(refused.unwrap_err(), InvalidSecret::Stripe, "{secret:?}");
    }
    for secret in [
        "",
        "v1,",
        "whsec_",
        "v1,whsec_",
        "v1,whsec_AA==",
        // 15 bytes.
        "v1,whsec_MDEyMzQ1Njc4OWFiY2Rl",
        "v1,whsec_%%%",
        "MDEyMzQ1Njc4OWFiY2RlZg==",
    ] {
        let refused = SupabaseSecrets::new(&[SecretString::from(secret)]);
        assert_eq!(refused.unwrap_err(), InvalidSecret::Supabase, "{secret:?}");
    }
    // The shortest that are taken.
    stripe_secrets("whsec_8charsss");
    supabase_secrets("v1,whsec_MDEyMzQ1Njc4OWFiY2RlZg==");
    let asymmetric = SupabaseSecrets::new(&[SecretString::from("v1a,whpk_MDEy")]);
    assert_eq!(asymmetric.unwrap_err(), InvalidSecret::Asymmetric);
    assert!(StripeSecrets::new(&secrets::split_stripe(" , ")).unwrap().is_none());
    assert_eq!(format!("{:?}", stripe_secrets("whsec_aaaaaaaa,whsec_bbbbbbbb")), "StripeSecrets(2)");
}

fn headers(signed: &Signed) -> Headers<'_> {
    Headers { id: Some(&signed.id), timestamp: Some(&signed.timestamp), signature: Some(&signed.signature) }
}

proptest! {
    #[test]
    fn stripe_signature_verifies_changed_byte_fails(
        secret in "whsec_[!-~&&[^,]]{8,60}",
        body in proptest::collection::vec(any::<u8>(), 1..400),
        timestamp_s in 0_i64..4_000_000_000,
        place in any::<proptest::sample::Index>(),
        bit in 0_u8..7,
    ) {
        let secrets = stripe_secrets(&secret);
        let header = stripe::sign(&secrets, timestamp_s, &body);
        let verdict = |header: &str, body: &[u8]| stripe::verify(&secrets, Some(header), body, at(timestamp_s));
        prop_assert_eq!(verdict(&header, &body), Ok(()));
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= 1 << bit;
        prop_assert!(verdict(&header, &changed).is_err());
        let mut bytes = header.clone().into_bytes();
        bytes[place.index(header.len())] ^= 1 << bit;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(verdict(&changed, &body).is_err(), "{}", changed);
    }

    #[test]
    fn supabase_signature_verifies_changed_byte_fails(
        key in proptest::collection::vec(any::<u8>(), 16..80),
        id in "[!-~]{1,60}",
        body in proptest::collection::vec(any::<u8>(), 1..400),
        timestamp_s in 0_i64..4_000_000_000,
        place in any::<proptest::sample::Index>(),
        bit in 0_u8..7,
    ) {
        use base64::Engine as _;
        let secret = format!("v1,whsec_{}", base64::prelude::BASE64_STANDARD.encode(key));
        let secrets = supabase_secrets(&secret);
        let signed = standard_webhooks::sign(&secrets, &id, timestamp_s, &body);
        let verdict = |signed: &Signed, body: &[u8]| {
            standard_webhooks::verify(&secrets, headers(signed), body, at(timestamp_s)).map(|_| ())
        };
        prop_assert_eq!(verdict(&signed, &body), Ok(()));
        let flipped = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place.index(text.len())] ^= 1 << bit;
            String::from_utf8(bytes).unwrap()
        };
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= 1 << bit;
        prop_assert!(verdict(&signed, &changed).is_err());
        for changed in [
            Signed { id: flipped(&signed.id), ..signed.clone() },
            Signed { timestamp: flipped(&signed.timestamp), ..signed.clone() },
            Signed { signature: flipped(&signed.signature), ..signed.clone() },
        ] {
            prop_assert!(verdict(&changed, &body).is_err(), "{:?}", changed);
        }
    }
}
