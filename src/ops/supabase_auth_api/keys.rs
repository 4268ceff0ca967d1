//! The project's public keys, which verify the tokens that it signs.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

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
