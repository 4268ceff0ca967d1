//! Long operations that run in the background.

pub(super) mod cancel_job;
pub(super) mod list_jobs;
pub(super) mod request_job;
pub(super) mod show_job;
