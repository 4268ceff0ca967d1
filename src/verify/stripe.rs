//! Stripe's scheme: `Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 with the
//! whole `whsec_…` text over `<t>.<body>`. While a secret is rolled there is one `v1` per secret.

use hmac::Mac as _;

use super::{SignatureError, StripeSecrets, Window, any_matches, mac_of, unix_seconds};

/// The header that carries the signature.
pub const HEADER: &str = "stripe-signature";
const FORM: &str = "t=<unix seconds>,v1=<hex>";

/// Checks `header` over `body`.
///
/// # Errors
/// The reason why the delivery cannot be trusted.
pub fn verify(
    secrets: &StripeSecrets,
    header: Option<&str>,
    body: &[u8],
    window: Window,
) -> Result<(), SignatureError> {
    let header = header.filter(|text| !text.is_empty()).ok_or(SignatureError::HeaderMissing(HEADER))?;
    let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
    let (_, timestamp) = fields()
        .find(|(name, _)| *name == "t")
        .ok_or(SignatureError::HeaderMalformed { header: HEADER, form: FORM })?;
    let signed_at = unix_seconds(timestamp).ok_or(SignatureError::TimestampInvalid)?;
    let mut offered = fields().filter(|(name, _)| *name == "v1").peekable();
    if offered.peek().is_none() {
        return Err(SignatureError::NoSignature);
    }
    let macs: Vec<[u8; 32]> = offered.filter_map(|(_, hex)| mac_from_hex(hex)).collect();
    if !any_matches(&secrets.keys, &[timestamp.as_bytes(), b".", body], &macs) {
        return Err(SignatureError::Mismatch);
    }
    window.admit(signed_at)
}

/// The header that Stripe would send: one `v1` per secret.
#[must_use]
pub fn sign(secrets: &StripeSecrets, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let macs = secrets.keys.iter().map(|key| {
        let mac = mac_of(key, &[timestamp.as_bytes(), b".", body]).finalize();
        format!(",v1={}", hex::encode(mac.into_bytes()))
    });
    format!("t={timestamp}{}", macs.collect::<String>())
}

/// Stripe writes lower-case hex, and only that is accepted.
fn mac_from_hex(text: &str) -> Option<[u8; 32]> {
    let mut mac = [0; 32];
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut mac).is_ok()).then_some(mac)
}
