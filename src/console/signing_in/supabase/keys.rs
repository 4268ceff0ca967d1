//! The keys with which the project signs tokens, kept for as long as the project allows.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::sync::Mutex;

use super::auth_api::{AuthApi, AuthError};

/// How long keys are kept: what the project's own `Cache-Control` says. A key that is revoked signs nothing after that.
const LASTS: Duration = Duration::from_secs(600);
/// Between requests for a key that is not among them: whoever invents names of keys makes no more.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// A key that verifies.
#[derive(Clone, Debug)]
pub struct Key {
    /// What tokens call it.
    pub kid: String,
    /// The one algorithm that it is for.
    pub algorithm: Algorithm,
    /// The key itself.
    pub key: DecodingKey,
}

/// The project's keys. One request at a time asks for them, and the others wait for its answer.
#[derive(Default)]
pub(super) struct Keys(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    keys: Vec<Key>,
    read_at: Option<Instant>,
    asked_again_at: Option<Instant>,
}

impl Keys {
    /// The key of this name, if the project has it.
    pub(super) async fn find(
        &self,
        api: &AuthApi,
        kid: &str,
        now: Instant,
    ) -> Result<Option<Key>, AuthError> {
        let mut kept = self.0.lock().await;
        if !kept.is_due(kid, now) {
            return Ok(kept.named(kid));
        }
        kept.keys = api.keys().await?;
        kept.read_at = Some(now);
        Ok(kept.named(kid))
    }
}

impl Kept {
    fn named(&self, kid: &str) -> Option<Key> {
        self.keys.iter().find(|key| key.kid == kid).cloned()
    }

    /// Whether the keys are asked for: they are old, or this one is not among them and nobody asked lately.
    fn is_due(&mut self, kid: &str, now: Instant) -> bool {
        let is_within = |at: Option<Instant>, span| at.is_some_and(|at| now.duration_since(at) < span);
        if !is_within(self.read_at, LASTS) {
            return true;
        }
        if self.named(kid).is_some() || is_within(self.asked_again_at, ASK_AGAIN) {
            return false;
        }
        self.asked_again_at = Some(now);
        true
    }
}

/// The keys of a JSON web key set that can be used; the others are left out.
pub(super) fn read(set: &Value) -> Vec<Key> {
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    keys.iter().filter_map(|key| usable(&serde_json::from_value(key.clone()).ok()?)).collect()
}

/// Only public keys that sign: a symmetric one would make everybody who verifies able to sign.
fn usable(jwk: &Jwk) -> Option<Key> {
    let common = &jwk.common;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        _ => return None,
    };
    let is_for_signing = common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
    let is_for_this = common.key_algorithm.is_none_or(|it| it == named);
    if !is_for_signing || !is_for_this {
        return None;
    }
    Some(Key { kid: common.key_id.clone()?, algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(kid: &str, read_at: Instant) -> Kept {
        let key = json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB"});
        Kept { keys: read(&json!({"keys": [key]})), read_at: Some(read_at), asked_again_at: None }
    }

    #[test]
    fn keys_are_asked_for_when_old_and_for_an_unknown_one_at_most_every_ten_seconds() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut keys = kept("one", begun);
        assert!(Kept::default().is_due("one", begun), "none were read yet");
        for (seconds, kid, expected) in [
            (0, "one", false),
            (0, "other", true),
            (1, "third", false),
            (9, "other", false),
            (10, "other", true),
            (11, "one", false),
            (599, "one", false),
            (600, "one", true),
        ] {
            assert_eq!(keys.is_due(kid, at(seconds)), expected, "{kid} after {seconds} s");
        }
    }

    #[test]
    fn only_public_signing_keys_of_the_two_algorithms_are_used() {
        let good = json!({"kty": "EC", "kid": "ec", "alg": "ES256", "use": "sig", "crv": "P-256", "x": "AQAB", "y": "AQAB"});
        let with = |field: &str, value: Value| {
            let mut key = good.clone();
            key[field] = value;
            key
        };
        let mut nameless = good.clone();
        nameless.as_object_mut().unwrap().remove("kid");
        let set = json!({"keys": [
            with("use", json!("enc")),
            with("alg", json!("ES384")),
            with("alg", json!("HS256")),
            with("crv", json!("P-384")),
            with("crv", json!("P-1")),
            with("kty", json!("new")),
            nameless,
            {"kty": "oct", "kid": "shared", "alg": "HS256", "k": "c2VjcmV0"},
            {"kty": "OKP", "kid": "ed", "alg": "EdDSA", "crv": "Ed25519", "x": "AQAB"},
            "nonsense",
            good,
        ]});
        let kids: Vec<String> = read(&set).into_iter().map(|key| key.kid).collect();
        assert_eq!(kids, ["ec"]);
        assert!(read(&json!({"keys": []})).is_empty() && read(&json!([])).is_empty());
    }
}
