//! Breaks good input: bytes at random, and JSON where it hurts.

use fastrand::Rng;
use serde_json::Value;

/// A placeholder for what a `Value` cannot represent.
const MARK: &str = "@@nasty@@";
/// JSON of the wrong kind, size or text for almost any field.
const NASTY: [&str; 25] = [
    "null",
    "true",
    "0",
    "-1",
    "-0.0",
    "1e308",
    "1e999",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "123456789012345678901234567890",
    "253402300800",
    "0.1",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\u202e\u{1F9D1}\"",
    "[]",
    "{}",
    "[[[[{}]]]]",
    "{\"id\":{\"id\":null}}",
    "\"0000-01-01T00:00:00+23:59\"",
    "\"9999-12-31T23:59:59-23:59\"",
];
/// Bytes that end or begin something, or are no text.
const BYTES: &[u8] = b"\0\n\r\t \"'\\,.:;=|{}[]\x7f\x80\xc0\xff09azAZ";

/// Makes inputs out of `seeds`.
pub struct Mutator<'a> {
    pub rng: Rng,
    pub seeds: &'a [Vec<u8>],
}

impl Mutator<'_> {
    /// One more input: a seed with one to four changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..self.rng.usize(1..=4) {
            match self.rng.bool().then(|| self.changed_json(&input)).flatten() {
                Some(changed) => input = changed,
                None => self.change_bytes(&mut input),
            }
        }
        input
    }

    fn seed(&mut self) -> &[u8] {
        &self.seeds[self.rng.usize(..self.seeds.len())]
    }

    /// A place in the first bytes more often than in the rest: that is where headers and lengths are.
    fn place(&mut self, length: usize) -> usize {
        let within = if self.rng.bool() { length.min(160) } else { length };
        self.rng.usize(..=within)
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>) {
        let from = self.place(input.len());
        let to = (from + self.rng.usize(..=24)).min(input.len());
        match self.rng.u8(..8) {
            0 if from < input.len() => input[from] ^= 1 << self.rng.u8(..8),
            1 if from < input.len() => input[from] = *self.rng.choice(BYTES).unwrap(),
            2 => input.insert(from, *self.rng.choice(BYTES).unwrap()),
            3 => input.truncate(from),
            4 => drop(input.drain(from..to)),
            5 => {
                let again = input[from..to].to_vec();
                drop(input.splice(from..from, again));
            }
            6 => {
                let number = *self.rng.choice(&[0, 1, 255, i64::MAX, i64::MIN, -1]).unwrap();
                drop(input.splice(from..to, number.to_le_bytes()));
            }
            _ => {
                let other = self.seed().to_vec();
                let cut = self.place(other.len());
                input.truncate(from);
                input.extend_from_slice(&other[cut..]);
            }
        }
    }

    /// The document with one value replaced, removed, wrapped or taken from another; none where it is no JSON.
    fn changed_json(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let start = input.iter().position(|byte| *byte == b'{')?;
        let mut document: Value = serde_json::from_slice(&input[start..]).ok()?;
        let mut nasty = String::new();
        let new = match self.rng.u8(..8) {
            0 => {
                let mut other: Value = serde_json::from_slice(self.seed()).unwrap_or_default();
                inside(&mut self.rng, &mut other).take()
            }
            1 => {
                let depth = self.rng.usize(1..140);
                nasty = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
                Value::from(MARK)
            }
            2 => Value::from("x".repeat(*self.rng.choice(&[255, 256, 1025, 9000]).unwrap())),
            _ => {
                NASTY[self.rng.usize(..NASTY.len())].clone_into(&mut nasty);
                Value::from(MARK)
            }
        };
        let place = inside(&mut self.rng, &mut document);
        match place {
            Value::Object(members) if !members.is_empty() && self.rng.bool() => {
                let name = members.keys().nth(self.rng.usize(..members.len())).cloned()?;
                members.remove(&name);
            }
            place => *place = new,
        }
        let written = document.to_string().replace(&format!("\"{MARK}\""), &nasty);
        Some([&input[..start], written.as_bytes()].concat())
    }
}

/// Any value inside `value`, or itself.
fn inside<'v>(rng: &mut Rng, value: &'v mut Value) -> &'v mut Value {
    let length = match value {
        Value::Array(entries) => entries.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if length == 0 || rng.u8(..10) == 0 {
        return value;
    }
    let at = rng.usize(..length);
    let next = match value {
        Value::Array(entries) => entries.get_mut(at),
        Value::Object(members) => members.values_mut().nth(at),
        _ => None,
    };
    inside(rng, next.expect("an entry"))
}
