//! The verifier that PostgreSQL keeps of a password (RFC 5802, RFC 7677).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The verifier of `password` in PostgreSQL's notation, which it takes in place of a password.
///
/// It is made with one round of hashing instead of PostgreSQL's 4,096, which slow down each login, and tests make thousands.
/// So `password` must be random: a weak one could be guessed.
///
/// # Errors
/// None: HMAC takes keys of any length.
pub fn verifier(password: &str, salt: &[u8]) -> Result<String, InvalidLength> {
    let salted = hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat())?;
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key")?);
    let server_key = hmac(&salted, b"Server Key")?;
    let [salt, stored_key, server_key] = [salt, &stored_key, &server_key].map(|bytes| STANDARD.encode(bytes));
    Ok(format!("SCRAM-SHA-256$1:{salt}${stored_key}:{server_key}"))
}

fn hmac(key: &[u8], message: &[u8]) -> Result<[u8; 32], InvalidLength> {
    let mac = Hmac::<Sha256>::new_from_slice(key)?;
    Ok(mac.chain_update(message).finalize().into_bytes().into())
}
