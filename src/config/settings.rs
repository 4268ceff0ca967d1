//! The table of settings: names, accepted values, and targets.

use std::str::FromStr as _;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::console_roles::{self, RoleSource};
use super::values::{SUPABASE_FORM, WEB, address, is_secret_key, number, one, put, supabase_secrets, url};
use super::{Config, LogFormat, SMS_CONSENT_TABLES};
use crate::project::identity::MATCHING_FORM;
use crate::project::supabase::ActivityTables;
use crate::project::supabase::tables::{self, ActivityTable};
use crate::verify::secrets::{split_stripe, split_twilio};
use crate::verify::{StripeSecrets, TwilioTokens};

/// One setting.
pub(super) struct Setting {
    /// Its key in the file.
    pub key: &'static str,
    /// Its variable in the environment.
    pub env: &'static str,
    /// What it accepts, for the error message.
    pub form: &'static str,
    /// Sets the value (a list in the file has several parts), if it is valid.
    pub set: fn(&mut Config, &[String]) -> Option<()>,
}

/// Every setting.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "database_url",
        env: "DATABASE_URL",
        form: "postgres://user:password@host:port/database",
        set: |config, parts| {
            let url = one(parts).filter(|url| url.starts_with("postgres"))?;
            PgConnectOptions::from_str(url).ok()?;
            put(&mut config.database_url, url.into())
        },
    },
    Setting {
        key: "database_connections",
        env: "MEMBERFLOW_DATABASE_CONNECTIONS",
        form: "a number from 1 to 1000",
        set: |config, parts| put(&mut config.database_connections, number(parts, 1..=1000)?),
    },
    Setting {
        key: "amqp_url",
        env: "AMQP_URL",
        form: "amqp://user:password@host:port/vhost, or amqps://…",
        set: |config, parts| {
            put(&mut config.amqp_url, Some(url(parts, &["amqp://", "amqps://"])?.to_owned().into()))
        },
    },
    Setting {
        key: "queue_prefix",
        env: "MEMBERFLOW_QUEUE_PREFIX",
        form: "1 to 100 letters, digits, '.', '-' or '_'",
        set: |config, parts| {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            let prefix = one(parts).filter(|prefix| prefix.len() <= 100 && prefix.chars().all(plain))?;
            put(&mut config.queue_prefix, prefix.to_owned())
        },
    },
    Setting {
        key: "stripe_webhook_secrets",
        env: "STRIPE_WEBHOOK_SECRETS",
        form: "whsec_ and at least 8 characters, several joined by commas",
        set: |config, parts| {
            let secrets: Vec<SecretString> = parts.iter().flat_map(|part| split_stripe(part)).collect();
            StripeSecrets::new(&secrets).ok()??;
            put(&mut config.stripe_webhook_secrets, secrets)
        },
    },
    Setting {
        key: "supabase_webhook_secrets",
        env: "SUPABASE_WEBHOOK_SECRETS",
        form: SUPABASE_FORM,
        set: |config, parts| put(&mut config.supabase_webhook_secrets, supabase_secrets(parts)?),
    },
    Setting {
        key: "supabase_hook_secrets",
        env: "SUPABASE_HOOK_SECRETS",
        form: SUPABASE_FORM,
        set: |config, parts| put(&mut config.supabase_hook_secrets, supabase_secrets(parts)?),
    },
    Setting {
        key: "stripe_api_key",
        env: "STRIPE_API_KEY",
        form: "sk_… or, better, a restricted rk_… key",
        set: |config, parts| {
            let key = one(parts).filter(|key| key.starts_with("sk_") || key.starts_with("rk_"))?;
            put(&mut config.stripe_api_key, Some(key.into()))
        },
    },
    Setting {
        key: "stripe_api_base",
        env: "STRIPE_API_BASE",
        form: "https://host or http://host",
        set: |config, parts| put(&mut config.stripe_api_base, Some(url(parts, WEB)?.to_owned())),
    },
    Setting {
        key: "stripe_mode",
        env: "MEMBERFLOW_STRIPE_MODE",
        form: "live, test, or any (for development)",
        set: |config, parts| put(&mut config.stripe_mode, Some(one(parts)?.parse().ok()?)),
    },
    Setting {
        key: "stripe_account",
        env: "MEMBERFLOW_STRIPE_ACCOUNT",
        form: "the id of a connected account: acct_…",
        set: |config, parts| {
            let is_id = |id: &&str| {
                let rest = id.strip_prefix("acct_").unwrap_or_default();
                (1..=59).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
            };
            put(&mut config.stripe_account, Some(one(parts).filter(is_id)?.to_owned()))
        },
    },
    Setting {
        key: "stripe_requests_per_second",
        env: "MEMBERFLOW_STRIPE_REQUESTS_PER_SECOND",
        form: "a number from 1 to 100",
        set: |config, parts| put(&mut config.stripe_requests_per_second, number(parts, 1..=100)?),
    },
    Setting {
        key: "twilio_account_sid",
        env: "TWILIO_ACCOUNT_SID",
        form: "the id of the account: AC and 32 hexadecimal digits",
        set: |config, parts| {
            let is_hex = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            let sid = one(parts).filter(|sid| sid.strip_prefix("AC").is_some_and(is_hex))?;
            put(&mut config.twilio_account_sid, Some(sid.to_owned()))
        },
    },
    Setting {
        key: "twilio_auth_tokens",
        env: "TWILIO_AUTH_TOKENS",
        form: "the account's auth tokens of at least 16 characters, several joined by commas",
        set: |config, parts| {
            let tokens: Vec<SecretString> = parts.iter().flat_map(|part| split_twilio(part)).collect();
            TwilioTokens::new(&tokens).ok()??;
            put(&mut config.twilio_auth_tokens, tokens)
        },
    },
    Setting {
        key: "twilio_api_base",
        env: "TWILIO_API_BASE",
        form: "https://host or http://host",
        set: |config, parts| put(&mut config.twilio_api_base, Some(url(parts, WEB)?.to_owned())),
    },
    Setting {
        key: "public_url",
        env: "MEMBERFLOW_PUBLIC_URL",
        form: "the address under which providers reach this service, such as https://hooks.example.com",
        set: |config, parts| put(&mut config.public_url, Some(address(parts)?)),
    },
    Setting {
        key: "sms_consent_tables",
        env: "MEMBERFLOW_SMS_CONSENT_TABLES",
        form: "user_accounts, user_profiles and leads, or some of them, joined by commas; empty: none",
        set: |config, parts| {
            let names = parts.iter().flat_map(|part| part.split(',')).map(str::trim);
            let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
            let known = names.iter().all(|name| SMS_CONSENT_TABLES.contains(&name.as_str()));
            known.then(|| config.sms_consent_tables = names)
        },
    },
    Setting {
        key: "phone_country_code",
        env: "MEMBERFLOW_PHONE_COUNTRY_CODE",
        form: "1 to 3 digits, such as 44",
        set: |config, parts| {
            let is_code =
                |code: &&str| (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
            put(&mut config.phone_country_code, one(parts).filter(is_code)?.to_owned())
        },
    },
    Setting {
        key: "supabase_url",
        env: "SUPABASE_URL",
        form: "https://<project>.supabase.co",
        set: |config, parts| put(&mut config.supabase_url, Some(url(parts, WEB)?.to_owned())),
    },
    Setting {
        key: "supabase_publishable_key",
        env: "SUPABASE_PUBLISHABLE_KEY",
        form: "sb_publishable_…, or the project's anon key; never sb_secret_… or the service_role key",
        set: |config, parts| {
            let key = one(parts).filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))?;
            (!is_secret_key(key)).then(|| config.supabase_publishable_key = Some(key.into()))
        },
    },
    Setting {
        key: "console_url",
        env: "MEMBERFLOW_CONSOLE_URL",
        form: "the address before /console under which people reach it, such as https://crm.example.com",
        set: |config, parts| put(&mut config.console_url, Some(address(parts)?)),
    },
    Setting {
        key: "console_roles",
        env: "MEMBERFLOW_CONSOLE_ROLES",
        form: console_roles::FORM,
        set: |config, parts| put(&mut config.console_roles, one(parts)?.parse::<RoleSource>().ok()?),
    },
    Setting {
        key: "bind",
        env: "MEMBERFLOW_BIND",
        form: "an address and a port, such as 127.0.0.1:8080",
        set: |config, parts| put(&mut config.bind, one(parts)?.parse().ok()?),
    },
    Setting {
        key: "ops_bind",
        env: "MEMBERFLOW_OPS_BIND",
        form: "an address and a port, such as 127.0.0.1:9090",
        set: |config, parts| put(&mut config.ops_bind, Some(one(parts)?.parse().ok()?)),
    },
    Setting {
        key: "admin_token",
        env: "MEMBERFLOW_ADMIN_TOKEN",
        form: "at least 16 visible ASCII characters",
        set: |config, parts| {
            let token = one(parts).filter(|token| token.len() >= 16)?;
            let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
            visible.then(|| config.admin_token = Some(token.into()))
        },
    },
    Setting {
        key: "webhook_tolerance_seconds",
        env: "MEMBERFLOW_WEBHOOK_TOLERANCE_SECONDS",
        form: "a number of seconds from 0 (any age will do) to 86400",
        set: |config, parts| {
            put(&mut config.webhook_tolerance, Duration::from_secs(number(parts, 0..=86_400)?))
        },
    },
    Setting {
        key: "body_limit_bytes",
        env: "MEMBERFLOW_BODY_LIMIT_BYTES",
        form: "a number of bytes from 1024 to 67108864",
        set: |config, parts| put(&mut config.body_limit_bytes, number(parts, 1024..=64 * 1024 * 1024)?),
    },
    Setting {
        key: "read_timeout_seconds",
        env: "MEMBERFLOW_READ_TIMEOUT_SECONDS",
        form: "a number of seconds from 1 to 300",
        set: |config, parts| put(&mut config.read_timeout, Duration::from_secs(number(parts, 1..=300)?)),
    },
    Setting {
        key: "max_requests",
        env: "MEMBERFLOW_MAX_REQUESTS",
        form: "a number from 1 to 100000",
        set: |config, parts| put(&mut config.max_requests, number(parts, 1..=100_000)?),
    },
    Setting {
        key: "batch_max_events",
        env: "MEMBERFLOW_BATCH_MAX_EVENTS",
        form: "a number from 1 to 10000",
        set: |config, parts| put(&mut config.batch_max_events, number(parts, 1..=10_000)?),
    },
    Setting {
        key: "batch_wait_ms",
        env: "MEMBERFLOW_BATCH_WAIT_MS",
        form: "a number of milliseconds from 0 to 10000",
        set: |config, parts| put(&mut config.batch_wait, Duration::from_millis(number(parts, 0..=10_000)?)),
    },
    Setting {
        key: "user_id_metadata_keys",
        env: "MEMBERFLOW_USER_ID_METADATA_KEYS",
        form: "metadata keys, strongest first, joined by commas",
        set: |config, parts| {
            let keys = parts.iter().flat_map(|part| part.split(',')).map(str::trim);
            let keys: Vec<String> = keys.filter(|key| !key.is_empty()).map(str::to_owned).collect();
            (!keys.is_empty()).then(|| config.user_id_metadata_keys = keys)
        },
    },
    Setting {
        key: "match_by",
        env: "MEMBERFLOW_MATCH_BY",
        form: MATCHING_FORM,
        set: |config, parts| {
            let words = parts.iter().flat_map(|part| part.split(','));
            let matching = config.matching.by(words)?;
            put(&mut config.matching, matching)
        },
    },
    Setting {
        key: "match_sso_email",
        env: "MEMBERFLOW_MATCH_SSO_EMAIL",
        form: "true or false",
        set: |config, parts| put(&mut config.matching.sso_email, one(parts)?.parse().ok()?),
    },
    Setting {
        key: "activity_tables",
        env: "MEMBERFLOW_ACTIVITY_TABLES",
        form: tables::FORM,
        set: |config, parts| {
            let entries = parts.iter().flat_map(|part| part.split(',')).map(str::parse);
            let entries: Vec<ActivityTable> = entries.collect::<Result<_, _>>().ok()?;
            let tables = entries.into_iter().fold(ActivityTables::default(), ActivityTables::with);
            put(&mut config.activity_tables, tables)
        },
    },
    Setting {
        key: "active_days",
        env: "MEMBERFLOW_ACTIVE_DAYS",
        form: "a number of days from 0 to 36500",
        set: |config, parts| put(&mut config.active_days, number(parts, 0..=36_500)?),
    },
    Setting {
        key: "at_risk_days",
        env: "MEMBERFLOW_AT_RISK_DAYS",
        form: "a number of days from 0 to 36500",
        set: |config, parts| put(&mut config.at_risk_days, number(parts, 0..=36_500)?),
    },
    Setting {
        key: "champion_months",
        env: "MEMBERFLOW_CHAMPION_MONTHS",
        form: "a number of months from 0 to 1200",
        set: |config, parts| put(&mut config.champion_months, number(parts, 0..=1200)?),
    },
    Setting {
        key: "retention_days",
        env: "MEMBERFLOW_RETENTION_DAYS",
        form: "a number of days from 35 to 36500",
        set: |config, parts| put(&mut config.retention_days, Some(number(parts, 35..=36_500)?)),
    },
    Setting {
        key: "log_filter",
        env: "MEMBERFLOW_LOG_FILTER",
        form: "a level or target=level pairs, such as info,memberflow=debug",
        set: |config, parts| {
            let filter = one(parts).filter(|filter| EnvFilter::try_new(filter).is_ok())?;
            put(&mut config.log_filter, filter.to_owned())
        },
    },
    Setting {
        key: "log_format",
        env: "MEMBERFLOW_LOG_FORMAT",
        form: "auto, human or json",
        set: |config, parts| {
            let format = match one(parts)? {
                "auto" => LogFormat::Auto,
                "human" => LogFormat::Human,
                "json" => LogFormat::Json,
                _ => return None,
            };
            put(&mut config.log_format, format)
        },
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::SETTINGS;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn readme_lists_every_setting_once() {
        let (_, section) = README.split_once("\n## Settings\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let names: Vec<&str> = names.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).collect();
        let listed: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(listed, SETTINGS.iter().map(|setting| setting.env).collect());
        assert_eq!(names.len(), listed.len(), "{names:?}");
    }
}
