//! Who may ask, and how often.

pub(super) mod allowance;
pub(crate) mod bearer;
pub(super) mod caller;
pub(crate) mod rejects;
