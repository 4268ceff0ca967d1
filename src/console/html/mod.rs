//! What all pages are made with.

pub(super) mod chart;
pub(super) mod columns;
pub(super) mod confirm;
pub(super) mod error;
pub(super) mod format;
pub(super) mod headers;
pub(super) mod page;
pub(super) mod query;
pub(super) mod selection;
