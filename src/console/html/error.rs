//! Why there is no page. [`super::page`] shows it.

use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;

use crate::ops::ledger::{InvalidMoment, InvalidMonths};
use crate::ops::{jobs, members, page, tickets};

/// There is no page, or not for this person, or not now.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Nothing has this address.
    #[error("There is nothing at this address.")]
    NotFound,
    /// Something that a page is about does not exist (any more).
    #[error("{0}")]
    Unknown(String),
    /// The request makes no sense; says why.
    #[error("{0}")]
    Invalid(String),
    /// Not for this person, or not from there.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Something else is under way; says what.
    #[error("{0}")]
    Busy(String),
    /// The database does not answer.
    #[error("The database does not answer. Try again in some seconds.")]
    Away,
    /// A bug, or a refusal of the database.
    #[error("Internal error. The service log has the details.")]
    Internal,
}

impl From<sqlx::Error> for PageError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::Tls(_)) {
            tracing::warn!(%error, "the database does not answer");
            return Self::Away;
        }
        // Postgres' text holds no NUL, and an address can.
        if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("22021") {
            return Self::Invalid("A text with a NUL character cannot be looked for.".to_owned());
        }
        tracing::error!(%error, "the database rejected a query");
        Self::Internal
    }
}

impl From<page::PageError> for PageError {
    fn from(error: page::PageError) -> Self {
        match error {
            page::PageError::Database(error) => error.into(),
            error => Self::Invalid(error.to_string()),
        }
    }
}

impl From<members::ListError> for PageError {
    fn from(error: members::ListError) -> Self {
        match error {
            members::ListError::Database(error) => error.into(),
            error => Self::Invalid(error.to_string()),
        }
    }
}

impl From<tickets::ListError> for PageError {
    fn from(error: tickets::ListError) -> Self {
        match error {
            tickets::ListError::Database(error) => error.into(),
            error => Self::Invalid(error.to_string()),
        }
    }
}

impl From<jobs::RequestError> for PageError {
    fn from(error: jobs::RequestError) -> Self {
        match error {
            jobs::RequestError::Database(error) => error.into(),
            jobs::RequestError::InvalidObject(detail) => Self::Invalid(detail),
            error @ (jobs::RequestError::OnlyCompares { .. } | jobs::RequestError::OtherObject { .. }) => {
                Self::Busy(error.to_string())
            }
        }
    }
}

impl From<InvalidMoment> for PageError {
    fn from(invalid: InvalidMoment) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl From<InvalidMonths> for PageError {
    fn from(invalid: InvalidMonths) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl From<FormRejection> for PageError {
    fn from(rejection: FormRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<QueryRejection> for PageError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<PathRejection> for PageError {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl PageError {
    /// The status of its page, and the page's title.
    pub(super) const fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound | Self::Unknown(_) => (StatusCode::NOT_FOUND, "Not found"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "This makes no sense"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "Not allowed"),
            Self::Busy(_) => (StatusCode::CONFLICT, "Not now"),
            Self::Away => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong"),
        }
    }
}
