//! What lists have in common that are read a page at a time: the place where a page ends, as text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;

use super::members::moment;

/// The rows on a page where nothing else is said.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most rows on one page.
pub const MAX_LIMIT: u32 = 200;

/// There is no such page, or it could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A page holds at least one row, and not too many.
    #[error("limit is 1 to {MAX_LIMIT}")]
    Limit,
    /// Not a cursor that came with a page.
    #[error("the cursor is not one that a page of this list gave; start again without it")]
    Cursor,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// How many rows a page of `limit` holds.
pub(crate) fn checked(limit: u32) -> Result<usize, PageError> {
    if (1..=MAX_LIMIT).contains(&limit) { Ok(limit as usize) } else { Err(PageError::Limit) }
}

/// One row more than fits tells whether there is a next page.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts `rows` to `limit`, and names the place of the last one where there are more.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Option<String> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| has_more).map(place)
}

/// The text that stands for a place.
pub(super) fn encode<const N: usize>(place: [String; N]) -> String {
    // Texts always have a JSON form.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place[..]).unwrap_or_default())
}

/// The place that a text stands for.
pub(super) fn decode<const N: usize>(cursor: &str) -> Result<[String; N], PageError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::Cursor)?;
    let place: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| PageError::Cursor)?;
    // Postgres takes no NUL in a text.
    if place.iter().any(|part| part.contains('\0')) {
        return Err(PageError::Cursor);
    }
    place.try_into().map_err(|_| PageError::Cursor)
}

/// A moment as part of a place.
pub(super) fn from_moment(moment: OffsetDateTime) -> String {
    moment.unix_timestamp_nanos().to_string()
}

/// The moment that a part of a place stands for.
pub(super) fn to_moment(part: &str) -> Result<OffsetDateTime, PageError> {
    moment(part).ok_or(PageError::Cursor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_read_back(moment: i64, text in "[^\0]*") {
            let place = [moment.to_string(), text];
            prop_assert_eq!(decode(&encode(place.clone())).unwrap(), place);
        }

        #[test]
        fn any_text_is_a_place_or_refused(text in ".*") {
            prop_assert!(decode::<2>(&text).is_err());
        }
    }

    #[test]
    fn a_place_of_another_list_or_with_nul_is_refused() {
        for wrong in [encode(["1".to_owned()]), encode(["1".to_owned(), "a\0".to_owned()])] {
            assert!(decode::<2>(&wrong).is_err(), "{wrong}");
        }
        assert!(to_moment("-99999999999999999999").is_err());
    }
}
