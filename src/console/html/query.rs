//! What several lists have in common: their query strings, and a page of them or why there is none.

use std::borrow::Cow;

use axum::http::{StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::error::PageError;
use crate::ops::ledger::{InvalidMoment, parse_moment, parse_since};

/// Rows, and the cursors of the pages before and after.
pub(in crate::console) struct Rows<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
    pub prev: Option<String>,
}

/// The addresses of the pages before and after one: `pages.html` shows them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::console) struct Pages {
    /// None on the first.
    pub first: Option<String>,
    pub prev: Option<String>,
    pub next: Option<String>,
}

/// A page of a list as it is shown, or why there is none.
pub(in crate::console) struct Listed<T> {
    pub status: StatusCode,
    pub rows: Vec<T>,
    pub pages: Pages,
    pub error: Option<String>,
}

impl<T> Listed<T> {
    /// What was `read` at `cursor` (empty: the beginning), or what is wrong with the query string; `address` is that of
    /// the list at a cursor.
    ///
    /// # Errors
    /// Any other error than [`PageError::Invalid`], which the page shows in place of rows.
    pub(in crate::console) fn of(
        read: Result<Rows<T>, PageError>,
        cursor: &str,
        address: impl Fn(&str) -> String,
    ) -> Result<Self, PageError> {
        match read {
            Ok(Rows { rows, next, prev }) => {
                let at = |cursor: Option<String>| cursor.map(|cursor| address(&cursor));
                let first = (!cursor.is_empty()).then(|| address(""));
                let pages = Pages { first, prev: at(prev), next: at(next) };
                Ok(Self { status: StatusCode::OK, rows, pages, error: None })
            }
            Err(PageError::Invalid(detail)) => {
                let (status, error) = (StatusCode::BAD_REQUEST, Some(detail));
                Ok(Self { status, rows: Vec::new(), pages: Pages::default(), error })
            }
            Err(error) => Err(error),
        }
    }
}

/// The query string of an address.
pub(in crate::console) fn of(address: &str) -> String {
    address.split_once('?').map_or_else(String::new, |(_, query)| query.to_owned())
}

/// The cursor that a query string says.
pub(in crate::console) fn cursor(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The address of the list at `path` with those of `pairs` that say something.
pub(in crate::console) fn address<'a>(
    path: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// What the query string of an address says. Of a name that is there several times, which boxes of one name send, the
/// values are joined by commas.
///
/// # Errors
/// A name is none of the list's.
pub(in crate::console) fn parse<T: DeserializeOwned>(uri: &Uri) -> Result<T, PageError> {
    of_pairs(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()))
}

/// The same of pairs that are decoded already.
///
/// # Errors
/// A name is none of the list's.
pub(in crate::console) fn of_pairs<'a, T: DeserializeOwned>(
    pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<T, PageError> {
    let mut fields: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        let values = match fields.get(name.as_ref()).and_then(Value::as_str) {
            Some(values) => format!("{values},{value}"),
            None => value.into_owned(),
        };
        fields.insert(name.into_owned(), values.into());
    }
    serde_json::from_value(fields.into()).map_err(|error| PageError::Invalid(error.to_string()))
}

/// The addresses of a list apart from its page: `downloads.html` shows them.
pub(in crate::console) struct Downloads {
    /// Where the list can be had whole, by what each form is called.
    pub files: [(&'static str, String); 2],
    /// Where it is counted.
    pub count: String,
}

/// Where the list at this address can be had whole, and where it is counted.
pub(in crate::console) fn downloads<'a>(
    list: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
) -> Downloads {
    let at = |ending: &str| address(&format!("{list}.{ending}"), pairs.clone());
    Downloads { files: [("CSV", at("csv")), ("JSON", at("json"))], count: at("count") }
}

/// What the audit log keeps of a filter: not what a person typed, which may be personal data.
pub(in crate::console) fn audited(filters: &[(&'static str, &str)]) -> Value {
    let shown = |(name, value): &(&str, &str)| {
        let is_typed = *name == "text" || *name == "member" && value.parse::<Uuid>().is_err();
        let value = if is_typed { "given" } else { value };
        ((*name).to_owned(), Value::from(value))
    };
    filters.iter().filter(|(_, value)| !value.is_empty()).map(shown).collect()
}

/// What a field says; nothing where it is empty, which is what a form sends for "any".
pub(in crate::console) fn text(name: &str, value: &str) -> Result<Option<String>, PageError> {
    let value = value.trim();
    if value.contains('\0') {
        return Err(PageError::Invalid(format!("{name} holds no NUL character")));
    }
    Ok(given(value))
}

/// The text of a field without the spaces around it, unless it is empty.
pub(in crate::console) fn given(value: &str) -> Option<String> {
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// One of the words that a field can say.
pub(in crate::console) fn one_of(
    name: &str,
    value: &str,
    known: &[&str],
) -> Result<Option<String>, PageError> {
    match value {
        "" => Ok(None),
        value if known.contains(&value) => Ok(Some(value.to_owned())),
        value => Err(PageError::Invalid(crate::ops::unknown_value(name, value, known))),
    }
}

/// The user whose id a field says.
pub(in crate::console) fn user(name: &str, value: &str) -> Result<Option<Uuid>, PageError> {
    let parse = |text: String| {
        text.parse().map_err(|_| PageError::Invalid(format!("{name} is a user id; {text:?} is none")))
    };
    text(name, value)?.map(parse).transpose()
}

/// The moment that a field says: a date, or a date and a time.
pub(in crate::console) fn moment(name: &str, value: &str) -> Result<Option<OffsetDateTime>, PageError> {
    let moment = given(value).map(|value| parse_since(&value)).transpose();
    moment.map_err(|invalid| PageError::Invalid(format!("{name}: {invalid}")))
}

/// The moment that a field says: so long before `now` (`90s`, `15min`, `2h`, `7d`, `2w`), a date, or a date and a time.
pub(in crate::console) fn moment_or_age(
    name: &str,
    value: &str,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, PageError> {
    let before = age(value.trim()).and_then(|age| now.checked_sub(age));
    // What Postgres cannot hold is no age either.
    match before.filter(|moment| moment.year() >= 1) {
        Some(moment) => Ok(Some(moment)),
        None => moment(name, value),
    }
}

/// The units of an age, in seconds.
const AGES_S: [(&str, u32); 6] =
    [("s", 1), ("min", 60), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];

fn age(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let (_, seconds) = AGES_S.into_iter().find(|(name, _)| *name == unit)?;
    Some(Duration::seconds(i64::from(count.parse::<u32>().ok()?) * i64::from(seconds)))
}

/// The moment that a field says; of a date the end.
pub(in crate::console) fn end_of(value: &str) -> Result<Option<OffsetDateTime>, InvalidMoment> {
    given(value).map(|value| parse_moment(&value)).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_was_typed_is_not_audited() {
        let filters = [("status", "active"), ("text", "ada"), ("tier", "")];
        assert_eq!(audited(&filters), json!({"status": "active", "text": "given"}));
        let member = |value| audited(&[("member", value)])["member"].clone();
        assert_eq!(member("ada@example.com"), "given");
        let user_id = "ada00000-0000-4000-8000-000000000001";
        assert_eq!(member(user_id), user_id);
    }

    #[test]
    fn a_moment_is_also_said_as_an_age() {
        let now = datetime!(2026-11-20 12:00 UTC);
        for (text, expected) in [
            ("90s", datetime!(2026-11-20 11:58:30 UTC)),
            ("15min", datetime!(2026-11-20 11:45 UTC)),
            ("15m", datetime!(2026-11-20 11:45 UTC)),
            (" 2h ", datetime!(2026-11-20 10:00 UTC)),
            ("7d", datetime!(2026-11-13 12:00 UTC)),
            ("1w", datetime!(2026-11-13 12:00 UTC)),
            ("2026-11-01", datetime!(2026-11-01 0:00 UTC)),
        ] {
            assert_eq!(moment_or_age("since", text, now).unwrap(), Some(expected), "{text}");
        }
        assert_eq!(moment_or_age("since", "", now).unwrap(), None);
        for wrong in ["h", "2", "2y", "2 h", "-2h", "99999999999h", "4294967295w", "soon"] {
            assert!(moment_or_age("since", wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_one_name_are_joined() {
        let parsed = |uri: &str| parse::<Value>(&uri.parse().unwrap()).unwrap();
        assert_eq!(parsed("/x?a=1&b=%26&a=2"), json!({"a": "1,2", "b": "&"}));
        assert_eq!(parsed("/x"), json!({}));
    }
}
