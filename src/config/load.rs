//! Loads the settings from file, environment and flags, with exact error messages.

use std::path::{Path, PathBuf};
use std::{env, fs};

use secrecy::SecretString;

use super::Config;
use super::settings::{SETTINGS, Setting};
use super::values::has_database;

/// The file that is read if none is named and it exists.
const DEFAULT_FILE: &str = "memberflow.toml";
/// The variable that names the file.
const FILE_VARIABLE: &str = "MEMBERFLOW_CONFIG";
/// Variables with this prefix are ours, and must be known settings.
const OWN_PREFIX: &str = "MEMBERFLOW_";
/// Not settings: variables of the tests, and those that Kubernetes sets in every pod for a service called
/// memberflow.
const FOREIGN_PREFIXES: [&str; 3] = ["MEMBERFLOW_TEST_", "MEMBERFLOW_SERVICE_", "MEMBERFLOW_PORT"];

/// Settings for which empty is a value.
const MEANT_EMPTY: [&str; 2] = ["MEMBERFLOW_MATCH_BY", "MEMBERFLOW_SMS_CONSENT_TABLES"];

/// Settings given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--database-url`.
    pub database_url: Option<SecretString>,
    /// `--amqp-url`.
    pub amqp_url: Option<SecretString>,
    /// `--bind`.
    pub bind: Option<String>,
}

/// Everything that settings are read from, weakest first.
#[derive(Default)]
pub struct ConfigSources {
    /// The file's path and text.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// The command line.
    pub flags: Flags,
}

/// A setting that cannot be used. Values of secrets are never repeated.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file is not readable.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    FileUnreadable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    FileInvalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's error.
        reason: String,
    },
    /// Not a setting.
    #[error("unknown setting {name}: did you mean {nearest}?")]
    Unknown {
        /// As given.
        name: String,
        /// The most similar known one.
        nearest: &'static str,
    },
    /// A value that the setting does not accept.
    #[error("{name} is not valid: it takes {form}")]
    Invalid {
        /// The setting, as it was given.
        name: String,
        /// What it accepts.
        form: &'static str,
    },
    /// A part of the process would have no database connection.
    #[error(
        "MEMBERFLOW_DATABASE_CONNECTIONS is {given}, and these roles need {needed} at least: set it to {needed} or more, or run fewer roles in this process"
    )]
    TooFewConnections {
        /// As set.
        given: u32,
        /// The minimum.
        needed: u32,
    },
    /// No database is configured.
    #[error("DATABASE_URL is not set: give the Postgres to work on, {}", SETTINGS[0].form)]
    NoDatabase,
}

/// The settings of this process, for commands that work on the database.
///
/// # Errors
/// The first setting that cannot be used, or a missing database.
pub fn load(flags: Flags) -> Result<Config, ConfigError> {
    let config = load_without_database(flags)?;
    if has_database(&config) { Ok(config) } else { Err(ConfigError::NoDatabase) }
}

/// The settings of this process, for commands that do not need a database: its URL may be empty.
///
/// # Errors
/// The first setting that cannot be used.
pub fn load_without_database(flags: Flags) -> Result<Config, ConfigError> {
    // Variables that are not Unicode cannot be ours.
    let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables: Vec<(String, String)> = env::vars_os().filter_map(unicode).collect();
    let named = variables.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    let named = flags.config.clone().or_else(|| named.map(|(_, value)| PathBuf::from(value)));
    let file = read_file(named)?;
    read(&ConfigSources { file, variables, flags })
}

/// Reads the settings from `sources`. The database may be missing.
///
/// # Errors
/// The first setting that cannot be used.
pub fn read(sources: &ConfigSources) -> Result<Config, ConfigError> {
    let mut config = Config::new(String::new());
    if let Some((path, text)) = &sources.file {
        apply_file(&mut config, path, text)?;
    }
    apply_variables(&mut config, &sources.variables)?;
    apply_flags(&mut config, &sources.flags)?;
    Ok(config)
}

fn read_file(named: Option<PathBuf>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let asked_for = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(reason) if !asked_for && reason.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(ConfigError::FileUnreadable { path, reason }),
    }
}

fn apply_file(config: &mut Config, path: &Path, text: &str) -> Result<(), ConfigError> {
    // The parser's own message quotes the line, which may hold a secret.
    let invalid = |error: toml::de::Error| ConfigError::FileInvalid {
        path: path.to_owned(),
        line: 1 + error.span().map_or(0, |span| text.get(..span.start).unwrap_or(text).matches('\n').count()),
        reason: error.message().to_owned(),
    };
    let table: toml::Table = text.parse().map_err(invalid)?;
    for (key, value) in table {
        let name = format!("{key} (in {})", path.display());
        let setting =
            SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| ConfigError::Unknown {
                nearest: nearest(&key, SETTINGS.iter().map(|s| s.key)),
                name: name.clone(),
            })?;
        let parts = parts(value).ok_or(ConfigError::Invalid { name: name.clone(), form: setting.form })?;
        apply(config, setting, name, &parts)?;
    }
    Ok(())
}

fn apply_variables(config: &mut Config, variables: &[(String, String)]) -> Result<(), ConfigError> {
    for (name, value) in variables {
        let known = SETTINGS.iter().find(|setting| setting.env == name);
        let foreign = FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let own = name.starts_with(OWN_PREFIX) && !foreign && name != FILE_VARIABLE;
        match known {
            // Compose files and CI set variables without a value to the empty string.
            Some(setting) if value.is_empty() && !MEANT_EMPTY.contains(&setting.env) => {}
            Some(setting) => apply(config, setting, name.clone(), std::slice::from_ref(value))?,
            None if own => {
                let nearest = nearest(name, SETTINGS.iter().map(|s| s.env).chain([FILE_VARIABLE]));
                return Err(ConfigError::Unknown { name: name.clone(), nearest });
            }
            None => {}
        }
    }
    Ok(())
}

fn apply_flags(config: &mut Config, flags: &Flags) -> Result<(), ConfigError> {
    use secrecy::ExposeSecret as _;
    let secret = |value: &Option<SecretString>| value.as_ref().map(|url| url.expose_secret().to_owned());
    for (flag, key, value) in [
        ("--database-url", "database_url", secret(&flags.database_url)),
        ("--amqp-url", "amqp_url", secret(&flags.amqp_url)),
        ("--bind", "bind", flags.bind.clone()),
    ] {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        if let (Some(setting), Some(value)) = (setting, value) {
            apply(config, setting, flag.to_owned(), &[value])?;
        }
    }
    Ok(())
}

fn apply(config: &mut Config, setting: &Setting, name: String, parts: &[String]) -> Result<(), ConfigError> {
    (setting.set)(config, parts).ok_or(ConfigError::Invalid { name, form: setting.form })
}

/// A TOML value as text: a list is several parts; tables are not accepted.
fn parts(value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(yes) => Some(vec![yes.to_string()]),
        toml::Value::Array(items) => {
            let texts = items.into_iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect()
        }
        _ => None,
    }
}

fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> &'static str {
    let name = name.to_ascii_lowercase();
    let distance = |known: &&str| strsim::levenshtein(&name, &known.to_ascii_lowercase());
    known.min_by_key(distance).unwrap_or_default()
}
