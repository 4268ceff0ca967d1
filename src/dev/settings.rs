//! The settings of a local run, and the file by which other commands join it:
//! `memberflow --config .memberflow/dev.toml members list`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::project::stripe::StripeMode;

/// Keeps what we declare on a broker that we share apart from a real installation.
const QUEUE_PREFIX: &str = "memberflow_dev";

/// What the file holds. The secrets are generated once per checkout, so that a browser or `stripe listen` set
/// up with them keeps working.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    database_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amqp_url: Option<String>,
    queue_prefix: String,
    bind: String,
    /// `stripe listen` and the demo send test mode events.
    #[serde(default)]
    stripe_mode: String,
    stripe_webhook_secrets: Vec<String>,
    supabase_webhook_secrets: Vec<String>,
    /// Generated if the file is older.
    #[serde(default)]
    twilio_auth_tokens: Vec<String>,
    #[serde(default)]
    public_url: String,
    admin_token: String,
}

/// Completes `config`, which is from the environment, and writes the file `path`. Secrets from the
/// environment stay valid next to ours.
///
/// # Errors
/// If the file cannot be written.
pub fn complete(config: &mut Config, path: &Path) -> Result<()> {
    let known: Option<File> = fs::read_to_string(path).ok().and_then(|text| toml::from_str(&text).ok());
    let twilio = known.as_ref().map(|known| known.twilio_auth_tokens.clone()).unwrap_or_default();
    let twilio = if twilio.is_empty() { vec![uuid::Uuid::new_v4().simple().to_string()] } else { twilio };
    let (stripe, supabase, token) = known.map_or_else(made_up, |known| {
        (known.stripe_webhook_secrets, known.supabase_webhook_secrets, known.admin_token)
    });
    // Calls from outside, through a tunnel for example, use that address.
    let public_url = config.public_url.get_or_insert_with(|| format!("http://{}", config.bind)).clone();
    QUEUE_PREFIX.clone_into(&mut config.queue_prefix);
    let token = config.admin_token.get_or_insert(token.into()).expose_secret().to_owned();
    let stripe_mode = *config.stripe_mode.get_or_insert(StripeMode::Any);
    let file = File {
        database_url: config.database_url.expose_secret().to_owned(),
        amqp_url: config.amqp_url.as_ref().map(|url| url.expose_secret().to_owned()),
        queue_prefix: config.queue_prefix.clone(),
        bind: config.bind.to_string(),
        admin_token: token,
        stripe_mode: stripe_mode.as_str().to_owned(),
        stripe_webhook_secrets: stripe,
        supabase_webhook_secrets: supabase,
        twilio_auth_tokens: twilio,
        public_url,
    };
    config.twilio_auth_tokens.extend(file.twilio_auth_tokens.iter().cloned().map(Into::into));
    config.stripe_webhook_secrets.extend(file.stripe_webhook_secrets.iter().cloned().map(Into::into));
    config.supabase_webhook_secrets.extend(file.supabase_webhook_secrets.iter().cloned().map(Into::into));
    if !config.supabase_hook_secrets.is_empty() {
        config.supabase_hook_secrets.extend(file.supabase_webhook_secrets.iter().cloned().map(Into::into));
    }
    write(path, &file).with_context(|| format!("cannot write {}", path.display()))
}

/// Secrets in the providers' formats: 32 random bytes, whose hexadecimal digits are base64 as well.
fn made_up() -> (Vec<String>, Vec<String>, String) {
    let random = || format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    (vec![format!("whsec_{}", random())], vec![format!("v1,whsec_{}", random())], random())
}

fn write(path: &Path, file: &File) -> Result<()> {
    let text = format!(
        "# The local run of `memberflow dev`; written again at each start.\n{}",
        toml::to_string(file)?
    );
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    Ok(options.open(path)?.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_run_keeps_all_secrets() {
        let path = std::env::temp_dir().join(format!("mf-settings-{}.toml", uuid::Uuid::new_v4().simple()));
        let secrets = |config: &Config| -> Vec<String> {
            let all = config.stripe_webhook_secrets.iter().chain(&config.supabase_webhook_secrets);
            all.map(|secret| secret.expose_secret().to_owned()).collect()
        };
        let mut first = Config::new("postgres://localhost/one");
        complete(&mut first, &path).unwrap();

        let mut second = Config::new("postgres://localhost/two");
        second.stripe_mode = Some(StripeMode::Live);
        second.stripe_webhook_secrets.push("whsec_from_the_environment".into());
        complete(&mut second, &path).unwrap();

        assert_eq!(secrets(&second)[0], "whsec_from_the_environment");
        assert_eq!(secrets(&second)[1..], secrets(&first));
        let file: File = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(file.database_url, "postgres://localhost/two");
        assert_eq!((first.stripe_mode, file.stripe_mode.as_str()), (Some(StripeMode::Any), "live"));
        assert_eq!(file.stripe_webhook_secrets.len(), 1, "the environment's secrets are not written down");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn generated_secrets_have_provider_formats() {
        let (stripe, supabase, _) = made_up();
        let stripe: Vec<_> = stripe.into_iter().map(Into::into).collect();
        let supabase: Vec<_> = supabase.into_iter().map(Into::into).collect();
        assert!(crate::verify::StripeSecrets::new(&stripe).unwrap().is_some());
        assert!(crate::verify::SupabaseSecrets::new(&supabase).unwrap().is_some());
    }
}
