//! Verifies the provider's signature over the bytes received.
//!
//! Three schemes: Stripe's own ([`stripe`]), Standard Webhooks ([`standard_webhooks`]), which Supabase uses,
//! and Twilio's ([`mod@twilio`]). All try every secret against every signature offered, in constant time. The
//! first two reject a timestamp that is too old or too new; Twilio signs none. A signature is checked only
//! when the delivery is received, because it expires.

pub mod secrets;
pub mod standard_webhooks;
pub mod stripe;
pub mod twilio;

mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hmac::Mac as _;
use time::OffsetDateTime;

pub use error::SignatureError;
pub use secrets::{InvalidSecret, StripeSecrets, SupabaseSecrets, TwilioTokens};

use secrets::Key;

/// How old or new a signature may be.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The present moment.
    pub now: OffsetDateTime,
    /// How far a timestamp may differ from `now`, in whole seconds. Zero switches the check off.
    pub tolerance: Duration,
}

impl Window {
    /// Rejects a timestamp outside the window.
    fn admit(self, signed_at: OffsetDateTime) -> Result<(), SignatureError> {
        let tolerance_s = i64::try_from(self.tolerance.as_secs()).unwrap_or(i64::MAX);
        let age_s = self.now.unix_timestamp().saturating_sub(signed_at.unix_timestamp());
        if tolerance_s == 0 || age_s.saturating_abs() <= tolerance_s {
            Ok(())
        } else if age_s > 0 {
            Err(SignatureError::TooOld { age_s, tolerance_s })
        } else {
            Err(SignatureError::TooNew { ahead_s: -age_s, tolerance_s })
        }
    }
}

/// Reads Unix seconds: digits alone, in the years that a date can hold.
fn unix_seconds(text: &str) -> Option<OffsetDateTime> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
}

/// Whether any of `keys` made any of `macs` over `parts`, compared in constant time.
fn any_matches(keys: &[Key], parts: &[&[u8]], macs: &[[u8; 32]]) -> bool {
    keys.iter().any(|key| {
        let mac = mac_of(key, parts);
        macs.iter().any(|candidate| mac.clone().verify_slice(candidate).is_ok())
    })
}

/// The unfinished MAC of `parts`. Cloning the keyed state saves deriving it again.
fn mac_of(key: &Key, parts: &[&[u8]]) -> Key {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac
}
