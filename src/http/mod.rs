//! HTTP for all endpoints: a connection limit, problem documents, and a throttle for rejected requests.
//!
//! [`listener`] accepts within [`connection_limit`], which evicts the longest idle one ([`eviction`]);
//! [`throttle`] and [`log_limit`] bound what rejected requests may cost; [`problem`] is the error response,
//! [`problem_docs`] explains each; [`readiness`] checks the dependencies in the background, and [`health`] shows them.
//! [`secret`], [`auth_failures`] and [`rate_limit`] are for whoever checks tokens and passwords.

pub(crate) mod auth_failures;
pub mod connection_limit;
pub(crate) mod eviction;
pub mod fallbacks;
pub mod health;
pub mod listener;
pub(crate) mod log_limit;
pub mod problem;
pub(crate) mod problem_docs;
pub(crate) mod rate_limit;
pub mod readiness;
pub(crate) mod secret;
pub(crate) mod throttle;
