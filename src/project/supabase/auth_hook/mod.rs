//! Auth Hooks: a login is a session, seen when its first token is made.
//!
//! The token hook runs again on every refresh of a session and when an OAuth client is given a token of its
//! own; neither is somebody logging in. The hooks around sign-up report a user; the one before it is early,
//! and since the user may still be rejected it only shows that the id is in use.
//!
//! Only the needed fields are parsed, so that user-written metadata, however deep, cannot prevent a login
//! from being counted.

use serde_json::Value;
use serde_json::value::RawValue;

use super::field;
use crate::envelope::hook::{Fields, TOKEN_HOOK, USER_HOOKS, fields, is_no_login};
use crate::project::internal::LoginEvidence;
use crate::project::payload::{Login, UserReport};
use crate::project::{DecodeError, Payload};

#[cfg(test)]
mod tests;

/// Decodes an Auth Hook's body.
///
/// # Errors
/// [`DecodeError`], if a required field cannot be used.
pub fn decode(body: &[u8]) -> Result<Payload, DecodeError> {
    let call = fields(serde_json::from_slice(body)?);
    let metadata = object(&call, "metadata");
    match value(&metadata, "name").as_str() {
        Some(TOKEN_HOOK) => decode_token(&call, &metadata),
        Some(name) if USER_HOOKS.contains(&name) => decode_user(name, &object(&call, "user")),
        _ => Ok(Payload::Ignored),
    }
}

fn decode_token(call: &Fields<'_>, metadata: &Fields<'_>) -> Result<Payload, DecodeError> {
    if is_no_login(call.get("authentication_method").copied()) {
        return Ok(Payload::Ignored);
    }
    let missing = |field| missing(TOKEN_HOOK, field);
    Ok(Payload::Login(Login {
        evidence: LoginEvidence::Session,
        session_id: field::id_like_uuid(&value(&object(call, "claims"), "session_id"))
            .ok_or_else(|| missing("claims.session_id"))?,
        user_id: field::uuid(&value(call, "user_id")).ok_or_else(|| missing("user_id"))?,
        logged_in_at: field::moment(&value(metadata, "time")).ok_or_else(|| missing("metadata.time"))?,
    }))
}

fn decode_user(name: &str, user: &Fields<'_>) -> Result<Payload, DecodeError> {
    Ok(Payload::User(UserReport {
        user_id: field::uuid(&value(user, "id")).ok_or_else(|| missing(name, "user.id"))?,
        emails: field::email(&value(user, "email")).into_iter().collect(),
        is_deleted: false,
    }))
}

fn object<'a>(fields_of: &Fields<'a>, name: &str) -> Fields<'a> {
    fields_of.get(name).map(|raw: &&'a RawValue| fields(raw)).unwrap_or_default()
}

/// A field's value; null if it is absent or cannot be parsed.
fn value(fields: &Fields<'_>, name: &str) -> Value {
    fields.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn missing(name: &str, field: &'static str) -> DecodeError {
    DecodeError::Field { event_type: name.to_owned(), field }
}
