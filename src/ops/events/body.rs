//! Bodies as they came: their numbers are not rounded and their fields not sorted, as parsing them to values would do.

use serde_json::value::{RawValue, to_raw_value};

/// The deepest nesting that is indented: deeper, the indents alone could take any space.
const DEPTH_MAX: usize = 100;

/// A body as JSON, else as a JSON string of its text.
#[must_use]
pub fn body(bytes: &[u8]) -> Box<RawValue> {
    let text = || to_raw_value(&String::from_utf8_lossy(bytes)).unwrap_or_default();
    serde_json::from_slice(bytes).unwrap_or_else(|_| text())
}

/// A body for reading: JSON in lines, anything else as text.
#[must_use]
pub fn lines(bytes: &[u8]) -> String {
    let indented = tokens(bytes).and_then(indent);
    indented.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

/// A piece of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `{` or `[`.
    Open(char),
    /// `}` or `]`.
    Close(char),
    Comma,
    /// Behind a key.
    Colon,
    /// A key or a string, with its quotes and escapes; a number, `true`, `false` or `null`.
    Scalar(&'a str),
}

/// The pieces of a body; `None` unless it is JSON.
pub(super) fn tokens(bytes: &[u8]) -> Option<impl Iterator<Item = Token<'_>>> {
    let whole: &RawValue = serde_json::from_slice(bytes).ok()?;
    Some(Tokens { rest: whole.get() })
}

/// What is left of a valid JSON text.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        let length = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => string_length(self.rest),
            _ => self.rest.find([',', ':', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(self.rest.len()),
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(match first {
            '{' | '[' => Token::Open(first),
            '}' | ']' => Token::Close(first),
            ',' => Token::Comma,
            ':' => Token::Colon,
            _ => Token::Scalar(text),
        })
    }
}

/// The length of the string that `text` begins with, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The pieces in lines; `None` if they are nested too deeply.
pub(super) fn indent<'a>(tokens: impl Iterator<Item = Token<'a>>) -> Option<String> {
    let (mut text, mut depth) = (String::new(), 0_usize);
    let mut tokens = tokens.peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Open(open) => {
                text.push(open);
                if let Some(Token::Close(close)) = tokens.next_if(|next| matches!(next, Token::Close(_))) {
                    text.push(close);
                    continue;
                }
                depth += 1;
                if depth > DEPTH_MAX {
                    return None;
                }
                begin_line(&mut text, depth);
            }
            Token::Close(close) => {
                depth = depth.saturating_sub(1);
                begin_line(&mut text, depth);
                text.push(close);
            }
            Token::Comma => {
                text.push(',');
                begin_line(&mut text, depth);
            }
            Token::Colon => text.push_str(": "),
            Token::Scalar(scalar) => text.push_str(scalar),
        }
    }
    Some(text)
}

fn begin_line(text: &mut String, depth: usize) {
    text.push('\n');
    (0..depth).for_each(|_| text.push_str("  "));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn numbers_and_the_order_of_fields_stay_as_they_came() {
        let came =
            r#"{"z":12345678901234567890123,"a" : [1.10,1e400,-0.0], "e":{},"t":"a \"{,\\", "n":null}"#;
        let expected = r#"{
  "z": 12345678901234567890123,
  "a": [
    1.10,
    1e400,
    -0.0
  ],
  "e": {},
  "t": "a \"{,\\",
  "n": null
}"#;
        assert_eq!(lines(came.as_bytes()), expected);
        assert_eq!(body(came.as_bytes()).get(), came);
    }

    #[test]
    fn a_body_that_is_no_json_is_text() {
        assert_eq!(lines(b"a=1&b"), "a=1&b");
        assert_eq!(lines(b"\xff{"), "\u{fffd}{");
        assert_eq!(body(b"a=\"1\"").get(), r#""a=\"1\"""#);
        assert_eq!(lines(b" 1.10 "), "1.10");
    }

    #[test]
    fn a_deeply_nested_body_is_shown_as_it_came() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(lines(deep.as_bytes()), deep);
    }

    proptest! {
        #[test]
        fn indenting_changes_no_value(text in "[a-z\"\\\\{}\\[\\],: é]{0,20}", number: i64, list: Vec<bool>) {
            let value = serde_json::json!({"text": text, (text.clone()): [number, {"list": list}], "none": []});
            let indented = lines(value.to_string().as_bytes());
            prop_assert_eq!(&serde_json::from_str::<Value>(&indented).unwrap(), &value);
            prop_assert_eq!(indented, serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
