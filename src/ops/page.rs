//! Pagination in both directions: opaque cursors for the positions before and after a page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use crate::database;

/// The default number of rows on a page.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most rows on one page.
pub const MAX_LIMIT: u32 = 200;

/// Not a cursor that came with a page of this list, or of one with other filters or in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid cursor: use next_cursor or prev_cursor of a page of this list with the same filters and sort, or omit it"
)]
pub struct InvalidCursor;

/// The page is invalid, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A page holds at least one row, and not too many.
    #[error("invalid limit: expected 1 to {MAX_LIMIT}")]
    Limit,
    /// Not a cursor that came with a page.
    #[error("{}", InvalidCursor)]
    Cursor,
    /// A filter that cannot be used; says why.
    #[error("{0}")]
    Filter(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Validates `limit`.
pub(crate) fn checked(limit: u32) -> Result<usize, PageError> {
    if (1..=MAX_LIMIT).contains(&limit) { Ok(limit as usize) } else { Err(PageError::Limit) }
}

/// One more row than fits shows whether there is a next page.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Ends the query of a page that lists by a `moment` and the id, both descending: continues at `cursor` and reads one more
/// row than `limit`. Returns the direction; `None`: from the beginning.
pub(super) fn push_seek_by_moment(
    query: &mut QueryBuilder<Postgres>,
    moment: &'static str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Option<Seek>, PageError> {
    let from = cursor.map(decode).transpose()?;
    let seek = from.as_ref().map(|(seek, _)| *seek);
    let (beyond, order) = seek.unwrap_or_default().descending();
    if let Some((_, [at, id])) = from {
        let id: i64 = id.parse().map_err(|_| PageError::Cursor)?;
        query.push(format_args!(" and ({moment}, id){beyond}(")).push_bind(to_moment(&at)?);
        query.push(", ").push_bind(id).push(")");
    }
    query.push(format_args!(" order by {moment}{order}, id{order} limit ")).push_bind(one_more(limit));
    Ok(seek)
}

/// Where a page that lists by the id alone continues; `None`: from the beginning.
pub(super) fn decode_id(cursor: Option<&str>) -> Result<Option<(Seek, i64)>, PageError> {
    let Some((seek, [id])) = cursor.map(decode).transpose()? else { return Ok(None) };
    Ok(Some((seek, id.parse().map_err(|_| PageError::Cursor)?)))
}

/// Ends the query of a page that lists by the id alone, descending: continues at `from` and reads at most `limit` rows.
pub(super) fn push_seek_by_id(query: &mut QueryBuilder<Postgres>, from: Option<(Seek, i64)>, limit: i64) {
    let (beyond, order) = from.map_or(Seek::default(), |(seek, _)| seek).descending();
    if let Some((_, id)) = from {
        query.push(" and id").push(beyond).push_bind(id);
    }
    query.push(" order by id").push(order).push(" limit ").push_bind(limit);
}

/// The direction of a page from its cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seek {
    /// The rows after it.
    #[default]
    Forward,
    /// The rows just before it: rows inserted meanwhile at the beginning of the list do not matter.
    Backward,
}

impl Seek {
    /// The comparison with the position and the order of reading, for a list in descending order.
    pub(super) const fn descending(self) -> (&'static str, &'static str) {
        match self {
            Self::Forward => (" < ", " desc"),
            Self::Backward => (" > ", " asc"),
        }
    }

    /// The same for a list in ascending order.
    pub(super) const fn ascending(self) -> (&'static str, &'static str) {
        match self {
            Self::Forward => (" > ", " asc"),
            Self::Backward => (" < ", " desc"),
        }
    }
}

/// The cursors of the next and previous pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Neighbours {
    pub next: Option<String>,
    pub prev: Option<String>,
}

/// Whether a page read by `seek` (`None`: the first) has a next and a previous one; `more`: whether there are more rows in
/// that direction.
pub(super) const fn has_neighbours(seek: Option<Seek>, more: bool) -> (bool, bool) {
    match seek {
        None => (more, false),
        // The previous page is the one it was reached from.
        Some(Seek::Forward) => (more, true),
        Some(Seek::Backward) => (true, more),
    }
}

/// Turns `rows`, read by `seek` from a position (`None`: from the beginning), into a page of `limit` rows in the order of
/// the list; returns the cursors of its neighbours.
pub(super) fn paginate<T, const N: usize>(
    rows: &mut Vec<T>,
    limit: usize,
    seek: Option<Seek>,
    place: impl Fn(&T) -> [String; N],
) -> Neighbours {
    let more = rows.len() > limit;
    rows.truncate(limit);
    if seek == Some(Seek::Backward) {
        rows.reverse();
    }
    let (has_next, has_prev) = has_neighbours(seek, more);
    Neighbours {
        next: rows.last().filter(|_| has_next).map(|row| encode(Seek::Forward, place(row))),
        prev: rows.first().filter(|_| has_prev).map(|row| encode(Seek::Backward, place(row))),
    }
}

/// The first part of a cursor to a previous page.
const BACK: &str = "<";

/// Encodes a position and a direction as a cursor.
pub(super) fn encode<const N: usize>(seek: Seek, place: [String; N]) -> String {
    let parts: Vec<String> =
        (seek == Seek::Backward).then(|| BACK.to_owned()).into_iter().chain(place).collect();
    // Strings always serialise.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&parts).unwrap_or_default())
}

/// Decodes a cursor.
pub(super) fn decode<const N: usize>(cursor: &str) -> Result<(Seek, [String; N]), PageError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::Cursor)?;
    let mut parts: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| PageError::Cursor)?;
    // Postgres text cannot hold NUL.
    if parts.iter().any(|part| part.contains('\0')) {
        return Err(PageError::Cursor);
    }
    let is_back = parts.len() == N + 1 && parts[0] == BACK;
    if is_back {
        parts.remove(0);
    }
    let place = parts.try_into().map_err(|_| PageError::Cursor)?;
    Ok((if is_back { Seek::Backward } else { Seek::Forward }, place))
}

/// How many rows of a list match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = MatchCount)]
pub struct Count {
    /// At most 10,000 are counted.
    pub rows: i64,
    /// Whether there are more.
    pub is_capped: bool,
}

/// The most rows that are counted.
const COUNTED_MAX: i64 = 10_000;
/// Counting is limited to half a second: a filter that few of many rows match can take very long.
const BOUND: &str = "set local statement_timeout = 500";
/// The SQLSTATE of a statement that was cancelled by the timeout.
const TOO_LONG: &str = "57014";

/// Begins a statement that counts: a `select` without order and limit follows, and [`count`] ends it.
pub(super) fn counting() -> QueryBuilder<Postgres> {
    QueryBuilder::new("select count(*) from (")
}

/// Ends reading where counting ends.
pub(super) fn push_cap(query: &mut QueryBuilder<Postgres>) {
    query.push(" limit ").push_bind(COUNTED_MAX + 1);
}

/// Counts what a statement begun by [`counting`] selects; `None` if that takes too long.
pub(super) async fn count(
    pool: &PgPool,
    mut query: QueryBuilder<Postgres>,
) -> Result<Option<Count>, sqlx::Error> {
    push_cap(&mut query);
    query.push(") matching");
    let mut reading = database::begin_read_only(pool).await?;
    sqlx::query(BOUND).execute(&mut *reading).await?;
    match query.build_query_scalar::<i64>().persistent(false).fetch_one(&mut *reading).await {
        Ok(rows) => Ok(Some(Count { rows: rows.min(COUNTED_MAX), is_capped: rows > COUNTED_MAX })),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(TOO_LONG) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A timestamp as part of a position.
pub(super) fn from_moment(moment: OffsetDateTime) -> String {
    moment.unix_timestamp_nanos().to_string()
}

/// The timestamp of a part of a position.
pub(super) fn to_moment(part: &str) -> Result<OffsetDateTime, PageError> {
    moment(part).ok_or(PageError::Cursor)
}

/// A moment that Postgres can hold too: its years go back to 4713 BC, so any of our era does.
pub(super) fn moment(nanos: &str) -> Option<OffsetDateTime> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().ok()?).ok()?;
    (moment.year() >= 1).then_some(moment)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_round_trip(moment: i64, text in "[^\0]*", back: bool) {
            let (seek, place) = (if back { Seek::Backward } else { Seek::Forward }, [moment.to_string(), text]);
            prop_assert_eq!(decode(&encode(seek, place.clone())).unwrap(), (seek, place));
        }

        #[test]
        fn any_text_as_cursor_does_not_panic(text in ".*") {
            prop_assert!(decode::<2>(&text).is_err());
        }
    }

    #[test]
    fn foreign_cursor_or_nul_is_rejected() {
        let of = |place| encode(Seek::Forward, place);
        for wrong in [
            encode(Seek::Forward, ["1".to_owned()]),
            of(["1".to_owned(), "a\0".to_owned()]),
            encode(Seek::Backward, ["1".to_owned(), "2".to_owned(), "3".to_owned()]),
        ] {
            assert!(decode::<2>(&wrong).is_err(), "{wrong}");
        }
        assert!(to_moment("-99999999999999999999").is_err());
    }

    #[test]
    fn a_page_names_the_places_of_its_neighbours() {
        let ends = |seek, rows: &[u8]| {
            let mut rows = rows.to_vec();
            let Neighbours { next, prev } = paginate(&mut rows, 2, seek, |row| [row.to_string()]);
            let place = |cursor: Option<String>| cursor.map(|it| decode::<1>(&it).unwrap().1[0].clone());
            (rows, place(prev), place(next))
        };
        let at = |place: &str| Some(place.to_owned());
        assert_eq!(ends(None, &[1, 2]), (vec![1, 2], None, None));
        assert_eq!(ends(None, &[1, 2, 3]), (vec![1, 2], None, at("2")));
        assert_eq!(ends(Some(Seek::Forward), &[3, 4]), (vec![3, 4], at("3"), None));
        assert_eq!(ends(Some(Seek::Forward), &[3, 4, 5]), (vec![3, 4], at("3"), at("4")));
        assert_eq!(ends(Some(Seek::Backward), &[4, 3, 2]), (vec![3, 4], at("3"), at("4")));
        assert_eq!(ends(Some(Seek::Backward), &[2, 1]), (vec![1, 2], None, at("2")));
        assert_eq!(ends(Some(Seek::Forward), &[]), (vec![], None, None));
    }
}
