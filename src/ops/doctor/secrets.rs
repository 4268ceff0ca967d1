//! Checks that the secrets are set, and not weak or published.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Finding, Level};
use crate::config::Config;
use crate::config::hosts::{host_of, is_this_machine};
use crate::verify::{StripeSecrets, SupabaseSecrets};

const CHECK: &str = "secrets";
/// Shorter tokens could be guessed.
const SHORT_TOKEN_CHARS: usize = 20;
/// The shortest secrets of providers, after `whsec_`: Stripe's 32 characters, Supabase's 24 bytes in base64.
const PROVIDERS_CHARS: usize = 32;
/// Values that are, or once were, published in this project's files.
const PUBLISHED: [&str; 3] =
    ["whsec_local_only", "whsec_bG9jYWwtb25seS1ub3QtYS1zZWNyZXQtMDAwMDAwMDA=", "local-only-no-secret"];

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let stripe = &config.stripe_webhook_secrets;
    let supabase = &config.supabase_webhook_secrets;
    let mut findings = vec![
        present(
            "STRIPE_WEBHOOK_SECRETS",
            StripeSecrets::new(stripe).map(|keys| keys.is_some()).map_err(|error| error.to_string()),
            stripe.len(),
            "no Stripe webhook secret is set: /webhooks/stripe takes nothing",
            "set STRIPE_WEBHOOK_SECRETS to the endpoint's signing secret (for tests: `stripe listen --print-secret`)",
        ),
        present(
            "SUPABASE_WEBHOOK_SECRETS",
            SupabaseSecrets::new(supabase).map(|keys| keys.is_some()).map_err(|error| error.to_string()),
            supabase.len(),
            "no Supabase webhook secret is set: /webhooks/supabase/database takes nothing, nor does /auth without SUPABASE_HOOK_SECRETS",
            "set SUPABASE_WEBHOOK_SECRETS to the secret that signs the Database Webhooks",
        ),
    ];
    findings.extend(hooks(config));
    findings.push(twilio(config));
    for (name, secrets) in [
        ("STRIPE_WEBHOOK_SECRETS", stripe),
        ("SUPABASE_WEBHOOK_SECRETS", supabase),
        ("SUPABASE_HOOK_SECRETS", &config.supabase_hook_secrets),
    ] {
        findings.extend(weak(name, secrets));
    }
    findings.push(admin_token(config));
    findings
}

fn present(name: &str, keys: Result<bool, String>, count: usize, missing: &str, fix: &str) -> Finding {
    match keys {
        Err(error) => Finding::wrong(CHECK, Level::Failed, error, format!("correct {name}")),
        Ok(false) => Finding::wrong(CHECK, Level::Warning, missing, fix),
        Ok(true) => Finding::fine(CHECK, format!("{name}: {count}")),
    }
}

fn hooks(config: &Config) -> Option<Finding> {
    match SupabaseSecrets::new(&config.supabase_hook_secrets) {
        Err(error) => {
            Some(Finding::wrong(CHECK, Level::Failed, error.to_string(), "correct SUPABASE_HOOK_SECRETS"))
        }
        Ok(None) if config.supabase_webhook_secrets.is_empty() => None,
        Ok(None) => Some(Finding::note(
            CHECK,
            "Auth Hooks and Database Webhooks have the same secrets: SUPABASE_HOOK_SECRETS gives the hooks their own",
        )),
        Ok(Some(_)) => Some(Finding::fine(
            CHECK,
            format!("SUPABASE_HOOK_SECRETS: {}", config.supabase_hook_secrets.len()),
        )),
    }
}

/// Twilio's tokens need the public URL, which Twilio signs.
fn twilio(config: &Config) -> Finding {
    let warning = |message: &str, fix: &str| Finding::wrong(CHECK, Level::Warning, message, fix);
    match (&config.twilio_auth_tokens[..], &config.public_url) {
        ([], _) => Finding::note(CHECK, "no Twilio auth token is set: /webhooks/twilio takes nothing"),
        (_, None) => warning(
            "TWILIO_AUTH_TOKENS is set and MEMBERFLOW_PUBLIC_URL is not: /webhooks/twilio takes nothing",
            "set MEMBERFLOW_PUBLIC_URL to the address that Twilio calls, without /webhooks/…",
        ),
        (_, Some(url)) if url.starts_with("http://") && !is_this_machine(host_of(url)) => warning(
            "MEMBERFLOW_PUBLIC_URL is not https: texts travel openly, and Twilio signs another address if it calls https",
            "set it to the https address that Twilio calls",
        ),
        _ if config.twilio_account_sid.is_none() => warning(
            "TWILIO_ACCOUNT_SID is not set: messages of every account whose token is known count",
            "set it to the account's id, AC…",
        ),
        (tokens, Some(_)) => Finding::fine(CHECK, format!("TWILIO_AUTH_TOKENS: {}", tokens.len())),
    }
}

/// Secrets that are published in this project, or shorter than those of providers.
fn weak(name: &str, secrets: &[SecretString]) -> Option<Finding> {
    let texts = || secrets.iter().map(|it| it.expose_secret()).map(|it| it.strip_prefix("v1,").unwrap_or(it));
    if texts().any(|text| PUBLISHED.contains(&text)) {
        let message =
            format!("{name} has a value that is published with memberflow: anybody can sign with it");
        return Some(Finding::wrong(
            CHECK,
            Level::Failed,
            message,
            format!("set {name} to the provider's secret"),
        ));
    }
    let is_short = |text: &str| text.strip_prefix("whsec_").is_some_and(|key| key.len() < PROVIDERS_CHARS);
    texts().any(is_short).then(|| {
        let message = format!("{name} has a secret that is shorter than its provider makes them");
        Finding::wrong(CHECK, Level::Warning, message, "set it to the secret that the provider generated")
    })
}

fn admin_token(config: &Config) -> Finding {
    const CHECK: &str = "admin";
    let token = config.admin_token.as_ref().map_or("", |token| token.expose_secret());
    let fix = "set MEMBERFLOW_ADMIN_TOKEN to a long random text: `openssl rand -hex 32`";
    match token.len() {
        0 => Finding::note(CHECK, format!("the API is switched off; to switch it on, {fix}")),
        _ if PUBLISHED.contains(&token) => Finding::wrong(
            CHECK,
            Level::Failed,
            "the admin token is published with memberflow: anybody can read and change members",
            fix,
        ),
        length if length < SHORT_TOKEN_CHARS => Finding::wrong(
            CHECK,
            Level::Warning,
            format!("the admin token has only {length} characters"),
            fix,
        ),
        _ => Finding::fine(CHECK, "the API is on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    fn complete() -> Config {
        let supabase = vec![secret("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
        Config {
            stripe_webhook_secrets: vec![secret("whsec_C2FVsBQIhrscChlQIMVb5sSYspob7oDx")],
            supabase_webhook_secrets: supabase.clone(),
            supabase_hook_secrets: supabase,
            admin_token: Some(secret("0123456789012345678901234567")),
            twilio_account_sid: Some("AC00000000000000000000000000000001".to_owned()),
            twilio_auth_tokens: vec![secret("0123456789abcdef0123456789abcdef")],
            public_url: Some("https://hooks.example.com".to_owned()),
            ..Config::new("postgres://postgres@127.0.0.1/postgres")
        }
    }

    #[test]
    fn secrets_are_checked() {
        let (wrong, short) = (vec![secret("sk_test_1")], vec![secret("whsec_12345678")]);
        let short_key = vec![secret("v1,whsec_MDEyMzQ1Njc4OWFiY2RlZg==")];
        let published = vec![secret("v1,whsec_bG9jYWwtb25seS1ub3QtYS1zZWNyZXQtMDAwMDAwMDA=")];
        for (config, level) in [
            (complete(), Level::Fine),
            (Config { stripe_webhook_secrets: wrong.clone(), ..complete() }, Level::Failed),
            (Config { supabase_webhook_secrets: wrong.clone(), ..complete() }, Level::Failed),
            (Config { supabase_hook_secrets: wrong, ..complete() }, Level::Failed),
            (Config { stripe_webhook_secrets: vec![], ..complete() }, Level::Warning),
            (Config { supabase_webhook_secrets: vec![], ..complete() }, Level::Warning),
            (Config { supabase_hook_secrets: vec![], ..complete() }, Level::Note),
            (Config { stripe_webhook_secrets: short, ..complete() }, Level::Warning),
            (Config { supabase_hook_secrets: short_key, ..complete() }, Level::Warning),
            (
                Config { stripe_webhook_secrets: vec![secret("whsec_local_only")], ..complete() },
                Level::Failed,
            ),
            (Config { supabase_webhook_secrets: published.clone(), ..complete() }, Level::Failed),
            (Config { supabase_hook_secrets: published, ..complete() }, Level::Failed),
            (Config { admin_token: None, ..complete() }, Level::Note),
            (Config { twilio_auth_tokens: vec![], ..complete() }, Level::Note),
            (Config { public_url: None, ..complete() }, Level::Warning),
            (
                Config { public_url: Some("http://hooks.example.com".to_owned()), ..complete() },
                Level::Warning,
            ),
            (Config { twilio_account_sid: None, ..complete() }, Level::Warning),
            (Config { admin_token: Some(secret("short")), ..complete() }, Level::Warning),
            (Config { admin_token: Some(secret("local-only-no-secret")), ..complete() }, Level::Failed),
        ] {
            let findings = examine(&config);
            assert_eq!(findings.iter().map(|it| it.level).max(), Some(level), "{findings:#?}");
        }
    }
}
