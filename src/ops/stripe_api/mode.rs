//! The mode of the key: objects of the other mode must not count, and are rejected.

use std::sync::OnceLock;

use serde_json::Value;

use super::StripeApiError;
use crate::project::stripe::{NotCounted, StripeMode};

/// The allowed mode and the key's mode.
#[derive(Debug, Default)]
pub(super) struct KeyMode {
    wanted: StripeMode,
    livemode: OnceLock<bool>,
}

impl KeyMode {
    /// The mode by the prefix of `key`.
    pub(super) fn of(key: &str, wanted: StripeMode) -> Result<Self, StripeApiError> {
        let mode = Self { wanted, livemode: OnceLock::new() };
        match livemode_of(key) {
            Some(livemode) => mode.learn(livemode).map(|()| mode),
            None => Ok(mode),
        }
    }

    /// The key's mode, once it is known.
    pub(super) fn livemode(&self) -> Option<bool> {
        self.livemode.get().copied()
    }

    /// Rejects an object of the other mode. Not every object has `livemode`.
    pub(super) fn check(&self, object: &Value) -> Result<(), StripeApiError> {
        object["livemode"].as_bool().map_or(Ok(()), |livemode| self.learn(livemode))
    }

    fn learn(&self, livemode: bool) -> Result<(), StripeApiError> {
        self.wanted.check(Some(livemode)).map_err(StripeApiError::OtherMode)?;
        self.livemode.get_or_init(|| livemode);
        Ok(())
    }
}

/// What to do about a key of a mode that does not count.
#[must_use]
pub fn other_key(reason: &NotCounted) -> String {
    let wanted = if *reason == NotCounted::LiveMode { "test" } else { "live" };
    let setting = reason.setting();
    format!("set STRIPE_API_KEY to a key of {wanted} mode (sk_{wanted}_… or rk_{wanted}_…), or {setting}")
}

/// Whether `key` is of live mode, if its prefix shows it: `sk_live_…`, `rk_test_…`, `sk_org_live_…`.
fn livemode_of(key: &str) -> Option<bool> {
    let mut parts = key.split('_').skip(1);
    let mode = parts.next().and_then(|part| if part == "org" { parts.next() } else { Some(part) });
    match (mode, parts.next()) {
        (Some("live"), Some(_)) => Some(true),
        (Some("test"), Some(_)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn key_prefix_shows_its_mode() {
        for (key, livemode) in [
            ("sk_live_1", Some(true)),
            ("rk_live_1", Some(true)),
            ("sk_test_1", Some(false)),
            ("rk_test_1", Some(false)),
            ("sk_org_live_1", Some(true)),
            ("sk_org_test_1", Some(false)),
            ("sk_1", None),
            ("sk_live", None),
        ] {
            assert_eq!(livemode_of(key), livemode, "{key}");
        }
    }

    #[test]
    fn key_of_other_mode_is_rejected() {
        assert!(matches!(KeyMode::of("sk_test_1", StripeMode::Live), Err(StripeApiError::OtherMode(_))));
        assert!(matches!(KeyMode::of("rk_live_1", StripeMode::Test), Err(StripeApiError::OtherMode(_))));
        assert_eq!(KeyMode::of("rk_live_1", StripeMode::Any).unwrap().livemode(), Some(true));
        let unknown = KeyMode::of("sk_1", StripeMode::Live).unwrap();
        assert_eq!(unknown.livemode(), None);
        assert!(unknown.check(&json!({"object": "refund"})).is_ok());
        assert!(unknown.check(&json!({"livemode": true})).is_ok());
        assert_eq!(unknown.livemode(), Some(true));
        assert!(matches!(unknown.check(&json!({"livemode": false})), Err(StripeApiError::OtherMode(_))));
    }
}
