//! The problems that several endpoints have in common.

use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

use crate::receive::problem::Problem;

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
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("a change holds at most {} bytes", super::BODY_LIMIT_BYTES);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
        }
        _ => bad_request(rejection.body_text()),
    }
}

/// There is no such ticket.
pub fn no_ticket(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "ticket-not-found", "No such ticket", detail)
}

/// There is no such member.
pub fn no_member(user_id: impl std::fmt::Display) -> Problem {
    let detail = format!("there is no account {user_id}, or it was deleted");
    Problem::new(StatusCode::NOT_FOUND, "member-not-found", "No such member", detail)
}

/// The database did not answer, or refused; the caller learns no more than that.
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
    tracing::error!(%error, "the database refused a query");
    Problem::internal()
}
