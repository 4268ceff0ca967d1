//! A position in a sorted list, as an opaque cursor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Member;
use super::sort::{IndexRange, Sort, SortBy};
use crate::ops::page::{InvalidCursor, Seek, moment};

/// The position of one member, after or before which a page begins. Stays valid if rows are added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Whether the page holds the members before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_back: bool,
    sort: Sort,
    /// The index of the member's range in the sort.
    // The name that cursors handed out so far have.
    #[serde(rename = "stretch")]
    pub(super) range: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    user_id: Uuid,
}

/// The sort key of the member in its range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Amount(i64),
    /// Nanoseconds since the Unix epoch, as text: JSON numbers are not that wide.
    Moment(String),
    Text(String),
}

impl Cursor {
    /// The position of `member` in the given range of `sort`, and the direction from there.
    pub(super) fn at(member: &Member, sort: Sort, range: usize, seek: Seek) -> Self {
        let keyed = sort.index_ranges().get(range).is_some_and(|range| range.key.is_some());
        let key = if keyed { key_of(member, sort.by) } else { None };
        Self { is_back: seek == Seek::Backward, sort, range, key, user_id: member.user_id }
    }

    /// The direction of the page.
    pub(super) const fn seek(&self) -> Seek {
        if self.is_back { Seek::Backward } else { Seek::Forward }
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> String {
        // A struct of numbers and texts always has a JSON form.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Decodes a position in a list sorted by `sort`.
    ///
    /// # Errors
    /// The text is not what [`Cursor::encode`] gave, or belongs to a list in another order.
    pub fn decode(text: &str, sort: Sort) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)?;
        let ranges = sort.index_ranges();
        let range = ranges.get(cursor.range).ok_or(InvalidCursor)?;
        if cursor.sort == sort && cursor.key_fits(*range) { Ok(cursor) } else { Err(InvalidCursor) }
    }

    fn key_fits(&self, range: IndexRange) -> bool {
        match (&self.key, self.sort.by) {
            (None, _) => range.key.is_none(),
            (Some(_), _) if range.key.is_none() => false,
            (Some(Key::Amount(_)), by) => matches!(by, SortBy::Mrr | SortBy::Ltv | SortBy::TotalSpent),
            (Some(Key::Moment(text)), by) => {
                matches!(by, SortBy::CreatedAt | SortBy::LastLoginAt) && moment(text).is_some()
            }
            (Some(Key::Text(text)), by) => matches!(by, SortBy::Email | SortBy::Name) && !text.contains('\0'),
        }
    }

    /// Adds the values for a row comparison with this position: the key, if there is one, and the id.
    pub(super) fn push_values(&self, query: &mut QueryBuilder<Postgres>) {
        match &self.key {
            None => {}
            Some(Key::Amount(amount)) => {
                query.push_bind(*amount).push(", ");
            }
            Some(Key::Moment(text)) => {
                query.push_bind(moment(text)).push(", ");
            }
            Some(Key::Text(text)) => {
                query.push_bind(text.clone()).push(", ");
            }
        }
        query.push_bind(self.user_id);
    }
}

fn key_of(member: &Member, by: SortBy) -> Option<Key> {
    let of_moment = |moment: OffsetDateTime| Key::Moment(moment.unix_timestamp_nanos().to_string());
    match by {
        SortBy::CreatedAt => member.created_at.map(of_moment),
        SortBy::LastLoginAt => member.last_login_at.map(of_moment),
        SortBy::Email => member.email.clone().map(Key::Text),
        SortBy::Name => member.name_key.clone().map(Key::Text),
        SortBy::Mrr => Some(Key::Amount(member.mrr)),
        SortBy::Ltv => Some(Key::Amount(member.ltv)),
        SortBy::TotalSpent => Some(Key::Amount(member.total_spent)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sort::Direction;
    use super::*;

    fn by(by: SortBy) -> Sort {
        Sort { by, direction: Direction::Desc }
    }

    fn cursor(sort: Sort, range: usize, key: Option<Key>) -> Cursor {
        Cursor { is_back: false, sort, range, key, user_id: Uuid::nil() }
    }

    #[test]
    fn a_cursor_reads_back_in_its_own_order_only() {
        let name = cursor(by(SortBy::Name), 0, Some(Key::Text("ada".to_owned())));
        assert_eq!(Cursor::decode(&name.encode(), by(SortBy::Name)), Ok(name.clone()));
        assert_eq!(Cursor::decode(&name.encode(), by(SortBy::Email)), Err(InvalidCursor));
        let other_way = Sort { by: SortBy::Name, direction: Direction::Asc };
        assert_eq!(Cursor::decode(&name.encode(), other_way), Err(InvalidCursor));
        let back = Cursor { is_back: true, ..name };
        assert_eq!(Cursor::decode(&back.encode(), by(SortBy::Name)).unwrap().seek(), Seek::Backward);
    }

    #[test]
    fn a_cursor_that_no_page_can_have_given_is_refused() {
        for wrong in [
            cursor(by(SortBy::Mrr), 3, Some(Key::Amount(1))),
            cursor(by(SortBy::Mrr), 0, None),
            cursor(by(SortBy::Mrr), 1, Some(Key::Amount(1))),
            cursor(by(SortBy::Mrr), 0, Some(Key::Text("1".to_owned()))),
            cursor(by(SortBy::Name), 0, Some(Key::Text("a\0".to_owned()))),
            cursor(by(SortBy::CreatedAt), 0, Some(Key::Moment("soon".to_owned()))),
            cursor(by(SortBy::CreatedAt), 0, Some(Key::Moment("-99999999999999999999".to_owned()))),
        ] {
            assert_eq!(Cursor::decode(&wrong.encode(), wrong.sort), Err(InvalidCursor), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_cursor_or_refused(text in ".*") {
            prop_assert_eq!(Cursor::decode(&text, Sort::default()), Err(InvalidCursor));
        }

        #[test]
        fn any_key_reads_back(amount: i64, text in "[^\0]*") {
            for (sort, key) in [(SortBy::Ltv, Key::Amount(amount)), (SortBy::Email, Key::Text(text))] {
                let cursor = cursor(by(sort), 0, Some(key));
                prop_assert_eq!(Cursor::decode(&cursor.encode(), by(sort)), Ok(cursor));
            }
        }
    }
}
