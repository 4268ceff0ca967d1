//! The problems that several endpoints have in common.

use axum::http::StatusCode;

use crate::receive::problem::Problem;

/// The request makes no sense; `detail` says why.
pub fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request makes no sense", detail)
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
