//! How commands end: the exit codes, and which error means which.

use std::process::ExitCode;

use crate::config::ConfigError;

/// The exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Fine = 0,
    /// It did not work.
    Failed = 1,
    /// It was asked for in a way that cannot be.
    Usage = 2,
    /// Some of many did not work.
    SomeFailed = 3,
    /// Whoever asked may not.
    NotAllowed = 4,
    /// There is no such thing.
    NotFound = 5,
    /// Tables and facts disagree.
    Drift = 6,
    /// Postgres, RabbitMQ or a provider's API is not there.
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
    /// The exit code that an error deserves, by the first of its causes that tells.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let failure =
            |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<Failure>().map(|f| f.exit);
        let config =
            |cause: &(dyn std::error::Error + 'static)| cause.is::<ConfigError>().then_some(Self::Usage);
        let down = |cause: &(dyn std::error::Error + 'static)| {
            let unreachable = matches!(
                cause.downcast_ref::<sqlx::Error>(),
                Some(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut)
            );
            unreachable.then_some(Self::DependencyDown)
        };
        let told =
            error.chain().find_map(|cause| failure(cause).or_else(|| config(cause)).or_else(|| down(cause)));
        told.unwrap_or(Self::Failed)
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

    #[test]
    fn an_error_ends_with_the_code_of_its_cause() {
        let of = |error: anyhow::Error| Exit::of(&error);
        assert_eq!(of(anyhow::anyhow!("whatever")), Exit::Failed);
        assert_eq!(of(ConfigError::NoDatabase.into()), Exit::Usage);
        assert_eq!(of(sqlx::Error::PoolTimedOut.into()), Exit::DependencyDown);
        assert_eq!(of(sqlx::Error::RowNotFound.into()), Exit::Failed);
        let wrapped = Err::<(), _>(Failure::new(Exit::NotFound, "no such member")).context("members show");
        assert_eq!(of(wrapped.unwrap_err()), Exit::NotFound);
    }
}
