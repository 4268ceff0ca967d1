//! The problems that several endpoints have in common.

use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

use crate::http::problem::Problem;
use crate::ops::jobs::{CancelError, RequestError};
use crate::ops::ledger::{InvalidMoment, InvalidMonths};
use crate::ops::page::PageError;
use crate::ops::rebuild::BoundedError;
use crate::ops::{members, tickets};
use crate::store::StoreError;

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        database(&error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (StoreError::Unavailable(error) | StoreError::Rejected(error)) = error;
        database(&error)
    }
}

impl From<InvalidMoment> for Problem {
    fn from(invalid: InvalidMoment) -> Self {
        bad_request(invalid.to_string())
    }
}

impl From<InvalidMonths> for Problem {
    fn from(invalid: InvalidMonths) -> Self {
        bad_request(invalid.to_string())
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Database(error) => database(&error),
            error => bad_request(error.to_string()),
        }
    }
}

impl From<BoundedError> for Problem {
    fn from(error: BoundedError) -> Self {
        match error {
            BoundedError::Database(error) => database(&error),
            error => bad_request(error.to_string()),
        }
    }
}

impl From<members::ListError> for Problem {
    fn from(error: members::ListError) -> Self {
        match error {
            members::ListError::Database(error) => database(&error),
            error => bad_request(error.to_string()),
        }
    }
}

impl From<members::ChangeError> for Problem {
    fn from(error: members::ChangeError) -> Self {
        match error {
            members::ChangeError::Invalid(detail) => bad_request(detail),
            members::ChangeError::Stale => stale(error.to_string()),
            members::ChangeError::NotFound(user_id) => no_member(user_id),
            members::ChangeError::Database(error) => database(&error),
        }
    }
}

impl From<tickets::ListError> for Problem {
    fn from(error: tickets::ListError) -> Self {
        match error {
            tickets::ListError::Database(error) => database(&error),
            error => bad_request(error.to_string()),
        }
    }
}

impl From<tickets::ChangeError> for Problem {
    fn from(error: tickets::ChangeError) -> Self {
        match error {
            tickets::ChangeError::Invalid(detail) => bad_request(detail),
            tickets::ChangeError::Stale => stale(error.to_string()),
            tickets::ChangeError::NotFound(ticket) => no_ticket(&ticket),
            tickets::ChangeError::Database(error) => database(&error),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::OnlyCompares { .. } => Self::new(
                StatusCode::CONFLICT,
                "job-only-compares",
                "The job only compares",
                error.to_string(),
            ),
            RequestError::OtherObject { .. } => Self::new(
                StatusCode::CONFLICT,
                "job-of-another-object",
                "The job is about another object",
                error.to_string(),
            ),
            RequestError::InvalidObject(detail) => bad_request(detail),
            RequestError::Database(error) => database(&error),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound(id) => no_job(&id.to_string()),
            CancelError::Ended { .. } => {
                Self::new(StatusCode::CONFLICT, "job-ended", "The job has ended", error.to_string())
            }
            CancelError::Database(error) => database(&error),
        }
    }
}

/// The request makes no sense; `detail` says why.
pub fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request makes no sense", detail)
}

/// The body is no change that could be read.
pub fn unreadable(rejection: &JsonRejection) -> Problem {
    match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            let detail = "send the change as JSON, with `Content-Type: application/json`";
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type-not-json", "Not JSON", detail)
        }
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => bad_request(rejection.body_text()),
    }
}

/// What is to be changed is not what was read.
pub fn stale(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "Changed meanwhile", detail)
}

/// The body holds more than is taken.
pub fn too_large() -> Problem {
    let detail = format!("a change holds at most {} bytes", super::BODY_LIMIT_BYTES);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
}

/// There is no such ticket.
pub fn no_ticket(ticket: &str) -> Problem {
    let detail = format!("there is no ticket {ticket}: GET /api/tickets lists them");
    Problem::new(StatusCode::NOT_FOUND, "ticket-not-found", "No such ticket", detail)
}

/// There is no such event.
pub fn no_event(source: &str, event_id: &str) -> Problem {
    let detail = format!(
        "no event {event_id} of {source} is pending, applied or dead: GET /api/events lists them; it may still be in RabbitMQ"
    );
    Problem::new(StatusCode::NOT_FOUND, "event-not-found", "No such event", detail)
}

/// There is no such job.
pub fn no_job(job: &str) -> Problem {
    let detail = format!("there is no job {job}: GET /api/jobs lists them");
    Problem::new(StatusCode::NOT_FOUND, "job-not-found", "No such job", detail)
}

/// There is no such campaign.
pub fn no_campaign(campaign: &str) -> Problem {
    let detail = format!("there is no campaign {campaign}: GET /api/campaigns lists them");
    Problem::new(StatusCode::NOT_FOUND, "campaign-not-found", "No such campaign", detail)
}

/// There is no such member.
pub fn no_member(user_id: impl std::fmt::Display) -> Problem {
    let detail = format!("there is no account {user_id}, or it was deleted");
    Problem::new(StatusCode::NOT_FOUND, "member-not-found", "No such member", detail)
}

/// The database did not answer, or rejected a statement; the caller learns no more than that.
pub fn database(error: &sqlx::Error) -> Problem {
    if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::Tls(_)) {
        tracing::warn!(%error, "the database is out of reach");
        let detail = "try again in some seconds";
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "database-away",
            "The database is out of reach",
            detail,
        );
    }
    tracing::error!(%error, "the database rejected a query");
    Problem::internal()
}
