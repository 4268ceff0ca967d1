//! The webhook endpoints. A delivery is acknowledged once its event is durable.
//!
//! A request is read within limits ([`read`]), its signature is checked, its event is put into an envelope,
//! and a task that outlives the connection makes it durable ([`enqueue`]). What went wrong is logged within limits
//! ([`delivery_log`]). One file per endpoint.

mod auth_hooks;
mod body;
mod database;
mod delivery_log;
mod enqueue;
mod read;
mod stripe;
mod twilio;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on, post};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::Config;
use crate::envelope::Source;
use crate::lifecycle::Lifecycle;
use crate::project::stripe::OriginFilter;
use crate::project::supabase::ActivityTables;
use crate::queue::Queue;
use crate::telemetry::{DELIVERIES, DELIVERY_SECONDS};
use crate::verify::{InvalidSecret, StripeSecrets, SupabaseSecrets, TwilioTokens, Window};

use self::body::BodyReader;
use self::delivery_log::DeliveryLog;
use crate::http::problem::Problem;
use crate::http::throttle::{Rate, Throttle};

/// What the endpoints share. Cheap to clone.
#[derive(Clone)]
pub struct Endpoints(Arc<Shared>);

/// What the endpoints depend on.
pub struct Dependencies {
    /// Where accepted events go.
    pub queue: Queue,
    /// What time it is.
    pub clock: Clock,
    /// Tracks the requests in progress.
    pub lifecycle: Lifecycle,
}

struct Shared {
    dependencies: Dependencies,
    stripe: Option<StripeSecrets>,
    origin_filter: OriginFilter,
    hook_secrets: Option<SupabaseSecrets>,
    database_webhook_secrets: Option<SupabaseSecrets>,
    twilio: Option<TwilioTokens>,
    twilio_account: Option<String>,
    public_url: Option<String>,
    tables: ActivityTables,
    tolerance: Duration,
    read_timeout: Duration,
    limits_by_source: [SourceLimits; Source::QUEUED.len()],
    /// Permits for hook events that are being made durable.
    hook_permits: Arc<Semaphore>,
}

/// The limits of one source; each has its own, so that none can starve the others.
struct SourceLimits {
    source: Source,
    /// Permits for deliveries that were read and are being made durable.
    delivery_permits: Arc<Semaphore>,
    /// Permits for the bytes of their bodies.
    bytes: Arc<Semaphore>,
    /// Reads bodies.
    body_reader: BodyReader,
    delivery_log: DeliveryLog,
    throttle: Throttle,
}

/// A delivery whose headers have arrived.
struct Arrival {
    source: Source,
    at: Instant,
    /// The size of its body, as declared.
    body_bytes: usize,
}

impl Arrival {
    fn of(source: Source, request: &Request) -> Self {
        let declared = request.body().size_hint().upper();
        let body_bytes =
            declared.map_or(UNDECLARED_BODY_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self { source, at: Instant::now(), body_bytes }
    }
}

/// Assumed for a body without a content-length.
const UNDECLARED_BODY_BYTES: usize = 1024 * 1024;
/// Bytes that the deliveries of one source may hold together while they are made durable.
const ENQUEUEING_MAX_BYTES: usize = 256 * 1024 * 1024;
/// The largest Twilio body: a text has at most 1600 characters and ten media URLs.
const TWILIO_BODY_MAX_BYTES: usize = 64 * 1024;

impl Endpoints {
    /// The endpoints as configured.
    ///
    /// # Errors
    /// If a signing secret is invalid.
    pub fn new(config: &Config, dependencies: Dependencies) -> Result<Self, InvalidSecret> {
        let limits = |source| SourceLimits {
            source,
            delivery_permits: Arc::new(Semaphore::new(config.max_requests)),
            bytes: Arc::new(Semaphore::new(ENQUEUEING_MAX_BYTES.max(config.body_limit_bytes))),
            body_reader: BodyReader::new(match source {
                Source::Twilio => config.body_limit_bytes.min(TWILIO_BODY_MAX_BYTES),
                _ => config.body_limit_bytes,
            }),
            delivery_log: DeliveryLog::default(),
            throttle: Throttle::new(Rate::REJECTED_DELIVERIES),
        };
        Ok(Self(Arc::new(Shared {
            dependencies,
            stripe: StripeSecrets::new(&config.stripe_webhook_secrets)?,
            origin_filter: config.origin_filter(),
            hook_secrets: SupabaseSecrets::new(config.hook_secrets())?,
            database_webhook_secrets: SupabaseSecrets::new(&config.supabase_webhook_secrets)?,
            twilio: TwilioTokens::new(&config.twilio_auth_tokens)?,
            twilio_account: config.twilio_account_sid.clone(),
            public_url: config.public_url.clone(),
            tables: config.activity_tables.clone(),
            tolerance: config.webhook_tolerance,
            read_timeout: config.read_timeout,
            limits_by_source: Source::QUEUED.map(limits),
            hook_permits: Arc::new(Semaphore::new(config.max_requests)),
        })))
    }

    /// Counts and times one delivery, and turns a problem into a response; client errors are throttled.
    async fn answer(&self, arrival: Arrival, outcome: Result<Response, Problem>) -> Response {
        let Arrival { source, at, body_bytes } = arrival;
        let name = outcome.as_ref().map_or_else(Problem::kind, |_| "accepted").to_owned();
        metrics::counter!(DELIVERIES, "source" => source.as_str(), "outcome" => name).increment(1);
        metrics::histogram!(DELIVERY_SECONDS, "source" => source.as_str()).record(at.elapsed());
        let problem = match outcome {
            Ok(response) => return response,
            Err(problem) => problem,
        };
        if let Ok(limits) = self.limits(source) {
            // `enqueue` logs the cause of these.
            if !problem.is_not_durable() {
                limits.delivery_log.log_rejected(source, &problem);
            }
            if problem.is_client_error() {
                let read_bytes = body_bytes.min(limits.body_reader.drain_limit());
                self.0.dependencies.lifecycle.until_stopping(limits.throttle.until_ready(read_bytes)).await;
            }
        }
        problem.into_response()
    }

    fn window(&self) -> Window {
        Window { now: self.0.dependencies.clock.now(), tolerance: self.0.tolerance }
    }

    fn stripe_secrets(&self) -> Result<&StripeSecrets, Problem> {
        self.0.stripe.as_ref().ok_or_else(|| Problem::not_configured("STRIPE_WEBHOOK_SECRETS"))
    }

    /// Decides which Stripe events are counted.
    fn origin_filter(&self) -> &OriginFilter {
        &self.0.origin_filter
    }

    fn hook_secrets(&self) -> Result<&SupabaseSecrets, Problem> {
        let missing = || Problem::not_configured("SUPABASE_HOOK_SECRETS or SUPABASE_WEBHOOK_SECRETS");
        self.0.hook_secrets.as_ref().ok_or_else(missing)
    }

    /// Twilio's auth tokens, and the public URL that it signs.
    fn twilio(&self) -> Result<(&TwilioTokens, &str), Problem> {
        let missing = || Problem::not_configured("TWILIO_AUTH_TOKENS and MEMBERFLOW_PUBLIC_URL");
        self.0.twilio.as_ref().zip(self.0.public_url.as_deref()).ok_or_else(missing)
    }

    /// Whether this is a Twilio account whose messages are not counted.
    fn is_other_account(&self, account: &str) -> bool {
        self.0.twilio_account.as_ref().is_some_and(|ours| ours != account)
    }

    /// The tables whose rows are counted.
    fn tables(&self) -> &ActivityTables {
        &self.0.tables
    }

    fn database_webhook_secrets(&self) -> Result<&SupabaseSecrets, Problem> {
        let missing = || Problem::not_configured("SUPABASE_WEBHOOK_SECRETS");
        self.0.database_webhook_secrets.as_ref().ok_or_else(missing)
    }
}

/// Twilio calls by POST or GET, as set in its console.
const TWILIO_METHODS: MethodFilter = MethodFilter::POST.or(MethodFilter::GET);

/// The webhook endpoints.
pub fn webhooks(endpoints: Endpoints) -> Router {
    Router::new()
        .route("/webhooks/stripe", post(stripe::post))
        .route("/webhooks/supabase/auth", post(auth_hooks::post))
        .route("/webhooks/supabase/database", post(database::post))
        .route("/webhooks/twilio/messages", on(TWILIO_METHODS, twilio::call))
        .route("/webhooks/twilio/status", on(TWILIO_METHODS, twilio::call))
        .with_state(endpoints)
}

/// A header's text; a value that is not visible ASCII is treated as absent.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
