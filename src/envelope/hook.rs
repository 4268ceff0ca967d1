//! Auth Hooks: which part of a call is stored, and which calls ask for a code to be sent.
//!
//! A call carries the whole user, with metadata that users write themselves, at any depth. What is not needed
//! is neither parsed nor stored; for a call that is not a login and names no user only its id is stored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::Malformed;

/// The hook for tokens; its answer returns the claims.
pub const TOKEN_HOOK: &str = "customize-access-token";
/// The hooks around a sign-up.
pub const USER_HOOKS: [&str; 2] = ["before-user-created", "after-user-created"];
/// The hooks that wait for a decision about a factor or a password.
pub const VERIFICATION_HOOKS: [&str; 2] = ["mfa-verification", "password-verification"];
/// The hooks that have a one-time code sent.
pub const SENDING_HOOKS: [&str; 2] = ["send-sms", "send-email"];
/// Values of the token hook's `authentication_method` that are not a login.
const NO_LOGIN: [&str; 2] = ["token_refresh", "oauth_provider/authorization_code"];

/// An object's fields, raw; the last of those with one name.
pub type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The fields of `raw`; empty if it is not an object.
#[must_use]
pub fn fields(raw: &RawValue) -> Fields<'_> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// Whether a token was made without anybody logging in, by the call's `authentication_method`.
#[must_use]
pub fn is_no_login(method: Option<&RawValue>) -> bool {
    let method: Option<String> = method.and_then(|method| serde_json::from_str(method.get()).ok());
    method.is_some_and(|method| NO_LOGIN.contains(&method.as_str()))
}

#[derive(Default, Serialize)]
struct StoredPart<'a> {
    metadata: Fields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Fields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Fields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_method: Option<&'a RawValue>,
}

/// The part of the body `call` of the hook `name` that is stored.
pub(super) fn stored_part(name: &str, call: &RawValue) -> Result<Bytes, Malformed> {
    let call = fields(call);
    let raw = |field: &str| call.get(field).copied();
    let part = |field: &str, names: &[&str]| raw(field).map(|part| pick(part, names));
    let method = raw("authentication_method");
    let metadata = |names: &[&str]| part("metadata", names).unwrap_or_default();
    let whole = ["uuid", "time", "name"];
    let stored_part = if name == TOKEN_HOOK && !is_no_login(method) {
        StoredPart {
            metadata: metadata(&whole),
            user_id: raw("user_id"),
            claims: part("claims", &["session_id"]),
            user: None,
            authentication_method: method,
        }
    } else if USER_HOOKS.contains(&name) {
        StoredPart {
            metadata: metadata(&whole),
            user: part("user", &["id", "email"]),
            ..StoredPart::default()
        }
    } else {
        StoredPart { metadata: metadata(&["uuid"]), ..StoredPart::default() }
    };
    serde_json::to_vec(&stored_part).map(Bytes::from).map_err(|error| Malformed::NotJson(error.to_string()))
}

fn pick<'a>(object: &'a RawValue, names: &[&str]) -> Fields<'a> {
    let mut fields = fields(object);
    fields.retain(|name, _| names.contains(&name.as_ref()));
    fields
}

/// Whether a call carries a one-time code or a token to be sent, whatever the hook is called.
pub(super) fn carries_code(sms: Option<&RawValue>, email_data: Option<&RawValue>) -> bool {
    let has = |object: Option<&RawValue>, is_secret: fn(&str) -> bool| {
        object.is_some_and(|object| fields(object).keys().any(|name| is_secret(name)))
    };
    has(sms, |name| name == "otp") || has(email_data, |name| name.starts_with("token"))
}
