//! Checks what the settings expose: addresses, plaintext connections, the signature tolerance.

use lapin::uri::{AMQPScheme, AMQPUri};
use secrecy::ExposeSecret as _;

use super::{Finding, Level};
use crate::config::Config;
use crate::config::hosts::{host_of, is_this_machine};

const CHECK: &str = "exposure";

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(addresses(config));
    findings.extend(tolerance(config));
    findings.extend(broker(config));
    let secrets = "whatever is sent there, keys included";
    for (name, url) in [
        ("STRIPE_API_BASE", &config.stripe_api_base),
        ("TWILIO_API_BASE", &config.twilio_api_base),
        ("SUPABASE_URL", &config.supabase_url),
    ] {
        let plain = url.as_deref().filter(|url| url.starts_with("http://") && !is_this_machine(host_of(url)));
        findings.extend(plain.map(|_| {
            let message = format!("{name} is http://: anybody on the way reads {secrets}");
            Finding::wrong(CHECK, Level::Warning, message, format!("set {name} to https://…"))
        }));
    }
    findings
}

/// Providers must reach the public address; operators' endpoints need not be there.
fn addresses(config: &Config) -> Option<Finding> {
    match config.separate_ops_bind() {
        None if !config.bind.ip().is_loopback() => Some(Finding::wrong(
            CHECK,
            Level::Warning,
            format!("/readyz, /metrics and /api are served at {}, where the webhooks are", config.bind),
            "set MEMBERFLOW_OPS_BIND to a private address (127.0.0.1:9090), or let the proxy pass /webhooks alone",
        )),
        Some(ops) if ops.ip().is_unspecified() => Some(Finding::note(
            CHECK,
            format!(
                "MEMBERFLOW_OPS_BIND is {ops}, all addresses of this host: see that the port is not reachable from outside"
            ),
        )),
        _ => None,
    }
}

fn tolerance(config: &Config) -> Option<Finding> {
    config.webhook_tolerance.is_zero().then(|| {
        Finding::wrong(
            CHECK,
            Level::Warning,
            "MEMBERFLOW_WEBHOOK_TOLERANCE_SECONDS is 0: a delivery that somebody has recorded is taken at any age",
            "set it to 300, or remove it",
        )
    })
}

fn broker(config: &Config) -> Option<Finding> {
    let uri: AMQPUri = config.amqp_url.as_ref()?.expose_secret().parse().ok()?;
    let is_plain = uri.scheme == AMQPScheme::AMQP && !is_this_machine(&uri.authority.host);
    is_plain.then(|| {
        Finding::wrong(
            CHECK,
            Level::Warning,
            format!(
                "the connection to RabbitMQ at {} is not encrypted: password and events",
                uri.authority.host
            ),
            "set AMQP_URL to amqps://…, unless the network between is yours alone",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::*;

    fn config() -> Config {
        Config::new("postgres://postgres@127.0.0.1/postgres")
    }

    fn says(config: &Config) -> Vec<(Level, String)> {
        examine(config).into_iter().map(|it| (it.level, it.message)).collect()
    }

    #[test]
    fn local_addresses_are_not_exposed() {
        let local = Config {
            amqp_url: Some(SecretString::from("amqp://guest:guest@localhost:5672/%2f")),
            stripe_api_base: Some("http://127.0.0.1:12111".to_owned()),
            supabase_url: Some("http://localhost:54321".to_owned()),
            ..config()
        };
        assert_eq!(says(&local), []);
        let remote = Config {
            amqp_url: Some(SecretString::from("amqps://u:p@mq.example.com/%2f")),
            stripe_api_base: Some("https://api.stripe.com".to_owned()),
            bind: "0.0.0.0:8080".parse().unwrap(),
            ops_bind: Some("10.0.0.1:9090".parse().unwrap()),
            ..config()
        };
        assert_eq!(says(&remote), []);
    }

    #[test]
    fn exposures_are_reported() {
        let everywhere = "0.0.0.0:9090".parse().unwrap();
        for (exposed, level, says_what) in [
            (
                Config { bind: everywhere, ..config() },
                Level::Warning,
                "/readyz, /metrics and /api are served at 0.0.0.0",
            ),
            (Config { ops_bind: Some(everywhere), ..config() }, Level::Note, "MEMBERFLOW_OPS_BIND"),
            (Config { webhook_tolerance: Duration::ZERO, ..config() }, Level::Warning, "at any age"),
            (
                Config {
                    amqp_url: Some(SecretString::from("amqp://u:hunter2@mq.example.com/%2f")),
                    ..config()
                },
                Level::Warning,
                "not encrypted",
            ),
            (
                Config { stripe_api_base: Some("http://api.example.com".into()), ..config() },
                Level::Warning,
                "STRIPE_API_BASE",
            ),
            (
                Config { supabase_url: Some("http://x.supabase.co".into()), ..config() },
                Level::Warning,
                "SUPABASE_URL",
            ),
        ] {
            let found = says(&exposed);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].0 == level && found[0].1.contains(says_what), "{found:?}");
            assert!(!found[0].1.contains("hunter2"));
        }
    }
}
