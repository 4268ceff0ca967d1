//! The rows that an act on a list is for: those that were selected, or all that match the list's filter.

use serde::de::DeserializeOwned;

use super::error::PageError;
use super::query;

/// What a list's form selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::console) struct Selection<P> {
    /// The values of the ticked boxes.
    pub rows: Vec<String>,
    /// All that match the filter, whatever is ticked.
    pub is_all: bool,
    /// The list's filter.
    pub params: P,
}

impl<P: DeserializeOwned> Selection<P> {
    /// Reads a form's body, whose boxes are called `row`. `other` takes the fields that belong to neither the selection
    /// nor the filter, and returns whether it knows the field.
    ///
    /// # Errors
    /// [`PageError::Invalid`] for a field that nobody knows.
    pub(in crate::console) fn parse(
        body: &[u8],
        row: &str,
        mut other: impl FnMut(&str, &str) -> bool,
    ) -> Result<Self, PageError> {
        let (mut rows, mut is_all, mut filter) = (Vec::new(), false, Vec::new());
        for (name, value) in form_urlencoded::parse(body) {
            match name.as_ref() {
                "all" => is_all = value == "yes",
                name if name == row => rows.push(value.into_owned()),
                name if other(name, &value) => {}
                _ => filter.push((name, value)),
            }
        }
        Ok(Self { rows, is_all, params: query::of_pairs(filter)? })
    }
}
