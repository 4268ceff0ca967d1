//! A read-only client of Twilio's REST API: an account's messages by page, and the settings of its numbers
//! and services.
//!
//! Requests are sent one at a time. Rate limits (429), network errors and 5xx are retried with growing
//! delays, or after `Retry-After`.

mod pages;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use pages::{Page, SentRange, Settings};

use crate::config::Config;
use crate::config::hosts::{host_of, is_this_machine};
use crate::retry::Backoff;

/// What an operation says that needs an account, if none is set.
pub const NO_ACCOUNT: &str = "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKENS are not both set: Twilio's console shows them under Account Info";

/// Twilio's base URL.
const BASE: &str = "https://api.twilio.com";
/// The base URL of Messaging Services, unless the base is configured.
const MESSAGING_BASE: &str = "https://messaging.twilio.com";
/// Attempts per request: half a minute of waiting in total.
const ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest accepted `Retry-After`.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Twilio's API with one account's tokens.
#[derive(Debug)]
pub struct TwilioApi {
    client: Client,
    base: String,
    messaging_base: String,
    account: String,
    tokens: Vec<SecretString>,
    /// The index of the token that worked last. There may be others that only sign.
    opening: AtomicUsize,
    attempts: u32,
}

/// A request to Twilio's API failed.
#[derive(Debug, thiserror::Error)]
pub enum TwilioApiError {
    /// The settings are invalid.
    #[error("TWILIO_API_BASE can't be used: {0}")]
    Settings(String),
    /// Twilio rejected the request; the message is Twilio's.
    #[error("Twilio answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Twilio's message.
        message: String,
    },
    /// No answer after all attempts.
    #[error("Twilio's API can't be reached: {0}")]
    Unreachable(String),
    /// An answer that is not Twilio's.
    #[error("the answer is not one that Twilio's API gives: {0}")]
    InvalidResponse(String),
}

/// The failure of one attempt.
struct AttemptError {
    error: TwilioApiError,
    is_transient: bool,
    wait: Option<Duration>,
}

impl TwilioApi {
    /// A client with retries for the account whose messages count. `None` without an account or token.
    ///
    /// # Errors
    /// If the base URL is invalid.
    pub fn new(config: &Config) -> Result<Option<Self>, TwilioApiError> {
        let Some(account) = &config.twilio_account_sid else { return Ok(None) };
        if config.twilio_auth_tokens.is_empty() {
            return Ok(None);
        }
        let given = config.twilio_api_base.as_deref().map(|base| base.trim_end_matches('/').to_owned());
        let base = given.clone().unwrap_or_else(|| BASE.to_owned());
        // The first call decides for the process; an error means it was installed already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // The token must not be sent elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        let client = if is_this_machine(host_of(&base)) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| TwilioApiError::Settings(error.to_string()))?;
        Ok(Some(Self {
            client,
            messaging_base: given.unwrap_or_else(|| MESSAGING_BASE.to_owned()),
            base,
            account: account.clone(),
            tokens: config.twilio_auth_tokens.clone(),
            opening: AtomicUsize::new(0),
            attempts: ATTEMPTS,
        }))
    }

    /// The same for interactive use: two attempts.
    #[must_use]
    pub fn interactive(mut self) -> Self {
        self.attempts = 2;
        self
    }

    /// Reads `address`, with bounded retries.
    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, TwilioApiError> {
        let answer = self.get_value(address).await?;
        serde_json::from_value(answer).map_err(|error| TwilioApiError::InvalidResponse(error.to_string()))
    }

    async fn get_value(&self, address: &str) -> Result<Value, TwilioApiError> {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut attempt = 1;
        loop {
            let failed = match self.attempt(address).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if !failed.is_transient || attempt == self.attempts {
                return Err(failed.error);
            }
            tracing::debug!(error = %failed.error, "twilio request failed, will retry");
            tokio::time::sleep(failed.wait.unwrap_or_else(|| backoff.next_delay()).min(LONGEST_DELAY)).await;
            attempt += 1;
        }
    }

    /// One attempt, with each token until one works.
    async fn attempt(&self, address: &str) -> Result<Value, AttemptError> {
        let count = self.tokens.len();
        let begin = self.opening.load(Ordering::Relaxed);
        let mut answer = None;
        for place in (0..count).map(|step| (begin + step) % count) {
            let token = self.tokens[place].expose_secret();
            let request = self.client.get(address).basic_auth(&self.account, Some(token));
            let response = request.send().await.map_err(unreachable)?;
            let is_unauthorized = response.status() == StatusCode::UNAUTHORIZED;
            answer = Some(response);
            if !is_unauthorized {
                self.opening.store(place, Ordering::Relaxed);
                break;
            }
        }
        match answer {
            Some(response) => read(response).await,
            None => Err(lasting(TwilioApiError::Settings("there is no token".to_owned()))),
        }
    }
}

async fn read(response: Response) -> Result<Value, AttemptError> {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    let body = response.bytes().await.map_err(unreachable)?;
    let answer: Result<Value, _> = serde_json::from_slice(&body);
    if status.is_success() {
        return answer.map_err(|error| lasting(TwilioApiError::InvalidResponse(error.to_string())));
    }
    let reported = answer.ok().and_then(|answer| answer["message"].as_str().map(str::to_owned));
    let message = reported.unwrap_or_else(|| "without a message".to_owned());
    Err(AttemptError {
        error: TwilioApiError::Refused { status: status.as_u16(), message },
        is_transient: status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
        wait: wait.map(Duration::from_secs),
    })
}

const fn lasting(error: TwilioApiError) -> AttemptError {
    AttemptError { error, is_transient: false, wait: None }
}

fn unreachable(error: reqwest::Error) -> AttemptError {
    // Without the URL, and with the cause instead of `error sending request`.
    let error = error.without_url();
    let mut reason = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(one) = cause {
        reason = one.to_string();
        cause = one.source();
    }
    AttemptError { error: TwilioApiError::Unreachable(reason), is_transient: true, wait: None }
}
