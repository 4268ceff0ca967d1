//! Access tokens, right ones and forged ones.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::keys::SigningKey;

/// A token before it is signed: a test may change it.
pub struct Draft {
    pub header: Value,
    pub claims: Value,
    pub signed_by: Signer,
}

/// What signs it.
#[derive(Clone)]
pub enum Signer {
    Key(Arc<SigningKey>),
    /// Nothing: the signature is empty.
    Nobody,
    /// HMAC-SHA-256 under what everybody can read.
    SharedText(String),
    /// The key, and then a bit of the claims is turned.
    KeyOfOtherClaims(Arc<SigningKey>),
}

impl Draft {
    pub fn write(&self) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let message = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = match &self.signed_by {
            Signer::Key(key) => key.sign(message.as_bytes()),
            Signer::Nobody => Vec::new(),
            Signer::SharedText(text) => {
                let mac = Hmac::<Sha256>::new_from_slice(text.as_bytes()).unwrap();
                mac.chain_update(&message).finalize().into_bytes().to_vec()
            }
            Signer::KeyOfOtherClaims(key) => key.sign(format!("{message}x").as_bytes()),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }
}
