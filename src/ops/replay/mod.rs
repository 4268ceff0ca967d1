//! Replay: signs the events of fixtures and posts them to the running service, like their providers.

mod deliveries;
mod post;
mod summary;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::config::Config;
use crate::envelope::Source;
use crate::ops::fixture::{self, FixtureError, FixtureEvent, Origin, ScenarioError};
use crate::ops::progress::Progress;
use crate::verify::{InvalidSecret, StripeSecrets, SupabaseSecrets, TwilioTokens};

use post::Poster;

pub use deliveries::SHUFFLE_MAX_BYTES;
pub use summary::{Refusal, Summary};

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The URL of the service, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Mixes all deliveries; the same seed gives the same order.
    pub shuffle: Option<u64>,
    /// How often each event is posted.
    pub duplicate: NonZeroU32,
    /// Deliveries begun per second at most.
    pub rate_per_s: Option<f64>,
    /// Concurrent requests. With one, the service gets the events in order.
    pub concurrency: NonZeroUsize,
    /// Moves all times in the events before they are signed, so that the `as_of` of a fixture with a
    /// `story.json`, or the last of all other events, is at this moment.
    pub shift_to: Option<OffsetDateTime>,
    /// The secrets to sign with.
    pub secrets: Secrets,
}

/// The secrets of each provider.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Stripe's.
    pub stripe: Option<StripeSecrets>,
    /// Those of Supabase's Auth Hooks.
    pub hooks: Option<SupabaseSecrets>,
    /// Those of Supabase's Database Webhooks.
    pub supabase: Option<SupabaseSecrets>,
    /// Twilio's, with the URL that it signs; if none is set, the one that is posted to.
    pub twilio: Option<TwilioTokens>,
    /// The address that Twilio signs.
    pub public_url: Option<String>,
}

impl Secrets {
    /// The configured secrets, with which the service verifies.
    ///
    /// # Errors
    /// If one of them is invalid.
    pub fn of(config: &Config) -> Result<Self, InvalidSecret> {
        Ok(Self {
            stripe: StripeSecrets::new(&config.stripe_webhook_secrets)?,
            hooks: SupabaseSecrets::new(config.hook_secrets())?,
            supabase: SupabaseSecrets::new(&config.supabase_webhook_secrets)?,
            twilio: TwilioTokens::new(&config.twilio_auth_tokens)?,
            public_url: config.public_url.clone(),
        })
    }
}

/// Why a replay was aborted. Rejected events do not abort it.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The service does not answer.
    #[error(
        "no answer from {url} ({cause}): start the service with `memberflow serve`, or say where it is with --url"
    )]
    Unreachable {
        /// The URL.
        url: String,
        /// The error of the last attempt, with its causes.
        cause: String,
    },
    /// An event without a secret to sign it.
    #[error(
        "{origin} is an event of {source_name}, and no secret is set to sign it: set {variable} as the service has it"
    )]
    NoSecret {
        /// The first such event.
        origin: Origin,
        /// Its source.
        source_name: Source,
        /// The setting for it.
        variable: &'static str,
    },
    /// The URL is invalid.
    #[error("{url:?} is not an http or https address ({cause})")]
    BadUrl {
        /// As given.
        url: String,
        /// Why.
        cause: String,
    },
    /// Too many events to shuffle in memory.
    #[error(
        "more than {0} bytes of events: they are mixed in memory, so replay fewer files at once or without --shuffle"
    )]
    TooLargeToShuffle(u64),
    /// It is unknown how far to move its events.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
}

/// The outcome of one delivery.
enum Outcome {
    /// `not_counted`: the service's reason, if it stored the event without counting it.
    Accepted {
        attempts: u32,
        not_counted: Option<String>,
    },
    Refused(Refused),
    InvalidFixture(FixtureError),
}

/// The service's answer, if it was a rejection.
struct Refused {
    status: u16,
    kind: String,
    detail: String,
    origin: Origin,
}

/// Posts every event in `paths` and returns a summary. Unreadable fixtures are part of the summary, and the
/// others are posted.
///
/// # Errors
/// If continuing makes no sense: the service does not answer, or a secret is missing.
pub async fn replay(
    options: &Options,
    paths: &[PathBuf],
    clock: &Clock,
    progress: &mut Progress,
) -> Result<Summary, ReplayError> {
    let poster = Poster::new(options, clock.clone())?;
    let deliveries = deliveries::of(paths, options)?;
    let total = fixture::count(paths).unwrap_or_default();
    progress.begin("posting events", total.saturating_mul(options.duplicate.get().into()));
    let started = Instant::now();
    // Files are read between two requests, a buffer at a time: short enough not to need a thread.
    let outcomes = stream::iter(deliveries.zip(0_u64..))
        .then(|(delivery, nth)| paced(delivery, nth, started, options.rate_per_s))
        .map(|delivery| outcome(&poster, delivery))
        .buffer_unordered(options.concurrency.get());
    let mut outcomes = pin!(outcomes);
    let mut summary = Summary::default();
    while let Some(outcome) = outcomes.next().await {
        summary.count(outcome?, started.elapsed());
        progress.advance_with(|| summary.so_far());
    }
    progress.finish();
    Ok(summary)
}

type Delivery = Result<FixtureEvent, FixtureError>;

async fn outcome(poster: &Poster, delivery: Delivery) -> Result<Outcome, ReplayError> {
    match delivery {
        Ok(event) => poster.deliver(&event).await,
        Err(bad) => Ok(Outcome::InvalidFixture(bad)),
    }
}

/// Delays the `nth` delivery. Computed from the start, so that a delay is caught up.
async fn paced(delivery: Delivery, nth: u64, started: Instant, rate_per_s: Option<f64>) -> Delivery {
    if let Some(rate) = rate_per_s {
        #[expect(clippy::cast_precision_loss, reason = "after 2^53 events a nanosecond will not matter")]
        let due = Duration::try_from_secs_f64(nth as f64 / rate).unwrap_or_default();
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
    }
    delivery
}

/// The URL on this machine of a service that listens on `bind`.
#[must_use]
pub fn url_of(bind: SocketAddr) -> String {
    let host = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(host, bind.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_bind_is_reached_on_loopback() {
        assert_eq!(url_of("0.0.0.0:8080".parse().unwrap()), "http://127.0.0.1:8080");
        assert_eq!(url_of("[::]:81".parse().unwrap()), "http://[::1]:81");
        assert_eq!(url_of("192.0.2.7:8080".parse().unwrap()), "http://192.0.2.7:8080");
    }
}
