//! `memberflow sign stripe|supabase|supabase-hook|twilio`: the headers that the provider would send with a body.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Exit, Failure, Global, print_data};
use crate::clock::Clock;
use crate::config::Config;
use crate::envelope::Parameters;
use crate::verify::{StripeSecrets, SupabaseSecrets, TwilioTokens, standard_webhooks, stripe, twilio};

/// What to sign, and as whom.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The headers are printed one a line: curl -H @<(memberflow sign stripe --file body.json) --data-binary @body.json …"
)]
pub(super) struct Args {
    /// The provider to sign as
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
    /// The full URL to call, for twilio; with bodySHA256 in it the body is signed through that [default: the
    /// messages' endpoint at MEMBERFLOW_PUBLIC_URL]
    #[arg(long)]
    url: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    Stripe,
    /// A Database Webhook, with SUPABASE_WEBHOOK_SECRETS
    Supabase,
    /// An Auth Hook, with SUPABASE_HOOK_SECRETS where they are set
    SupabaseHook,
    /// A form for --url, with the first of TWILIO_AUTH_TOKENS
    Twilio,
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
        Provider::Twilio => twilio_headers(&config, args.url.as_deref(), &body)?,
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

fn twilio_headers(config: &Config, url: Option<&str>, body: &[u8]) -> anyhow::Result<Headers> {
    let tokens =
        TwilioTokens::new(&config.twilio_auth_tokens)?.ok_or_else(|| no_secret("TWILIO_AUTH_TOKENS"))?;
    let ours = || config.public_url.as_ref().map(|base| format!("{base}/webhooks/twilio/messages"));
    let url = url.map(str::to_owned).or_else(ours);
    let url = url.ok_or_else(|| {
        Failure::new(Exit::Usage, "no address to sign: pass --url, or set MEMBERFLOW_PUBLIC_URL")
    })?;
    let signature = if url.contains(twilio::BODY_HASH) {
        twilio::sign(&tokens, &url, twilio::Content::Body(body))
    } else {
        let form = Parameters::from_form(body)?;
        twilio::sign(&tokens, &url, twilio::Content::Form(form.pairs()))
    };
    Ok(vec![("X-Twilio-Signature", signature)])
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
