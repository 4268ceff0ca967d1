//! Auth Hooks: a login is a session, seen when its first token is made.
//!
//! The token hook runs again on every refresh of a session and when an OAuth client is given a token of
//! its own; neither is somebody logging in. The hooks around sign-up tell of a user; the one before it
//! does so early, and as the user may still be refused it says no more than that the id is in use.

use serde_json::Value;

use super::field;
use crate::project::meaning::{Evidence, Login, UserSeen};
use crate::project::{Meaning, Unreadable};

#[cfg(test)]
mod tests;

/// The token hook's `authentication_method` where nobody logs in.
const NO_LOGIN: [&str; 2] = ["token_refresh", "oauth_provider/authorization_code"];

/// What an Auth Hook's body reports.
///
/// # Errors
/// [`Unreadable`] where a field that makes the hook what it is cannot be used.
pub fn read(body: &Value) -> Result<Meaning, Unreadable> {
    match body["metadata"]["name"].as_str() {
        Some("customize-access-token") => read_token(body),
        Some(name @ ("before-user-created" | "after-user-created")) => read_user(name, &body["user"]),
        _ => Ok(Meaning::Nothing),
    }
}

fn read_token(body: &Value) -> Result<Meaning, Unreadable> {
    let method = body["authentication_method"].as_str().unwrap_or_default();
    if NO_LOGIN.contains(&method) {
        return Ok(Meaning::Nothing);
    }
    let missing = |field| missing("customize-access-token", field);
    Ok(Meaning::Login(Login {
        evidence: Evidence::Session,
        session_id: field::id_like_uuid(&body["claims"]["session_id"])
            .ok_or_else(|| missing("claims.session_id"))?,
        user_id: field::uuid(&body["user_id"]).ok_or_else(|| missing("user_id"))?,
        logged_in_at: field::moment(&body["metadata"]["time"]).ok_or_else(|| missing("metadata.time"))?,
    }))
}

fn read_user(name: &str, user: &Value) -> Result<Meaning, Unreadable> {
    Ok(Meaning::User(UserSeen {
        user_id: field::uuid(&user["id"]).ok_or_else(|| missing(name, "user.id"))?,
        emails: field::email(&user["email"]).into_iter().collect(),
        is_gone: false,
    }))
}

fn missing(name: &str, field: &'static str) -> Unreadable {
    Unreadable::Field { event_type: name.to_owned(), field }
}
