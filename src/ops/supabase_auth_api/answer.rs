//! What the Auth API answers.

use std::error::Error as _;

use reqwest::{Response, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::AuthError;

/// The longest answer that is read, in bytes: a session with its user, or a set of keys.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// A session at Supabase, as far as signing in needs it. Its refresh token is not even read.
#[derive(Debug, Deserialize)]
pub(crate) struct Granted {
    /// Says whose session it is.
    pub access_token: SecretString,
    user: User,
}

#[derive(Debug, Deserialize)]
struct User {
    /// Left out, or null, where there are none.
    factors: Option<Vec<Factor>>,
}

#[derive(Debug, Deserialize)]
struct Factor {
    id: Uuid,
    factor_type: String,
    status: String,
}

/// What a user has set up besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondFactor {
    /// Nothing.
    None,
    /// An app that shows codes.
    App(Uuid),
    /// Something else, which can't be used here.
    Other,
}

impl Granted {
    /// The user's second factor; one that was never confirmed is none.
    pub(crate) fn second_factor(&self) -> SecondFactor {
        let verified = || self.user.factors.iter().flatten().filter(|factor| factor.status == "verified");
        match (verified().find(|factor| factor.factor_type == "totp"), verified().next()) {
            (Some(app), _) => SecondFactor::App(app.id),
            (None, Some(_)) => SecondFactor::Other,
            (None, None) => SecondFactor::None,
        }
    }
}

/// The session in an answer.
pub(super) fn granted(answer: Value) -> Result<Granted, AuthError> {
    serde_json::from_value(answer).map_err(|error| AuthError::InvalidResponse(error.to_string()))
}

/// What a response says.
pub(super) async fn read(mut response: Response) -> Result<Value, AuthError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX_BYTES {
            return Err(AuthError::InvalidResponse(format!("more than {ANSWER_MAX_BYTES} bytes")));
        }
    }
    let answer: Result<Value, _> = serde_json::from_slice(&body);
    if status.is_success() {
        return answer.map_err(|error| AuthError::InvalidResponse(error.to_string()));
    }
    Err(refusal(status, &answer.unwrap_or_default()))
}

fn refusal(status: StatusCode, answer: &Value) -> AuthError {
    // The gateway before the Auth API, which checks the key, says `message`; the Auth API itself says `msg`, and OAuth's
    // endpoint `error`.
    let is_of_gateway = ["msg", "error", "error_code"].iter().all(|field| answer[field].is_null());
    match status {
        StatusCode::TOO_MANY_REQUESTS => match answer["error_code"].as_str() {
            // This one user has had an e-mail within the last minute, which says that there is such a user.
            Some("over_email_send_rate_limit") => refused(status, answer),
            _ => AuthError::TooMany,
        },
        StatusCode::UNAUTHORIZED if is_of_gateway => AuthError::Key,
        status if status.is_client_error() => refused(status, answer),
        status => AuthError::Unreachable(format!("it answers {status}")),
    }
}

fn refused(status: StatusCode, answer: &Value) -> AuthError {
    let code = ["error_code", "error"].iter().find_map(|field| answer[field].as_str());
    // A word of Supabase's; whatever else stands there is not for the log.
    let is_word = |code: &&str| code.len() <= 60 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    AuthError::Refused {
        status: status.as_u16(),
        code: code.filter(is_word).unwrap_or("without a code").to_owned(),
    }
}

pub(super) fn unreachable(error: &reqwest::Error) -> AuthError {
    // The last cause says more than `error sending request`, and holds no address.
    let mut cause = error.source();
    let mut reason =
        if error.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    while let Some(one) = cause {
        reason = one.to_string();
        cause = one.source();
    }
    AuthError::Unreachable(reason)
}
