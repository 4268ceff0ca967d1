//! Who may ask, and how often.

pub(super) mod bearer;
pub(super) mod caller;
