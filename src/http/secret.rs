//! Comparing secrets.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Compares the MACs of both under one key: in constant time, and blind to their lengths.
pub(crate) fn constant_time_eq(presented: &[u8], expected: &[u8]) -> bool {
    let mac = |text: &[u8]| Hmac::<Sha256>::new_from_slice(expected).map(|mac| mac.chain_update(text));
    match (mac(presented), mac(expected)) {
        (Ok(presented), Ok(expected)) => presented.verify_slice(&expected.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}
