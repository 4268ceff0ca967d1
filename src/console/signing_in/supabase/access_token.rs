//! Access tokens of Supabase Auth: what must hold before one is believed.

use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::IgnoredAny;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::ring_verifier;
use crate::ops::supabase_auth_api::Key;

/// How far our clock and Supabase's may differ.
const LEEWAY: Duration = Duration::seconds(30);
/// The audience of users' tokens, and the Postgres role in them.
const AUTHENTICATED: &str = "authenticated";
/// Signed in with a second factor.
const WITH_SECOND_FACTOR: &str = "aal2";

/// What is read of a token. Issuer and audience are the library's to check.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub sub: Uuid,
    pub session_id: Uuid,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    role: String,
    aal: String,
    #[serde(default)]
    is_anonymous: bool,
    /// In tokens that were given to an OAuth client: with the user's id and metadata, and yet not the user.
    client_id: Option<IgnoredAny>,
}

/// A token that is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    /// Not a token, not of this project, or not signed by its key.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    /// It must name the key that signed it.
    #[error("its header names no key")]
    NoKey,
    /// It requires an extension (`crit`), and none is supported.
    #[error("its header has critical extensions")]
    Extensions,
    /// The project publishes no such key.
    #[error("no published key signed it")]
    UnknownKey,
    /// Out of its time.
    #[error("it has expired, or is not valid yet")]
    Time,
    /// Not the token of a user who is signed in.
    #[error("it is {0}")]
    NotAUser(&'static str),
}

/// The key that a token says to be signed by.
pub(super) fn kid(token: &str) -> Result<String, TokenError> {
    let header = decode_header(token)?;
    if header.crit.is_some() {
        return Err(TokenError::Extensions);
    }
    header.kid.ok_or(TokenError::NoKey)
}

/// The claims of a token that `key` signed for `issuer`. The algorithm is the key's: a token that names another is refused.
pub(super) fn verify(
    token: &str,
    key: &Key,
    issuer: &str,
    has_second_factor: bool,
    now: OffsetDateTime,
) -> Result<Claims, TokenError> {
    ring_verifier::install();
    let mut validation = Validation::new(key.algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[AUTHENTICATED]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // The library reads the system's clock, and wraps around where the moment is out of range.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims: Claims = decode(token, &key.key, &validation)?.claims;
    check_time(&claims, now)?;
    check_user(&claims, has_second_factor)?;
    Ok(claims)
}

fn check_time(claims: &Claims, now: OffsetDateTime) -> Result<(), TokenError> {
    let (earliest, latest) = ((now - LEEWAY).unix_timestamp(), (now + LEEWAY).unix_timestamp());
    let is_begun = |moment: Option<i64>| moment.is_none_or(|moment| moment <= latest);
    if claims.exp > earliest && is_begun(claims.nbf) && is_begun(claims.iat) {
        Ok(())
    } else {
        Err(TokenError::Time)
    }
}

fn check_user(claims: &Claims, has_second_factor: bool) -> Result<(), TokenError> {
    let refusals = [
        (claims.role != AUTHENTICATED, "of another role"),
        (claims.is_anonymous, "of an anonymous user"),
        (claims.client_id.is_some(), "of an OAuth client, not of the user"),
        (has_second_factor && claims.aal != WITH_SECOND_FACTOR, "of a sign-in without the second factor"),
    ];
    match refusals.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => Err(TokenError::NotAUser(what)),
        None => Ok(()),
    }
}
