//! What the query strings of several lists have in common.

use time::OffsetDateTime;

use crate::ops::ledger::parse_since;

/// The address of the list at `path` with those of `pairs` that say something.
pub(super) fn address<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// What a field says; nothing where it is empty, which is what a form sends for "any".
pub(super) fn text(name: &str, value: &str) -> Result<Option<String>, String> {
    let value = value.trim();
    if value.contains('\0') {
        return Err(format!("{name} holds no NUL character"));
    }
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
}

/// The moment that a field says: a date, or a date and a time.
pub(super) fn moment(name: &str, value: &str) -> Result<Option<OffsetDateTime>, String> {
    let given = Some(value.trim()).filter(|value| !value.is_empty());
    given.map(parse_since).transpose().map_err(|invalid| format!("{name}: {invalid}"))
}
