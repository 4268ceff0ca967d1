//! Events: listed, shown one by one, and what operators do with them.

pub(super) mod acts;
mod chosen;
pub(super) mod fixture;
pub(super) mod list;
pub(super) mod replay;
mod search;
pub(super) mod show;
