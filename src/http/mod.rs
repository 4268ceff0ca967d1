//! Serving HTTP, whoever asks: connections within bounds, problems as answers, rejections at a bounded rate.
//!
//! [`listener`] accepts within [`connection_limit`], which evicts who has waited longest ([`eviction`]); [`throttle`] and
//! [`rejection_log`] bound what rejected requests may cost; [`problem`] says what went wrong; [`readiness`] checks the
//! dependencies in the background.

pub mod connection_limit;
pub(crate) mod eviction;
pub mod listener;
pub mod problem;
pub mod readiness;
pub(crate) mod rejection_log;
pub(crate) mod throttle;
