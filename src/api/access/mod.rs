//! Who may ask, and how often.

pub(crate) mod allowance;
pub(crate) mod bearer;
pub(super) mod caller;
pub(crate) mod rejects;
