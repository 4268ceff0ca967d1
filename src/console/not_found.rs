//! Addresses below `/console` that no page has.

use super::html::error::PageError;

/// Says so.
pub(super) async fn show() -> PageError {
    PageError::NotFound
}
