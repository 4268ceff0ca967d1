//! A read-only client of Stripe's API.
//!
//! The HTTP client is async-stripe's; its typed objects are not used, because they reject other API versions.
//! Answers are plain JSON, and each caller reads the fields it needs.

mod mode;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use stripe::{AccountId, Client, ClientBuilder, RequestStrategy, StripeError};
use stripe_client_core::StripeRequest as _;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use mode::KeyMode;
pub use mode::other_key;
use request::{Get, Param, with_expansions};

use crate::config::Config;
use crate::project::stripe::{NotCounted, OriginFilter, StripeMode};

/// What an operation says that needs a key, if none is set.
pub const NO_KEY: &str = "STRIPE_API_KEY is not set: set it to a secret key (sk_…) or, better, a restricted one (rk_…) with read rights";

/// Attempts at one request, with 1, 2, 4, … seconds between them, on 429, 409, 5xx and broken connections.
const ATTEMPTS: u32 = 3;
/// The same for long runs: half a minute of waiting in total.
const PATIENT_ATTEMPTS: u32 = 6;
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a page of a hundred large objects.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Objects on one page of a list: Stripe's maximum.
const PAGE_SIZE: usize = 100;

/// Stripe's API with one account's key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StripeApi {
    client: Client,
    limiter: Option<Arc<RateLimiter>>,
    mode: Arc<KeyMode>,
}

/// Limits the rate: one request at a time, with a pause after each. Retries wait a second or more, so the
/// rate is never exceeded.
#[derive(Debug)]
struct RateLimiter {
    interval: Duration,
    next: Mutex<Instant>,
}

/// A request to Stripe's API failed.
#[derive(Debug, thiserror::Error)]
pub enum StripeApiError {
    /// The key or the base URL is invalid.
    #[error("STRIPE_API_KEY or STRIPE_API_BASE can't be used: {0}")]
    Settings(String),
    /// Stripe rejected the request; the message is Stripe's.
    #[error("Stripe answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Stripe's message.
        message: String,
    },
    /// No answer after all attempts.
    #[error("Stripe's API can't be reached: {0}")]
    Unreachable(String),
    /// An answer that is not Stripe's.
    #[error("the answer is not one that Stripe's API gives: {0}")]
    InvalidResponse(String),
    /// The key is of a mode that does not count.
    #[error("STRIPE_API_KEY reads objects of {0}, which do not count: {help}", help = other_key(.0))]
    OtherMode(NotCounted),
    /// There are more objects than the limit.
    #[error("the list continues after {0} pages")]
    TooManyPages(usize),
}

impl StripeApi {
    /// A client for the account of `key`, whatever its mode, at Stripe's own address unless `base` names another.
    ///
    /// # Errors
    /// If the key or the base URL is invalid.
    pub fn new(key: &SecretString, base: Option<&str>) -> Result<Self, StripeApiError> {
        let client = client(builder(key, base, ATTEMPTS, ATTEMPT_TIMEOUT))?;
        let mode = KeyMode::of(key.expose_secret(), StripeMode::Any)?;
        Ok(Self { client, limiter: None, mode: Arc::new(mode) })
    }

    /// A client for long runs on the account whose events count: with more retries, and the configured rate
    /// limit. `None` without a key.
    ///
    /// # Errors
    /// As [`StripeApi::new`]; also if the key is of a mode that does not count.
    pub fn rate_limited(config: &Config) -> Result<Option<Self>, StripeApiError> {
        let Some(key) = &config.stripe_api_key else { return Ok(None) };
        let base = config.stripe_api_base.as_deref();
        let OriginFilter { mode, account } = config.origin_filter();
        let mode = KeyMode::of(key.expose_secret(), mode)?;
        let mut builder = builder(key, base, PATIENT_ATTEMPTS, PATIENT_TIMEOUT);
        if let Some(account) = account {
            builder = builder.account_id(AccountId::from(account.as_str()));
        }
        let client = client(builder)?;
        let interval = Duration::from_secs(1) / config.stripe_requests_per_second.max(1);
        let limiter = RateLimiter { interval, next: Mutex::new(Instant::now()) };
        Ok(Some(Self { client, limiter: Some(Arc::new(limiter)), mode: Arc::new(mode) }))
    }

    /// Determines the key's mode, if its prefix does not show it. A restricted key may not be allowed to;
    /// then the first object read shows it.
    ///
    /// # Errors
    /// As [`StripeApi::get`]; also if the mode is one that does not count.
    pub async fn check_mode(&self) -> Result<(), StripeApiError> {
        if self.mode.livemode().is_some() {
            return Ok(());
        }
        match self.object("/balance", &[]).await {
            Err(StripeApiError::Refused { status: 403 | 404, .. }) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// The mode, if known from the key or an object.
    #[must_use]
    pub fn livemode(&self) -> Option<bool> {
        self.mode.livemode()
    }

    /// Reads what is at `path` (`/account`), with `params` in the query string.
    ///
    /// # Errors
    /// If Stripe rejects the request, does not answer, or answers with something that is not a `T`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<T, StripeApiError> {
        let params = params.iter().map(|(name, value)| (*name, Param::One(value))).collect();
        let answer = self.send(&Get { path, params }).await?;
        serde_json::from_value(answer).map_err(|error| StripeApiError::InvalidResponse(error.to_string()))
    }

    /// Reads one object as JSON, with the `expand` fields expanded.
    ///
    /// # Errors
    /// As [`StripeApi::get`].
    pub async fn object(&self, path: &str, expand: &[&str]) -> Result<Value, StripeApiError> {
        let object = self.send(&Get { path, params: with_expansions(BTreeMap::new(), expand) }).await?;
        self.mode.check(&object)?;
        Ok(object)
    }

    /// Reads the page of a list after the object `after`; the first one if `None`.
    ///
    /// # Errors
    /// As [`StripeApi::get`].
    pub async fn page(
        &self,
        path: &str,
        params: &[(&str, &str)],
        expand: &[&str],
        after: Option<&str>,
    ) -> Result<Page, StripeApiError> {
        let size = PAGE_SIZE.to_string();
        let cursor = after.map(|after| ("starting_after", after));
        let params = params.iter().copied().chain([("limit", size.as_str())]).chain(cursor);
        let params = params.map(|(name, value)| (name, Param::One(value))).collect();
        let answer = self.send(&Get { path, params: with_expansions(params, expand) }).await?;
        let page: Page = serde_json::from_value(answer)
            .map_err(|error| StripeApiError::InvalidResponse(error.to_string()))?;
        if page.has_more && page.last_id().is_none() {
            return Err(StripeApiError::InvalidResponse(format!("the list {path} does not get on")));
        }
        page.data.iter().try_for_each(|object| self.mode.check(object))?;
        Ok(page)
    }

    async fn send(&self, request: &Get<'_>) -> Result<Value, StripeApiError> {
        let turn = match &self.limiter {
            Some(limiter) => {
                let next = limiter.next.lock().await;
                sleep_until(*next).await;
                Some((next, limiter.interval))
            }
            None => None,
        };
        let answer = request.customize().send(&self.client).await;
        if let Some((mut next, interval)) = turn {
            *next = Instant::now() + interval;
        }
        // async-stripe decodes with miniserde only, so each answer is parsed twice: a page of a hundred objects is
        // parsed in less time than Stripe takes to answer.
        let answer: miniserde::json::Value = answer?;
        let text = miniserde::json::to_string(&answer);
        serde_json::from_str(&text).map_err(|error| StripeApiError::InvalidResponse(error.to_string()))
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
        let mut objects = Vec::new();
        let mut last: Option<String> = None;
        for _ in 0..max_pages {
            let page = self.page(path, &[], &[], last.as_deref()).await?;
            last = page.last_id().map(str::to_owned);
            for object in page.data {
                let object = serde_json::from_value(object);
                objects.push(object.map_err(|error| StripeApiError::InvalidResponse(error.to_string()))?);
            }
            if !page.has_more {
                return Ok(objects);
            }
        }
        Err(StripeApiError::TooManyPages(max_pages))
    }
}

fn builder(key: &SecretString, base: Option<&str>, attempts: u32, timeout: Duration) -> ClientBuilder {
    let mut builder = ClientBuilder::new(key.expose_secret())
        .request_strategy(RequestStrategy::ExponentialBackoff(attempts))
        .timeout(timeout)
        .app_info("memberflow", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
    if let Some(base) = base {
        // The client appends `v1/…`.
        builder = builder.url(format!("{}/", base.trim_end_matches('/')));
    }
    builder
}

fn client(builder: ClientBuilder) -> Result<Client, StripeApiError> {
    Ok(builder.build()?)
}

/// A part of a list.
#[derive(Debug, serde::Deserialize)]
pub struct Page {
    /// The objects as JSON.
    pub data: Vec<Value>,
    /// Whether there are more.
    #[serde(default)]
    pub has_more: bool,
}

impl Page {
    /// The object after which the next page starts.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.data.last()?["id"].as_str()
    }
}

impl From<StripeError> for StripeApiError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Stripe(error, status) => {
                let message = error.message.unwrap_or_else(|| "without a message".to_owned());
                Self::Refused { status, message }
            }
            StripeError::JSONDeserialize(reason) => Self::InvalidResponse(reason),
            StripeError::ClientError(reason) => Self::Unreachable(reason),
            StripeError::ConfigError(reason) => Self::Settings(reason),
            StripeError::Timeout => Self::Unreachable("no answer in time".to_owned()),
        }
    }
}
