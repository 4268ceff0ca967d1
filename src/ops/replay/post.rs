//! One delivery: signed when it is posted, and again while the service answers 429, fails (5xx) or cannot be reached.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use super::{Options, Outcome, Refused, ReplayError, Secrets};
use crate::clock::Clock;
use crate::config::hosts::is_this_machine;
use crate::envelope::Source;
use crate::ops::fixture::{self, FixtureEvent};
use crate::retry::Backoff;
use crate::verify::{standard_webhooks, stripe, twilio};

/// Attempts per event, including the first.
const ATTEMPTS_MAX: u32 = 5;
/// The longest accepted `Retry-After`.
const WAIT_MAX: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How much is shown of an answer that is not a problem document.
const DETAIL_MAX_CHARS: usize = 200;

/// Posts deliveries.
pub(super) struct Poster {
    client: Client,
    base: Url,
    secrets: Secrets,
    clock: Clock,
}

/// The answer to one attempt.
enum Answer {
    Taken { not_counted: Option<String> },
    Busy { refused: Refused, retry_after: Option<Duration> },
    Refused(Refused),
}

impl Poster {
    pub(super) fn new(options: &Options, clock: Clock) -> Result<Self, ReplayError> {
        let base = base(&options.url)?;
        // The first call decides for the process; an error means it was installed already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(options.concurrency.get())
            // Providers treat a redirect as a failure.
            .redirect(reqwest::redirect::Policy::none());
        let local = base.host_str().is_some_and(is_this_machine);
        let client = if local { client.no_proxy() } else { client };
        let client = client.build().map_err(ReplayError::Client)?;
        Ok(Self { client, base, secrets: options.secrets.clone(), clock })
    }

    /// Posts `event` until it is accepted or rejected, a bounded number of times.
    pub(super) async fn deliver(&self, event: &FixtureEvent) -> Result<Outcome, ReplayError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut attempts = 1;
        loop {
            let answer = self.attempt(event).await?;
            let wait = match answer {
                Ok(Answer::Taken { not_counted }) => return Ok(Outcome::Accepted { attempts, not_counted }),
                Ok(Answer::Refused(refused)) => return Ok(Outcome::Refused(refused)),
                Ok(Answer::Busy { refused, .. }) if attempts == ATTEMPTS_MAX => {
                    return Ok(Outcome::Refused(refused));
                }
                Err(error) if attempts == ATTEMPTS_MAX => return Err(self.unreachable(&error)),
                Ok(Answer::Busy { retry_after, .. }) => retry_after,
                Err(_) => None,
            };
            tokio::time::sleep(wait.unwrap_or_else(|| backoff.next_delay()).min(WAIT_MAX)).await;
            attempts += 1;
        }
    }

    /// One request, signed now: signatures expire, so each attempt has its own.
    async fn attempt(&self, event: &FixtureEvent) -> Result<Result<Answer, reqwest::Error>, ReplayError> {
        let mut url = self.base.clone();
        let path = fixture::endpoint(event.source, &event.event_id).unwrap_or_default();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let request = match event.source {
            Source::Twilio => self.form(event, url, path)?,
            _ => self.client.post(url).headers(self.headers(event)?).body(event.body.clone()),
        };
        Ok(match request.send().await {
            Ok(response) => answer(response, event).await,
            Err(error) => Err(error),
        })
    }

    /// Twilio posts a form and signs the address that it was given.
    fn form(&self, event: &FixtureEvent, url: Url, path: &str) -> Result<RequestBuilder, ReplayError> {
        let tokens = self.secrets.twilio.as_ref().ok_or_else(|| no_secret(event, "TWILIO_AUTH_TOKENS"))?;
        let signed =
            self.secrets.public_url.as_ref().map_or_else(|| url.to_string(), |base| format!("{base}{path}"));
        let parameters = fixture::form(&event.body).unwrap_or_default();
        let signature = twilio::sign(tokens, &signed, twilio::Content::Form(parameters.pairs()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        put(&mut headers, twilio::HEADER, &signature);
        Ok(self.client.post(url).headers(headers).body(parameters.to_form()))
    }

    fn headers(&self, event: &FixtureEvent) -> Result<HeaderMap, ReplayError> {
        let now_s = self.clock.now().unix_timestamp();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if event.source == Source::Stripe {
            let secrets = self.secrets.stripe.as_ref();
            let secrets = secrets.ok_or_else(|| no_secret(event, "STRIPE_WEBHOOK_SECRETS"))?;
            put(&mut headers, stripe::HEADER, &stripe::sign(secrets, now_s, &event.body));
        } else {
            let secrets = match event.source {
                Source::SupabaseAuth => self.secrets.hooks.as_ref(),
                _ => self.secrets.supabase.as_ref(),
            };
            let secrets = secrets.ok_or_else(|| no_secret(event, "SUPABASE_WEBHOOK_SECRETS"))?;
            // A Database Webhook is identified by this id. An Auth Hook has its id in the body, and this one
            // is not used.
            let id = match event.source {
                Source::SupabaseDatabase => event.event_id.clone(),
                _ => fixture::name_by_hash(&event.body),
            };
            let signed = standard_webhooks::sign(secrets, &id, now_s, &event.body);
            put(&mut headers, standard_webhooks::ID, &signed.id);
            put(&mut headers, standard_webhooks::TIMESTAMP, &signed.timestamp);
            put(&mut headers, standard_webhooks::SIGNATURE, &signed.signature);
        }
        Ok(headers)
    }

    fn unreachable(&self, error: &reqwest::Error) -> ReplayError {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let cause = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        ReplayError::Unreachable { url: self.base.to_string(), cause }
    }
}

fn base(url: &str) -> Result<Url, ReplayError> {
    let bad = |cause: String| ReplayError::BadUrl { url: url.to_owned(), cause };
    let base = Url::parse(url).map_err(|error| bad(error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(bad(format!("its scheme is {}", base.scheme())));
    }
    Ok(base)
}

fn no_secret(event: &FixtureEvent, variable: &'static str) -> ReplayError {
    ReplayError::NoSecret { origin: event.origin.clone(), source_name: event.source, variable }
}

/// Signatures and ids are ASCII.
fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// A problem document, or an Auth Hook's error, which has status 200.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    error: Option<HookError>,
}

/// The service's answer to an accepted event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipt {
    counted: Option<bool>,
    reason: Option<String>,
}

impl Receipt {
    fn not_counted(self) -> Option<String> {
        (self.counted == Some(false)).then(|| self.reason.unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct HookError {
    http_code: Option<u16>,
    message: String,
}

async fn answer(response: reqwest::Response, event: &FixtureEvent) -> Result<Answer, reqwest::Error> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds);
    let text = response.text().await?;
    let problem: Problem = serde_json::from_str(&text).unwrap_or_default();
    let origin = event.origin.clone();
    if status.is_success() {
        let receipt: Receipt = serde_json::from_str(&text).unwrap_or_default();
        let taken = Answer::Taken { not_counted: receipt.not_counted() };
        return Ok(problem.error.map_or(taken, |error| {
            let status = error.http_code.unwrap_or(status.as_u16());
            Answer::Refused(Refused { status, kind: "hook-error".to_owned(), detail: error.message, origin })
        }));
    }
    let kind =
        problem.kind.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_lowercase());
    let detail = problem.detail.or(problem.title);
    let detail = detail.unwrap_or_else(|| text.chars().take(DETAIL_MAX_CHARS).collect());
    let refused = Refused { status: status.as_u16(), kind, detail, origin };
    Ok(match status {
        StatusCode::TOO_MANY_REQUESTS => Answer::Busy { refused, retry_after },
        status if status.is_server_error() => Answer::Busy { refused, retry_after },
        _ => Answer::Refused(refused),
    })
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
