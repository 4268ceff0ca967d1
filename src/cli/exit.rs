//! Exit codes, and which error has which.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::ops::page::PageError;

/// The exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Fine = 0,
    /// Failure.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Some of many failed.
    SomeFailed = 3,
    /// Not allowed.
    NotAllowed = 4,
    /// Not found.
    NotFound = 5,
    /// Tables and facts disagree.
    Drift = 6,
    /// Postgres, RabbitMQ or a provider's API is down.
    DependencyDown = 7,
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What went wrong, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl Exit {
    /// The exit code of an error, by the first of its causes that has one.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let failure =
            |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<Failure>().map(|f| f.exit);
        let config =
            |cause: &(dyn std::error::Error + 'static)| cause.is::<ConfigError>().then_some(Self::Usage);
        let down = |cause: &(dyn std::error::Error + 'static)| {
            let is_down = cause.downcast_ref::<sqlx::Error>().is_some_and(is_down);
            is_down.then_some(Self::DependencyDown)
        };
        let exit =
            error.chain().find_map(|cause| failure(cause).or_else(|| config(cause)).or_else(|| down(cause)));
        exit.unwrap_or(Self::Failed)
    }
}

/// Whether Postgres is down, or the database is not ours.
fn is_down(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => missing(error.code().as_deref()).is_some(),
        error => is_unreachable(error),
    }
}

fn is_unreachable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut)
}

/// What to do if Postgres reports that something does not exist.
fn missing(sqlstate: Option<&str>) -> Option<&'static str> {
    match sqlstate? {
        "3D000" => Some("correct DATABASE_URL or create the database"),
        "3F000" | "42P01" | "42703" | "42883" => Some("run `memberflow migrate` on this database"),
        _ => None,
    }
}

/// What to do about any other error of the database.
fn advice(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Database(_) => {
            Some("`memberflow doctor` checks the database, its tables and the role's privileges")
        }
        error if is_unreachable(error) => Some("start PostgreSQL or correct DATABASE_URL, then try again"),
        _ => None,
    }
}

/// An error with its causes, without repetitions, and what to do if known.
#[must_use]
pub fn describe(error: &anyhow::Error) -> String {
    let refusals =
        || error.chain().filter_map(|cause| cause.downcast_ref::<sqlx::Error>()?.as_database_error());
    let mut text = String::new();
    for cause in error.chain() {
        let mut link = cause.to_string();
        for refusal in refusals() {
            // Removes the line number of Postgres' own source.
            link = link.replace(&format!("error returned from database: {refusal}"), refusal.message());
            link = link.replace(&refusal.to_string(), refusal.message());
        }
        if text.is_empty() {
            text = link;
        } else if !text.contains(&link) {
            text = format!("{text}: {link}");
        }
    }
    let specific = refusals().find_map(|refusal| missing(refusal.code().as_deref()));
    // Errors of ours say themselves what to do, behind a semicolon.
    let general = || error.chain().find_map(|cause| advice(cause.downcast_ref()?));
    match specific.or_else(|| general().filter(|_| !text.contains("; "))) {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

/// The failure of reading a page.
pub(super) fn of_page(error: PageError) -> anyhow::Error {
    match error {
        PageError::Database(error) => error.into(),
        error => Failure::new(Exit::Usage, error.to_string()).into(),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn error_exit_code_is_that_of_its_cause() {
        let of = |error: anyhow::Error| Exit::of(&error);
        assert_eq!(of(anyhow::anyhow!("whatever")), Exit::Failed);
        assert_eq!(of(ConfigError::NoDatabase.into()), Exit::Usage);
        assert_eq!(of(sqlx::Error::PoolTimedOut.into()), Exit::DependencyDown);
        assert_eq!(of(sqlx::Error::RowNotFound.into()), Exit::Failed);
        let wrapped = Err::<(), _>(Failure::new(Exit::NotFound, "no such member")).context("members show");
        assert_eq!(of(wrapped.unwrap_err()), Exit::NotFound);
    }

    #[test]
    fn database_error_ends_in_what_to_do() {
        let of = |error: StoreError| describe(&error.into());
        assert_eq!(
            of(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
            "the database is not available: pool timed out while waiting for an open connection; \
             start PostgreSQL or correct DATABASE_URL, then try again"
        );
        let advised = anyhow::Error::new(sqlx::Error::PoolTimedOut).context("it is full; empty it");
        assert!(describe(&advised).ends_with("open connection"));
    }

    #[test]
    fn repeated_cause_is_printed_once() {
        let io = || std::io::Error::other("connection refused");
        let error =
            anyhow::Error::new(io()).context("cannot connect: connection refused").context("members list");
        assert_eq!(describe(&error), "members list: cannot connect: connection refused");
    }
}
