//! The signing secrets: read and checked once, at the start, into keyed MACs that each request clones.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use sha2::Sha256;

/// A keyed MAC.
pub(super) type Key = Hmac<Sha256>;
/// The same with the hash that Twilio uses.
pub(super) type Sha1Key = Hmac<Sha1>;

/// Secrets are pasted by hand: base64 padding is optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The shortest Stripe secret, without its prefix. Stripe's own are 32 or 64 characters long.
const STRIPE_MIN_CHARS: usize = 8;
/// The shortest Supabase secret, decoded. Supabase's own are 24 to 64 bytes long.
const SUPABASE_MIN_BYTES: usize = 16;
/// The shortest Twilio auth token. Twilio's own are 32 characters long.
const TWILIO_MIN_CHARS: usize = 16;

/// An invalid secret. Its text is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Stripe's signing secrets begin with `whsec_`; an API key does not.
    #[error(
        "a Stripe signing secret is whsec_ and {STRIPE_MIN_CHARS} characters or more behind it, as the endpoint's page shows it"
    )]
    Stripe,
    /// Not what Supabase makes.
    #[error(
        "a Supabase hook secret is v1,whsec_ and the base64 of {SUPABASE_MIN_BYTES} bytes or more behind it; several are joined by |"
    )]
    Supabase,
    /// Supabase accepts such a secret but never signs with it.
    #[error("a v1a (asymmetric) secret never signs: generate a v1,whsec_ secret for the hook")]
    Asymmetric,
    /// Not what Twilio's console shows.
    #[error(
        "a Twilio auth token has {TWILIO_MIN_CHARS} characters or more and no space, as the console shows it"
    )]
    Twilio,
}

/// The secrets of Stripe's endpoint, at least one.
#[derive(Clone)]
pub struct StripeSecrets {
    pub(super) keys: Vec<Key>,
}

/// The secrets of Supabase's hooks and webhooks, at least one.
#[derive(Clone)]
pub struct SupabaseSecrets {
    pub(super) keys: Vec<Key>,
}

/// The auth tokens of a Twilio account, at least one, and the shared keys by which it may sign instead.
#[derive(Clone)]
pub struct TwilioTokens {
    pub(super) keys: Vec<TwilioKey>,
}

/// One token, for either of the hashes.
#[derive(Clone)]
pub(super) struct TwilioKey {
    pub sha1: Sha1Key,
    pub sha256: Key,
}

impl TwilioTokens {
    /// The keys of `tokens`; `None` if there are none.
    ///
    /// # Errors
    /// If one of them is not an auth token.
    pub fn new(tokens: &[SecretString]) -> Result<Option<Self>, InvalidSecret> {
        let is_token =
            |text: &str| text.len() >= TWILIO_MIN_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic());
        let tokens: Vec<&str> = tokens.iter().map(|token| token.expose_secret()).collect();
        if tokens.iter().all(|token| is_token(token)) {
            Self::of(&tokens)
        } else {
            Err(InvalidSecret::Twilio)
        }
    }

    /// The keys of texts of any form.
    pub(super) fn of(tokens: &[&str]) -> Result<Option<Self>, InvalidSecret> {
        let key = |token: &&str| {
            let token = token.as_bytes();
            Ok(TwilioKey { sha1: Sha1Key::new_from_slice(token)?, sha256: Key::new_from_slice(token)? })
        };
        let keys: Result<Vec<_>, hmac::digest::InvalidLength> = tokens.iter().map(key).collect();
        let keys = keys.map_err(|_| InvalidSecret::Twilio)?;
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }
}

impl StripeSecrets {
    /// The keys of `secrets`; `None` if there are none.
    ///
    /// # Errors
    /// If one of them is not a Stripe signing secret.
    pub fn new(secrets: &[SecretString]) -> Result<Option<Self>, InvalidSecret> {
        let keys = secrets.iter().map(|secret| stripe_key(secret.expose_secret()));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }
}

impl SupabaseSecrets {
    /// The keys of `secrets`; `None` if there are none.
    ///
    /// # Errors
    /// If one of them is not a symmetric Supabase secret.
    pub fn new(secrets: &[SecretString]) -> Result<Option<Self>, InvalidSecret> {
        let keys = secrets.iter().map(|secret| supabase_key(secret.expose_secret()));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }
}

/// The secrets in `STRIPE_WEBHOOK_SECRETS`: `whsec_…,whsec_…`.
#[must_use]
pub fn split_stripe(list: &str) -> Vec<SecretString> {
    split(list, ',')
}

/// The tokens in `TWILIO_AUTH_TOKENS`, joined by commas.
#[must_use]
pub fn split_twilio(list: &str) -> Vec<SecretString> {
    split(list, ',')
}

/// The secrets in `SUPABASE_WEBHOOK_SECRETS`: `v1,whsec_…|v1,whsec_…`.
#[must_use]
pub fn split_supabase(list: &str) -> Vec<SecretString> {
    split(list, '|')
}

fn split(list: &str, separator: char) -> Vec<SecretString> {
    list.split(separator).map(str::trim).filter(|secret| !secret.is_empty()).map(SecretString::from).collect()
}

/// Stripe's key is the whole text, prefix and all.
fn stripe_key(secret: &str) -> Result<Key, InvalidSecret> {
    let text = secret.strip_prefix("whsec_").filter(|text| text.len() >= STRIPE_MIN_CHARS);
    text.ok_or(InvalidSecret::Stripe)?;
    Key::new_from_slice(secret.as_bytes()).map_err(|_| InvalidSecret::Stripe)
}

/// Supabase's key is the decoded base64 after the prefix.
fn supabase_key(secret: &str) -> Result<Key, InvalidSecret> {
    if secret.starts_with("v1a,") {
        return Err(InvalidSecret::Asymmetric);
    }
    let text = secret.strip_prefix("v1,").unwrap_or(secret);
    let text = text.strip_prefix("whsec_").ok_or(InvalidSecret::Supabase)?;
    let key = BASE64.decode(text).ok().filter(|key| key.len() >= SUPABASE_MIN_BYTES);
    let key = key.ok_or(InvalidSecret::Supabase)?;
    Key::new_from_slice(&key).map_err(|_| InvalidSecret::Supabase)
}

impl fmt::Debug for StripeSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StripeSecrets({})", self.keys.len())
    }
}

impl fmt::Debug for SupabaseSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SupabaseSecrets({})", self.keys.len())
    }
}

impl fmt::Debug for TwilioTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TwilioTokens({})", self.keys.len())
    }
}
