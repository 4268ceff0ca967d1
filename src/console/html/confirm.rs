//! Acts on many things are confirmed by typing how many there are.

use super::error::PageError;

/// More things than these are acted on only where their number was typed.
const UNCONFIRMED_MAX: i64 = 100;

/// Whether the number must be typed.
pub(in crate::console) const fn is_needed(count: i64) -> bool {
    count > UNCONFIRMED_MAX
}

/// Refuses an act on `count` things whose number was not `typed`.
///
/// # Errors
/// [`PageError::Invalid`]
pub(in crate::console) fn check(count: i64, things: &str, typed: &str) -> Result<(), PageError> {
    if is_needed(count) && typed.trim() != count.to_string() {
        return Err(PageError::Invalid(format!(
            "These are {count} {things}. Go back, type {count} next to the button, and press it again."
        )));
    }
    Ok(())
}
