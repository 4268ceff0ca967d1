//! Standard Webhooks, as Supabase sends it: HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`,
//! in `webhook-signature: v1,<base64>[ v1,<base64>…]`.
//!
//! With several secrets Supabase joins the signatures by a comma and a space where the specification
//! says a space; both are read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::Mac as _;
use time::OffsetDateTime;

use super::{SignatureError, SupabaseSecrets, Window, any_matches, mac_of, unix_seconds};

/// The header with the id of this delivery.
pub const ID: &str = "webhook-id";
/// The header with the Unix seconds at which it was signed.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// The three headers as received.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// [`ID`].
    pub id: Option<&'a str>,
    /// [`TIMESTAMP`].
    pub timestamp: Option<&'a str>,
    /// [`SIGNATURE`].
    pub signature: Option<&'a str>,
}

/// What the signature covers besides the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The delivery's id.
    pub id: &'a str,
    /// When it was signed.
    pub signed_at: OffsetDateTime,
}

/// The three headers of a delivery that we sign ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// [`ID`].
    pub id: String,
    /// [`TIMESTAMP`].
    pub timestamp: String,
    /// [`SIGNATURE`].
    pub signature: String,
}

/// Checks the headers over `body`.
///
/// # Errors
/// The reason why the delivery cannot be trusted.
pub fn verify<'a>(
    secrets: &SupabaseSecrets,
    headers: Headers<'a>,
    body: &[u8],
    window: Window,
) -> Result<Verified<'a>, SignatureError> {
    let id = required(headers.id, ID)?;
    let timestamp = required(headers.timestamp, TIMESTAMP)?;
    let signature = required(headers.signature, SIGNATURE)?;
    let signed_at = unix_seconds(timestamp).ok_or(SignatureError::TimestampInvalid)?;
    let mut offered = signature.split_ascii_whitespace().filter_map(v1).peekable();
    if offered.peek().is_none() {
        return Err(SignatureError::NoSignature);
    }
    let macs: Vec<[u8; 32]> = offered.filter_map(mac_from_base64).collect();
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if !any_matches(&secrets.keys, &parts, &macs) {
        return Err(SignatureError::Mismatch);
    }
    window.admit(signed_at)?;
    Ok(Verified { id, signed_at })
}

/// The headers that Supabase would send, with one signature per secret, joined as the specification
/// says.
#[must_use]
pub fn sign(secrets: &SupabaseSecrets, id: &str, timestamp_s: i64, body: &[u8]) -> Signed {
    let timestamp = timestamp_s.to_string();
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let macs = secrets.keys.iter().map(|key| mac_of(key, &parts).finalize().into_bytes());
    let signatures: Vec<String> = macs.map(|mac| format!("v1,{}", BASE64_STANDARD.encode(mac))).collect();
    Signed { id: id.to_owned(), timestamp, signature: signatures.join(" ") }
}

fn required<'a>(header: Option<&'a str>, name: &'static str) -> Result<&'a str, SignatureError> {
    header.filter(|text| !text.is_empty()).ok_or(SignatureError::HeaderMissing(name))
}

/// The base64 text of one signature of the scheme `v1`; `None` for other schemes and for an empty one.
fn v1(item: &str) -> Option<&str> {
    let (scheme, mac) = item.trim_matches(',').split_once(',')?;
    (scheme == "v1" && !mac.is_empty()).then_some(mac)
}

fn mac_from_base64(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}
