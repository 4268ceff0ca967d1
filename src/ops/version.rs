//! Versions (entity tags) of manual settings, against lost updates.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The length of a version, in hexadecimal digits.
const DIGITS: usize = 32;

/// The version of a state.
pub(super) fn of(state: &impl Serialize) -> String {
    // Strings and numbers always serialise.
    let text = serde_json::to_vec(state).unwrap_or_default();
    let mut version = hex::encode(Sha256::digest(text));
    version.truncate(DIGITS);
    version
}

/// The expected version of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any version.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Expected {
    /// Parses If-Match: `*`, or quoted entity tags. A weak one never matches.
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
    fn if_match_parses_any_or_several_versions() {
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
    fn different_states_have_different_versions() {
        assert_eq!(of(&("a", 1)).len(), DIGITS);
        assert_ne!(of(&("a", Some("b"))), of(&("a", None::<&str>)));
    }
}
