//! Checks Twilio: the account's token, and the webhooks of its numbers.

use super::{Finding, Level};
use crate::config::Config;
use crate::ops::twilio_api::{Settings, TwilioApi, TwilioApiError};

const CHECK: &str = "twilio";
/// The webhook path for incoming messages.
const MESSAGES: &str = "/webhooks/twilio/messages";
/// The webhook path for status callbacks; the other path accepts them too.
const STATUS: &str = "/webhooks/twilio/status";
/// The most numbers listed in a finding.
const NAMED_MAX: usize = 5;

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let api = match TwilioApi::new(config) {
        Ok(Some(api)) => api.interactive(),
        // The finding about secrets covers that.
        Ok(None) => return Vec::new(),
        Err(error) => return vec![failed("the API", &error)],
    };
    match api.account_status().await {
        Ok(status) if status == "active" => {}
        Ok(status) => {
            let message = format!("the account is {status}: nothing is sent or comes in");
            let fix = "see what Twilio's console says of the account";
            return vec![Finding::wrong(CHECK, Level::Failed, message, fix)];
        }
        Err(error) => return vec![failed("the account", &error)],
    }
    let works = Finding::fine(CHECK, "account and token work");
    let Some(public_url) = &config.public_url else { return vec![works] };
    match api.settings().await {
        Ok(settings) => vec![works, numbers(&settings, public_url), services(&settings, public_url)],
        Err(error) => vec![works, failed("the numbers", &error)],
    }
}

fn numbers(settings: &Settings, public_url: &str) -> Finding {
    let ours = |url: &Option<String>| leads_to(url.as_deref(), public_url, &[MESSAGES, STATUS]);
    let elsewhere: Vec<_> = settings.numbers.iter().filter(|(_, url)| !ours(url)).collect();
    if settings.numbers.is_empty() {
        return Finding::note(CHECK, "the account has no number that takes texts");
    }
    if elsewhere.is_empty() {
        let count = settings.numbers.len();
        return Finding::fine(CHECK, format!("numbers that send texts to {public_url}{MESSAGES}: {count}"));
    }
    let named = |(number, url): &&(String, Option<String>)| {
        format!("{number} ({})", url.as_deref().filter(|url| !url.is_empty()).unwrap_or("nowhere"))
    };
    let named: Vec<String> = elsewhere.iter().take(NAMED_MAX).map(named).collect();
    let more = elsewhere.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("texts do not come here from {}{more}", named.join(", ")),
        format!(
            "set `A message comes in` of the number or its Messaging Service to {public_url}{MESSAGES}#rc=3&rp=all; `memberflow backfill twilio` brings what was missed"
        ),
    )
}

/// The sender may set the callback with each message, so a service without one is not a fault.
fn services(settings: &Settings, public_url: &str) -> Finding {
    let set = || settings.services.iter().filter_map(|(name, url)| Some((name, url.as_deref()?)));
    let elsewhere =
        set().find(|(_, url)| !url.is_empty() && !leads_to(Some(url), public_url, &[STATUS, MESSAGES]));
    match elsewhere {
        Some((name, url)) => Finding::wrong(
            CHECK,
            Level::Warning,
            format!("the Messaging Service {name} reports what becomes of its messages to {url}"),
            format!("set its status callback to {public_url}{STATUS}#rc=3&rp=all"),
        ),
        None if set().any(|(_, url)| leads_to(Some(url), public_url, &[STATUS, MESSAGES])) => {
            Finding::fine(CHECK, format!("a Messaging Service reports to {public_url}{STATUS}"))
        }
        None => Finding::note(
            CHECK,
            format!(
                "no Messaging Service reports to {public_url}{STATUS}: let who sends name it as `statusCallback`"
            ),
        ),
    }
}

/// Whether `url`, without its retry parameters, is one of our addresses, with or without the default port.
fn leads_to(url: Option<&str>, public_url: &str, paths: &[&str]) -> bool {
    let bare = |url: &str| url.split(['#', '?']).next().unwrap_or_default().trim_end_matches('/').to_owned();
    let plain = |url: &str| match url.split_once("://") {
        Some(("https", _)) => url.replacen(":443/", "/", 1),
        Some(("http", _)) => url.replacen(":80/", "/", 1),
        _ => url.to_owned(),
    };
    url.is_some_and(|url| paths.iter().any(|path| plain(&bare(url)) == plain(&format!("{public_url}{path}"))))
}

fn failed(what: &str, error: &TwilioApiError) -> Finding {
    let (level, fix) = match error {
        TwilioApiError::Refused { status: 401 | 403, .. } => (
            Level::Failed,
            "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKENS to what Twilio's console shows under Account Info",
        ),
        TwilioApiError::Refused { status: 429 | 500.., .. } | TwilioApiError::Unreachable(_) => {
            (Level::Down, "try again later; see https://status.twilio.com")
        }
        TwilioApiError::InvalidResponse(_) => (
            Level::Down,
            "see that TWILIO_API_BASE, if set, is the address of Twilio's API, and that no proxy answers instead",
        ),
        TwilioApiError::Refused { .. } | TwilioApiError::Settings(_) => {
            (Level::Failed, "correct TWILIO_ACCOUNT_SID and TWILIO_API_BASE")
        }
    };
    Finding::wrong(CHECK, level, format!("{what}: {error}"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_address_matches_with_retries_and_default_port() {
        let ours = "https://hooks.example.com";
        for (url, expected) in [
            ("https://hooks.example.com/webhooks/twilio/messages", true),
            ("https://hooks.example.com:443/webhooks/twilio/messages#rc=3&rp=all", true),
            ("http://hooks.example.com/webhooks/twilio/messages", false),
            ("https://hooks.example.com/webhooks/twilio/messages?x=1", true),
            ("https://example.com/webhooks/twilio/messages", false),
            ("https://hooks.example.com/api/messaging/webhook/twilio", false),
            ("", false),
        ] {
            assert_eq!(leads_to(Some(url), ours, &[MESSAGES]), expected, "{url}");
        }
        assert!(!leads_to(None, ours, &[MESSAGES]));
    }
}
