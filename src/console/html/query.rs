//! What several lists have in common: their query strings, and a page of them or why there is none.

use axum::http::StatusCode;
use time::OffsetDateTime;

use super::page::PageError;
use crate::ops::ledger::parse_since;
use crate::ops::page::PageError as ListError;

/// A page of a list as it is shown, or why there is none.
pub(in crate::console) struct Listed<T> {
    pub status: StatusCode,
    pub rows: Vec<T>,
    /// The address of the next page.
    pub next: Option<String>,
    pub error: Option<String>,
}

impl<T> Listed<T> {
    /// What was `found`: rows and the next page's cursor, or what is wrong with the query string.
    pub(in crate::console) fn of(
        found: Result<(Vec<T>, Option<String>), String>,
        address: impl Fn(&str) -> String,
    ) -> Self {
        match found {
            Ok((rows, cursor)) => {
                let next = cursor.map(|cursor| address(&cursor));
                Self { status: StatusCode::OK, rows, next, error: None }
            }
            Err(detail) => {
                let (status, error) = (StatusCode::BAD_REQUEST, Some(detail));
                Self { status, rows: Vec::new(), next: None, error }
            }
        }
    }
}

/// A list's answer; what is wrong with the query string is said on the page.
pub(in crate::console) fn said<T>(found: Result<T, ListError>) -> Result<Result<T, String>, PageError> {
    match found {
        Err(ListError::Database(error)) => Err(error.into()),
        found => Ok(found.map_err(|error| error.to_string())),
    }
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

/// What a field says; nothing where it is empty, which is what a form sends for "any".
pub(in crate::console) fn text(name: &str, value: &str) -> Result<Option<String>, String> {
    let value = value.trim();
    if value.contains('\0') {
        return Err(format!("{name} holds no NUL character"));
    }
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
}

/// The moment that a field says: a date, or a date and a time.
pub(in crate::console) fn moment(name: &str, value: &str) -> Result<Option<OffsetDateTime>, String> {
    let given = Some(value.trim()).filter(|value| !value.is_empty());
    given.map(parse_since).transpose().map_err(|invalid| format!("{name}: {invalid}"))
}
