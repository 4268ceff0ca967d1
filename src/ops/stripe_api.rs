//! Reading from Stripe's API.
//!
//! The client comes from async-stripe; its typed objects do not: they refuse what other API versions
//! send. Answers are plain JSON, and each caller reads the few fields it needs.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use stripe::{Client, ClientBuilder, RequestStrategy, StripeError};
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

/// Attempts at one request, with 1, 2, … seconds between them, on 429, 409, 5xx and broken connections.
const ATTEMPTS: u32 = 3;
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Objects on one page of a list: Stripe's most.
const PAGE_SIZE: usize = 100;

/// Stripe's API, as one account's key opens it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StripeApi(Client);

/// Stripe's API did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StripeApiError {
    /// The key or the address can't be used at all.
    #[error("STRIPE_API_KEY or STRIPE_API_BASE can't be used: {0}")]
    Settings(String),
    /// Stripe said no; the message is Stripe's own.
    #[error("Stripe answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What Stripe said.
        message: String,
    },
    /// No answer, however often it was tried.
    #[error("Stripe's API can't be reached: {0}")]
    Unreachable(String),
    /// An answer, but not one of Stripe's.
    #[error("the answer is not one that Stripe's API gives: {0}")]
    Unreadable(String),
    /// There are more objects than we are prepared to read.
    #[error("the list goes on after {0} pages")]
    Endless(usize),
}

impl StripeApi {
    /// A client for the account of `key`, at Stripe's own address unless `base` names another.
    ///
    /// # Errors
    /// The key or the address can't stand in a request.
    pub fn new(key: &SecretString, base: Option<&str>) -> Result<Self, StripeApiError> {
        let mut builder = ClientBuilder::new(key.expose_secret())
            .request_strategy(RequestStrategy::ExponentialBackoff(ATTEMPTS))
            .timeout(ATTEMPT_TIMEOUT)
            .app_info("memberflow", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
        if let Some(base) = base {
            // The client puts `v1/…` right behind it.
            builder = builder.url(format!("{}/", base.trim_end_matches('/')));
        }
        Ok(Self(builder.build()?))
    }

    /// Reads what is at `path` (`/account`), with `params` in the query string.
    ///
    /// # Errors
    /// Stripe refuses, does not answer, or answers with something that is not a `T`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<T, StripeApiError> {
        let request = Get { path, params };
        let value: miniserde::json::Value = request.customize().send(&self.0).await?;
        let text = miniserde::json::to_string(&value);
        serde_json::from_str(&text).map_err(|error| StripeApiError::Unreadable(error.to_string()))
    }

    /// Reads a whole list, page by page, at most `max_pages` of 100 objects.
    ///
    /// # Errors
    /// As [`StripeApi::get`]; also if the list is longer.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        max_pages: usize,
    ) -> Result<Vec<T>, StripeApiError> {
        let size = PAGE_SIZE.to_string();
        let mut objects = Vec::new();
        let mut last: Option<String> = None;
        for _ in 0..max_pages {
            let mut params = vec![("limit", size.as_str())];
            if let Some(last) = &last {
                params.push(("starting_after", last));
            }
            let page: Page = self.get(path, &params).await?;
            last = page.data.last().and_then(|object| object["id"].as_str()).map(str::to_owned);
            for object in page.data {
                let object = serde_json::from_value(object);
                objects.push(object.map_err(|error| StripeApiError::Unreadable(error.to_string()))?);
            }
            if !page.has_more || last.is_none() {
                return Ok(objects);
            }
        }
        Err(StripeApiError::Endless(max_pages))
    }
}

#[derive(serde::Deserialize)]
struct Page {
    data: Vec<serde_json::Value>,
    #[serde(default)]
    has_more: bool,
}

/// A GET whose answer is taken as it comes.
struct Get<'a> {
    path: &'a str,
    params: &'a [(&'a str, &'a str)],
}

impl StripeRequest for Get<'_> {
    type Output = miniserde::json::Value;

    fn build(&self) -> RequestBuilder {
        let request = RequestBuilder::new(StripeMethod::Get, self.path);
        let params: BTreeMap<&str, &str> = self.params.iter().copied().collect();
        if params.is_empty() { request } else { request.query(&params) }
    }
}

impl From<StripeError> for StripeApiError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Stripe(error, status) => {
                let message = error.message.unwrap_or_else(|| "without a message".to_owned());
                Self::Refused { status, message }
            }
            StripeError::JSONDeserialize(reason) => Self::Unreadable(reason),
            StripeError::ClientError(reason) => Self::Unreachable(reason),
            StripeError::ConfigError(reason) => Self::Settings(reason),
            StripeError::Timeout => {
                Self::Unreachable(format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs()))
            }
        }
    }
}
