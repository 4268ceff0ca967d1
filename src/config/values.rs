//! Reading the values of settings.

use std::ops::RangeBounds;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::config::Config;
use crate::verify::SupabaseSecrets;
use crate::verify::secrets::split_supabase;

pub(super) const SUPABASE_FORM: &str =
    "v1,whsec_<base64> of at least 16 bytes, several joined by | (v1a secrets are asymmetric and never sign)";

pub(super) fn supabase_secrets(parts: &[String]) -> Option<Vec<SecretString>> {
    let secrets: Vec<SecretString> = parts.iter().flat_map(|part| split_supabase(part)).collect();
    SupabaseSecrets::new(&secrets).ok()??;
    Some(secrets)
}

pub(super) const WEB: &[&str] = &["https://", "http://"];

/// Whether the configuration has a database to work on.
pub(super) fn has_database(config: &Config) -> bool {
    !config.database_url.expose_secret().is_empty()
}

#[expect(clippy::unnecessary_wraps, reason = "the last step of `set`, which may fail before it")]
pub(super) fn put<T>(place: &mut T, value: T) -> Option<()> {
    *place = value;
    Some(())
}

/// The value of a setting that takes one.
pub(super) fn one(parts: &[String]) -> Option<&str> {
    match parts {
        [value] if !value.is_empty() => Some(value),
        _ => None,
    }
}

pub(super) fn number<T: FromStr + PartialOrd>(parts: &[String], range: impl RangeBounds<T>) -> Option<T> {
    one(parts)?.parse().ok().filter(|value| range.contains(value))
}

pub(super) fn url<'a>(parts: &'a [String], schemes: &[&str]) -> Option<&'a str> {
    let url = one(parts)?;
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme))?;
    (!rest.is_empty() && !rest.starts_with('/')).then_some(url)
}

/// A web address that paths are put behind.
pub(super) fn address(parts: &[String]) -> Option<String> {
    let url = url(parts, WEB)?.trim_end_matches('/');
    (!url.contains(['?', '#', ' '])).then(|| url.to_owned())
}

/// Whether this key of Supabase may do everything: it has no business here. A key of the old kind says so in its claims.
pub(super) fn is_secret_key(key: &str) -> bool {
    let claims = key.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
    key.starts_with("sb_secret_") || claims.is_some_and(|claims| claims["role"] == "service_role")
}
