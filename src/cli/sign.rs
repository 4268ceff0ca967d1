//! `memberflow sign stripe|supabase|supabase-hook`: the headers that the provider would send with a body.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Exit, Failure, Global, print_data};
use crate::clock::Clock;
use crate::config::Config;
use crate::verify::{StripeSecrets, SupabaseSecrets, standard_webhooks, stripe};

/// What to sign, and as whom.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The headers are printed one a line: curl -H @<(memberflow sign stripe --file body.json) --data-binary @body.json …"
)]
pub(super) struct Args {
    /// Whose signature
    provider: Provider,
    /// The body, byte for byte as it will be sent; - is standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Unix seconds to sign at [default: now]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..))]
    timestamp: Option<i64>,
    /// The webhook-id, for supabase [default: a new one]
    #[arg(long)]
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    Stripe,
    /// A Database Webhook, with SUPABASE_WEBHOOK_SECRETS
    Supabase,
    /// An Auth Hook, with SUPABASE_HOOK_SECRETS where they are set
    SupabaseHook,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = global.load_without_database()?;
    let body = read(args)?;
    let timestamp_s = args.timestamp.unwrap_or_else(|| Clock::System.now().unix_timestamp());
    let headers = match args.provider {
        Provider::Stripe => stripe_headers(&config, timestamp_s, &body)?,
        Provider::Supabase => {
            let secrets = &config.supabase_webhook_secrets;
            supabase_headers(secrets, args.id.as_deref(), timestamp_s, &body)?
        }
        Provider::SupabaseHook => {
            supabase_headers(config.hook_secrets(), args.id.as_deref(), timestamp_s, &body)?
        }
    };
    print_data(&written(headers, global.json))
}

fn read(args: &Args) -> anyhow::Result<Vec<u8>> {
    if args.file.as_os_str() != "-" {
        return std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()));
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body).context("cannot read standard input")?;
    Ok(body)
}

type Headers = Vec<(&'static str, String)>;

fn stripe_headers(config: &Config, timestamp_s: i64, body: &[u8]) -> anyhow::Result<Headers> {
    let secrets = StripeSecrets::new(&config.stripe_webhook_secrets)?
        .ok_or_else(|| no_secret("STRIPE_WEBHOOK_SECRETS"))?;
    Ok(vec![("Stripe-Signature", stripe::sign(&secrets, timestamp_s, body))])
}

fn supabase_headers(
    secrets: &[SecretString],
    id: Option<&str>,
    timestamp_s: i64,
    body: &[u8],
) -> anyhow::Result<Headers> {
    let secrets = SupabaseSecrets::new(secrets)?.ok_or_else(|| no_secret("SUPABASE_WEBHOOK_SECRETS"))?;
    let id = id.map_or_else(|| format!("msg_{}", uuid::Uuid::now_v7().simple()), str::to_owned);
    let signed = standard_webhooks::sign(&secrets, &id, timestamp_s, body);
    Ok(vec![
        (standard_webhooks::ID, signed.id),
        (standard_webhooks::TIMESTAMP, signed.timestamp),
        (standard_webhooks::SIGNATURE, signed.signature),
    ])
}

fn no_secret(variable: &str) -> Failure {
    Failure::new(Exit::Usage, format!("there is no secret to sign with: set {variable}"))
}

fn written(headers: Headers, json: bool) -> String {
    if json {
        let object: Map<String, Value> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        return format!("{}\n", Value::Object(object));
    }
    headers.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}
