//! Checks Stripe: the key, and whether an endpoint sends us the needed events.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Finding, Level};
use crate::config::Config;
use crate::ops::stripe_api::{StripeApi, StripeApiError, other_key};
use crate::project::stripe::StripeMode;

const CHECK: &str = "stripe";
/// Longer than all attempts at one request together.
const PATIENCE: Duration = Duration::from_secs(40);
/// An account has at most 16 endpoints.
const MAX_PAGES: usize = 3;
/// The path of our endpoint.
const OUR_PATH: &str = "/webhooks/stripe";

/// The newest version of Stripe's API that this was built for. All older ones are supported.
pub const NEWEST_VERSION: &str = "2026-10-28.endive";

/// The events that the metrics need. Others do no harm.
pub const NEEDED_EVENTS: &[&str] = &[
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.failed",
    "charge.pending",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "coupon.created",
    "coupon.deleted",
    "coupon.updated",
    "customer.created",
    "customer.deleted",
    "customer.discount.created",
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.resumed",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.updated",
    "invoice.voided",
    "invoice_payment.paid",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let Some(key) = &config.stripe_api_key else {
        return vec![Finding::note(
            CHECK,
            "STRIPE_API_KEY is not set: nothing can be read from Stripe (backfill, reconcile, this check)",
        )];
    };
    if let Some(finding) = form(key) {
        return vec![finding];
    }
    let api = match StripeApi::new(key, config.stripe_api_base.as_deref()) {
        Ok(api) => api,
        Err(error) => return vec![failed("the key", &error)],
    };
    let mode = config.origin_filter().mode;
    let mut findings = vec![bounded(balance(&api, mode)).await];
    if findings.iter().all(|finding| finding.level <= Level::Warning) {
        findings.push(bounded(endpoints(&api)).await);
    }
    findings
}

async fn bounded(check: impl Future<Output = Finding>) -> Finding {
    let late = || StripeApiError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, check).await.unwrap_or_else(|_| failed("the API", &late()))
}

/// Checks the key's prefix; the key itself is never shown.
fn form(key: &SecretString) -> Option<Finding> {
    let key = key.expose_secret();
    let fix =
        "set STRIPE_API_KEY to a secret key (sk_…) or, better, a restricted one (rk_…) with read rights";
    let message = if key.starts_with("pk_") {
        "STRIPE_API_KEY is a publishable key: it opens nothing"
    } else if key.starts_with("whsec_") {
        "STRIPE_API_KEY is a webhook secret: that belongs into STRIPE_WEBHOOK_SECRETS"
    } else {
        return None;
    };
    Some(Finding::wrong(CHECK, Level::Failed, message, fix))
}

#[derive(Deserialize)]
struct Balance {
    #[serde(default)]
    livemode: bool,
}

/// The cheapest request that needs a valid key.
async fn balance(api: &StripeApi, mode: StripeMode) -> Finding {
    let reported = match api.get::<Balance>("/balance", &[]).await {
        Ok(Balance { livemode }) => Some(livemode),
        // A restricted key need not have access to the balance.
        Err(StripeApiError::Refused { status: 403, .. }) => None,
        Err(error) => return failed("the key", &error),
    };
    // Such a key may still show its mode.
    let livemode = reported.or_else(|| api.livemode());
    if let Err(reason) = mode.check(livemode) {
        let message = format!(
            "STRIPE_API_KEY is a key of {reason}, which does not count: backfill and reconcile refuse it"
        );
        return Finding::wrong(CHECK, Level::Failed, message, other_key(&reason));
    }
    match (reported, livemode) {
        (None, _) => Finding::fine(CHECK, "the key works; it may not read the balance, which is not needed"),
        (_, Some(false)) => Finding::fine(CHECK, "the key works, in test mode"),
        _ => Finding::fine(CHECK, "the key works, in live mode"),
    }
}

#[derive(Deserialize)]
struct Endpoint {
    id: String,
    url: String,
    #[serde(default)]
    status: String,
    api_version: Option<String>,
    #[serde(default)]
    enabled_events: Vec<String>,
}

async fn endpoints(api: &StripeApi) -> Finding {
    let endpoints: Vec<Endpoint> = match api.list("/webhook_endpoints", MAX_PAGES).await {
        Ok(endpoints) => endpoints,
        Err(StripeApiError::Refused { status: 403, .. }) => {
            return Finding::wrong(
                CHECK,
                Level::Warning,
                "the key may not list webhook endpoints, so they could not be checked",
                "give the restricted key the right `Webhook Endpoints: Read`",
            );
        }
        Err(error) => return failed("the webhook endpoints", &error),
    };
    let ours: Vec<&Endpoint> =
        endpoints.iter().filter(|endpoint| endpoint.url.trim_end_matches('/').ends_with(OUR_PATH)).collect();
    // Of several, one that sends everything is enough.
    let findings = ours.iter().map(|endpoint| check(endpoint));
    findings.min_by_key(|finding| finding.level).unwrap_or_else(|| nowhere(&endpoints))
}

fn check(endpoint: &Endpoint) -> Finding {
    let Endpoint { id, url, .. } = endpoint;
    let version = endpoint.api_version.as_deref().unwrap_or("the account's default");
    if endpoint.status == "disabled" {
        return Finding::wrong(
            CHECK,
            Level::Failed,
            format!("the endpoint {id} ({url}) is disabled: Stripe sends nothing there"),
            format!(
                "stripe webhook_endpoints update {id} -d disabled=false; then `stripe events resend` or backfill what was missed"
            ),
        );
    }
    let sends =
        |event: &str| endpoint.enabled_events.iter().any(|enabled| enabled == event || enabled == "*");
    let missing: Vec<&str> = NEEDED_EVENTS.iter().copied().filter(|event| !sends(event)).collect();
    if missing.is_empty() {
        let message = format!("the endpoint {id} ({url}) sends all needed events, API version {version}");
        return if is_newer(endpoint) {
            Finding::wrong(
                CHECK,
                Level::Warning,
                format!("{message}, which is newer than this memberflow ({NEWEST_VERSION})"),
                "see whether there is a newer memberflow; what is not recognised is counted, see `backlog` here",
            )
        } else {
            Finding::fine(CHECK, message)
        };
    }
    let all = endpoint.enabled_events.iter().map(String::as_str).chain(missing.iter().copied());
    let options: Vec<String> =
        all.enumerate().map(|(at, event)| format!("-d \"enabled_events[{at}]\"={event}")).collect();
    Finding::wrong(
        CHECK,
        Level::Failed,
        format!("the endpoint {id} ({url}), API version {version}, does not send: {}", missing.join(", ")),
        format!("stripe webhook_endpoints update {id} {}", options.join(" ")),
    )
}

/// Versions begin with their date. An endpoint without its own version uses the account's default.
fn is_newer(endpoint: &Endpoint) -> bool {
    let date = |version: &str| version.get(..10).map(ToOwned::to_owned);
    endpoint.api_version.as_deref().and_then(date) > date(NEWEST_VERSION)
}

fn nowhere(endpoints: &[Endpoint]) -> Finding {
    let others: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
    let others = if others.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are {}", others.join(", "))
    };
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("no webhook endpoint leads to {OUR_PATH} ({others})"),
        format!(
            "stripe webhook_endpoints create -d url=https://YOUR-HOST{OUR_PATH} -d \"enabled_events[0]\"=*; locally `stripe listen --forward-to http://127.0.0.1:8080{OUR_PATH}`, which sends test mode (MEMBERFLOW_STRIPE_MODE=test)"
        ),
    )
}

fn failed(what: &str, error: &StripeApiError) -> Finding {
    let (level, fix) = match error {
        StripeApiError::Refused { status: 401, .. } => (
            Level::Failed,
            "make a new key (Developers -> API keys in Stripe's dashboard) and set STRIPE_API_KEY",
        ),
        StripeApiError::Refused { status: 429 | 500.., .. } | StripeApiError::Unreachable(_) => {
            (Level::Down, "try again later; see https://status.stripe.com")
        }
        StripeApiError::InvalidResponse(_) | StripeApiError::TooManyPages(_) => (
            Level::Down,
            "see that STRIPE_API_BASE, if set, is the address of Stripe's API, and that no proxy answers instead",
        ),
        StripeApiError::Refused { .. } | StripeApiError::Settings(_) | StripeApiError::OtherMode(_) => {
            (Level::Failed, "correct STRIPE_API_KEY and STRIPE_API_BASE")
        }
    };
    Finding::wrong(CHECK, level, format!("{what}: {error}"), fix)
}
