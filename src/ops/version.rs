//! Versions of what people set, so that two who change the same thing do not overwrite each other unseen.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The length of a version, in hexadecimal digits.
const DIGITS: usize = 32;

/// What stands for a state, and for no other.
pub(super) fn of(state: &impl Serialize) -> String {
    // Texts and numbers always have a JSON form.
    let text = serde_json::to_vec(state).unwrap_or_default();
    let mut version = hex::encode(Sha256::digest(text));
    version.truncate(DIGITS);
    version
}

/// Which versions a change is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whichever there is.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Expected {
    /// As the header If-Match says it: `*`, or entity tags in quotes. A weak one is never the one that is there.
    #[must_use]
    pub fn of_header(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        let tags = header.split(',').filter_map(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"'));
        Self::OneOf(tags.map(str::to_owned).collect())
    }

    pub(super) fn is(&self, version: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.iter().any(|expected| expected == version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_any_version_or_some() {
        assert!(Expected::of_header(" * ").is("a"));
        for (header, expected) in [
            (r#""a""#, true),
            (r#""b", "a""#, true),
            (r#""b""#, false),
            (r#"W/"a""#, false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(Expected::of_header(header).is("a"), expected, "{header}");
        }
    }

    #[test]
    fn states_that_differ_have_other_versions() {
        assert_eq!(of(&("a", 1)).len(), DIGITS);
        assert_ne!(of(&("a", Some("b"))), of(&("a", None::<&str>)));
    }
}
