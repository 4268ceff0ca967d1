//! What query strings have in common.

use time::OffsetDateTime;

use super::problem;
use crate::http::problem::Problem;
use crate::ops::ledger::parse_since;
use crate::ops::page::DEFAULT_LIMIT;

/// The moment that the parameter `name` says: a date, or a date and a time.
pub(super) fn moment(name: &str, value: Option<&str>) -> Result<Option<OffsetDateTime>, Problem> {
    let parsed = value.map(parse_since).transpose();
    parsed.map_err(|invalid| problem::bad_request(format!("{name}: {invalid}")))
}

/// A text that Postgres can look for.
pub(super) fn text(name: &str, value: Option<String>) -> Result<Option<String>, Problem> {
    match value {
        Some(text) if text.contains('\0') => {
            Err(problem::bad_request(format!("{name} holds no NUL character")))
        }
        value => Ok(value),
    }
}

/// An unknown value is an error, not a filter that matches nothing.
pub(super) fn one_of(name: &str, value: Option<&str>, words: &[&str]) -> Result<(), Problem> {
    match value {
        Some(value) if !words.contains(&value) => {
            Err(problem::bad_request(crate::ops::unknown_value(name, value, words)))
        }
        _ => Ok(()),
    }
}

/// How many rows a page holds.
pub(super) fn limit(limit: Option<u32>) -> u32 {
    limit.unwrap_or(DEFAULT_LIMIT)
}
