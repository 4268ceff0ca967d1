//! The filter as a line of terms: `type:invoice.* state:dead since:2h`. Each term is a parameter of the list's address.

use super::list::Params;
use crate::console::html::error::PageError;
use crate::console::html::query;

/// The longest line, in bytes.
const MAX_BYTES: usize = 2_000;

/// The filter that a line says.
///
/// # Errors
/// A term is none of the list's, or is there twice.
pub(super) fn parse(line: &str) -> Result<Params, PageError> {
    if line.len() > MAX_BYTES {
        return Err(PageError::Invalid(format!("A search holds at most {MAX_BYTES} bytes.")));
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, value) in terms(line)? {
        let name = Params::FILTERS.into_iter().find(|known| *known == name).ok_or_else(|| unknown(&name))?;
        if pairs.iter().any(|(before, _)| *before == name) {
            return Err(PageError::Invalid(format!("{name} is there twice; each term is there once.")));
        }
        pairs.push((name, value));
    }
    query::of_pairs(pairs.into_iter().map(|(name, value)| (name.into(), value.into())))
}

fn unknown(term: &str) -> PageError {
    let known = Params::FILTERS.map(|name| format!("{name}:"));
    PageError::Invalid(format!("{term:?} is no term. A term is one of {}.", known.join(", ")))
}

/// The names and values of a line. A value with spaces stands in quotes.
fn terms(line: &str) -> Result<Vec<(String, String)>, PageError> {
    let mut terms = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let (name, _) = word.split_once(':').ok_or_else(|| unknown(word))?;
        let behind = &rest[name.len() + 1..];
        let (value, left) = match behind.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once('"')
                .ok_or_else(|| PageError::Invalid(format!("The value of {name} has no closing quote.")))?,
            None => behind.split_at(behind.find(char::is_whitespace).unwrap_or(behind.len())),
        };
        terms.push((name.to_owned(), value.to_owned()));
        rest = left.trim_start();
    }
    Ok(terms)
}

/// The line that says the same as a filter.
pub(super) fn line(params: &Params) -> String {
    let given = params.filters().into_iter().filter(|(_, value)| !value.is_empty());
    let terms = given.map(|(name, value)| {
        if value.contains(char::is_whitespace) {
            format!("{name}:\"{value}\"")
        } else {
            format!("{name}:{value}")
        }
    });
    terms.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_each_filter() {
        let said = "source:stripe type:invoice.* object:sub_1 related:true member:ada@example.com state:dead \
                    since:2026-01-01T00:00:00Z until:2h";
        let params = parse(said).unwrap();
        let expected = [
            ("source", "stripe"),
            ("type", "invoice.*"),
            ("object", "sub_1"),
            ("related", "true"),
            ("member", "ada@example.com"),
            ("state", "dead"),
            ("since", "2026-01-01T00:00:00Z"),
            ("until", "2h"),
        ];
        assert_eq!(params.filters(), expected);
        assert_eq!(line(&params), said);
        let spaced = parse("  object:\"a b\"   state:dead ").unwrap();
        assert_eq!(line(&spaced), "object:\"a b\" state:dead");
        assert_eq!(parse("").unwrap(), Params::default());
    }

    #[test]
    fn a_line_that_says_nothing_known_is_refused() {
        for (wrong, says) in [
            ("in_1", "\"in_1\" is no term. A term is one of source:, type:"),
            ("colour:red", "\"colour\" is no term"),
            ("columns:at", "\"columns\" is no term"),
            ("state:dead state:dead", "state is there twice"),
            ("object:\"a b", "no closing quote"),
            (&"x".repeat(MAX_BYTES + 1), "at most 2000 bytes"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
