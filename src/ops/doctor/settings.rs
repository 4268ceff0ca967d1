//! What the settings alone tell: secrets, tokens, the kind of connection.

use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Finding, Level, counted};
use crate::config::Config;
use crate::verify::{StripeSecrets, SupabaseSecrets};

/// A token that could be guessed is none.
const SHORT_TOKEN_CHARS: usize = 20;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        stripe_secrets(config),
        supabase_secrets(config),
        admin_token(config),
        counted::settings(config),
        matching(config),
    ];
    match config.database_url.expose_secret().parse::<PgConnectOptions>() {
        Ok(options) => {
            findings.extend(pooler(&options));
            findings.push(encryption(&options));
        }
        Err(_) => findings.push(Finding::wrong(
            "database",
            Level::Failed,
            "DATABASE_URL is not a Postgres URL",
            "set it to postgres://user:password@host:5432/database",
        )),
    }
    findings
}

fn stripe_secrets(config: &Config) -> Finding {
    let secrets = &config.stripe_webhook_secrets;
    match StripeSecrets::new(secrets) {
        Err(error) => {
            Finding::wrong("secrets", Level::Failed, error.to_string(), "correct STRIPE_WEBHOOK_SECRETS")
        }
        Ok(None) => Finding::wrong(
            "secrets",
            Level::Warning,
            "no Stripe webhook secret is set: /webhooks/stripe takes nothing",
            "set STRIPE_WEBHOOK_SECRETS to the endpoint's signing secret (for tests: `stripe listen --print-secret`)",
        ),
        Ok(Some(_)) => Finding::fine("secrets", format!("Stripe webhook secrets: {}", secrets.len())),
    }
}

fn supabase_secrets(config: &Config) -> Finding {
    let secrets = &config.supabase_webhook_secrets;
    match SupabaseSecrets::new(secrets) {
        Err(error) => {
            Finding::wrong("secrets", Level::Failed, error.to_string(), "correct SUPABASE_WEBHOOK_SECRETS")
        }
        Ok(None) => Finding::wrong(
            "secrets",
            Level::Warning,
            "no Supabase webhook secret is set: /webhooks/supabase/* take nothing",
            "set SUPABASE_WEBHOOK_SECRETS to the hook's secret (Authentication -> Hooks in the dashboard)",
        ),
        Ok(Some(_)) => Finding::fine("secrets", format!("Supabase webhook secrets: {}", secrets.len())),
    }
}

fn admin_token(config: &Config) -> Finding {
    let length = config.admin_token.as_ref().map_or(0, |token| token.expose_secret().len());
    let fix = "set MEMBERFLOW_ADMIN_TOKEN to a long random text: `openssl rand -hex 32`";
    match length {
        0 => Finding::note("admin", format!("the API is switched off; to switch it on, {fix}")),
        length if length < SHORT_TOKEN_CHARS => Finding::wrong(
            "admin",
            Level::Warning,
            format!("the admin token has only {length} characters"),
            fix,
        ),
        _ => Finding::fine("admin", "the API is on"),
    }
}

/// What whose customer it is depends on, and what that asks of the settings elsewhere.
fn matching(config: &Config) -> Finding {
    let matching = config.matching;
    let kinds = [
        (matching.metadata, "metadata"),
        (matching.reference, "reference"),
        (matching.email, "email"),
        (matching.email && matching.sso_email, "email of single sign-on"),
    ];
    let kinds: Vec<&str> = kinds.iter().filter(|(on, _)| *on).map(|(_, kind)| *kind).collect();
    let by =
        if kinds.is_empty() { "none: customers known before alone".to_owned() } else { kinds.join(", ") };
    let note = if matching.email { "; e-mail needs \"Confirm email\" switched on in Supabase" } else { "" };
    Finding::fine("matching", format!("customers are matched by {by}{note}"))
}

/// Behind a transaction pooler each transaction may meet another session.
fn pooler(options: &PgConnectOptions) -> Option<Finding> {
    (options.get_port() == 6543).then(|| {
        Finding::wrong(
            "database",
            Level::Failed,
            "port 6543 is Supabase's transaction pooler: prepared statements, LISTEN and session locks break there",
            "use the session pooler or the direct connection: the same URL with port 5432",
        )
    })
}

fn encryption(options: &PgConnectOptions) -> Finding {
    let host = options.get_host();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]");
    let fix = "add ?sslmode=verify-full&sslrootcert=prod-ca-2021.crt to DATABASE_URL (the certificate is in the dashboard under Database -> Settings)";
    match options.get_ssl_mode() {
        _ if local => Finding::fine("database", "the connection stays on this machine"),
        PgSslMode::VerifyFull => {
            Finding::fine("database", "the connection is encrypted, the server verified")
        }
        PgSslMode::VerifyCa => Finding::wrong(
            "database",
            Level::Warning,
            "the server's certificate is verified, its name is not",
            fix,
        ),
        PgSslMode::Require => Finding::wrong(
            "database",
            Level::Warning,
            "the connection is encrypted, but any server is trusted",
            fix,
        ),
        _ => Finding::wrong("database", Level::Warning, "the connection may go unencrypted", fix),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn worst(config: &Config) -> (Level, String) {
        let findings = examine(config);
        let worst = findings.iter().max_by_key(|finding| finding.level).unwrap();
        (worst.level, worst.message.clone())
    }

    fn complete(url: &str) -> Config {
        let secret = |text: &str| SecretString::from(text.to_owned());
        Config {
            stripe_webhook_secrets: vec![secret("whsec_abc")],
            supabase_webhook_secrets: vec![secret("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
            admin_token: Some(secret("0123456789012345678901234567")),
            ..Config::new(url)
        }
    }

    #[test]
    fn each_way_to_connect_is_judged() {
        for (url, level, says) in [
            ("postgres://postgres@127.0.0.1/postgres", Level::Fine, ""),
            ("postgres://u:p@db.example.com/postgres?sslmode=verify-full", Level::Fine, ""),
            ("postgres://u:p@db.example.com/postgres?sslmode=require", Level::Warning, "any server"),
            ("postgres://u:p@db.example.com/postgres", Level::Warning, "unencrypted"),
            ("postgres://u:p@127.0.0.1:6543/postgres", Level::Failed, "transaction pooler"),
            ("127.0.0.1", Level::Failed, "not a Postgres URL"),
        ] {
            let (found, message) = worst(&complete(url));
            assert_eq!(found, level, "{url}: {message}");
            assert!(message.contains(says), "{url}: {message}");
        }
    }

    #[test]
    fn kinds_of_evidence_are_shown() {
        let mut config = complete("postgres://postgres@127.0.0.1/postgres");
        assert!(matching(&config).message.contains("metadata, reference, email; e-mail needs"));
        config.matching = config.matching.by([""]).unwrap();
        assert!(matching(&config).message.ends_with("none: customers known before alone"));
    }

    #[test]
    fn secrets_that_cannot_be_any_fail_and_missing_ones_warn() {
        let good = complete("postgres://postgres@127.0.0.1/postgres");
        let wrong = vec![SecretString::from("sk_test_1".to_owned())];
        for (config, level) in [
            (Config { stripe_webhook_secrets: wrong.clone(), ..good.clone() }, Level::Failed),
            (Config { supabase_webhook_secrets: wrong, ..good.clone() }, Level::Failed),
            (Config { stripe_webhook_secrets: vec![], ..good.clone() }, Level::Warning),
            (Config { supabase_webhook_secrets: vec![], ..good.clone() }, Level::Warning),
            (Config { admin_token: None, ..good.clone() }, Level::Note),
            (Config { admin_token: Some(SecretString::from("short".to_owned())), ..good }, Level::Warning),
        ] {
            assert_eq!(worst(&config).0, level);
        }
    }
}
