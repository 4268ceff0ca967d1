//! Searches bodies text by text, in any JSON escaping and at any depth.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::person::Person;

/// Bodies that may name somebody, in SQL; binds the pattern as $1. Invalid text does no harm. Bodies with
/// JSON escapes must be parsed.
pub(super) const CANDIDATES: &str = "(lower(encode(body, 'escape')) ~ $1
     or position('\\x5c75'::bytea in body) > 0 or position('\\x5c2f'::bytea in body) > 0)";

/// A regular expression for any of the names, for [`CANDIDATES`]; one that matches nothing if there are none.
pub(super) fn pattern<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(escaped).collect();
    if names.is_empty() { "a^".to_owned() } else { names.join("|") }
}

/// `name` for a regular expression over text in which non-ASCII bytes are octal escapes.
fn escaped(name: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
            char::from(byte.to_ascii_lowercase()).to_string()
        }
        byte if byte.is_ascii() => format!("\\{}", char::from(byte)),
        byte => format!("\\\\{byte:03o}"),
    };
    name.bytes().map(byte).collect()
}

/// Whom an event belongs to, by its owner field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    ThisPerson,
    AnotherPerson,
    /// It has no owner field.
    NotStated,
}

/// What the body of an event says about a person.
#[derive(Debug)]
pub(super) struct BodyScan {
    /// It names the person.
    pub names_person: bool,
    /// It names a customer of somebody else's.
    pub names_another_customer: bool,
    /// Other ids that may be those of users.
    pub other_user_ids: BTreeSet<Uuid>,
    pub ownership: Ownership,
}

/// Searches the body of an event of this source for the person.
pub(super) fn scan(person: &Person, source: &str, body: &[u8]) -> BodyScan {
    let mut scan = BodyScan {
        names_person: false,
        names_another_customer: false,
        other_user_ids: BTreeSet::new(),
        ownership: ownership(person, source, body),
    };
    for text in texts(body) {
        scan.names_person |= is_named_in(person, &text);
        scan.names_another_customer |= customers(&text).any(|id| !person.customers.contains(id));
        scan.other_user_ids.extend(uuids(&text).filter(|id| person.user_id != Some(*id)));
    }
    scan
}

/// Whether a text names the person: by the user id, a customer or a followed address, as a whole word.
pub(super) fn is_named_in(person: &Person, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let user = person.user_id.map(|id| id.to_string());
    let names = user.as_deref().into_iter().chain(person.customer_ids()).chain(person.followed());
    names.into_iter().any(|name| has_word(&text, &name.to_ascii_lowercase()))
}

/// Not as the end of another address, nor as the beginning of another id or domain.
fn has_word(text: &str, name: &str) -> bool {
    let continues = |rest: &str| {
        let mut next = rest.chars();
        match next.next() {
            Some('.') => next.next().is_some_and(char::is_alphanumeric),
            Some(it) => it.is_alphanumeric() || matches!(it, '_' | '-'),
            None => false,
        }
    };
    let begins_earlier = |head: &str| head.ends_with(|it: char| it.is_alphanumeric() || "._%+-".contains(it));
    let mut found = text.match_indices(name);
    found.any(|(at, _)| !begins_earlier(&text[..at]) && !continues(&text[at + name.len()..]))
}

fn customers(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("cus_").map(|(at, prefix)| {
        let rest = &text[at + prefix.len()..];
        let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
        &text[at..at + prefix.len() + end]
    })
}

/// In the usual form, anywhere in the text.
fn uuids(text: &str) -> impl Iterator<Item = Uuid> {
    const LENGTH: usize = 36;
    let dashes = text.match_indices('-').filter_map(|(at, _)| at.checked_sub(8));
    dashes.filter_map(|at| Uuid::parse_str(text.get(at..at + LENGTH)?).ok())
}

fn ownership(person: &Person, source: &str, body: &[u8]) -> Ownership {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match source {
        "stripe" => ownership_by_customer(person, &body["data"]["object"]),
        "supabase.database" => ownership_by_row(person, &body),
        "supabase.auth" => {
            let user = body["user_id"].as_str().or(body["user"]["id"].as_str());
            user.map_or(Ownership::NotStated, |id| ownership_by_user(person, id))
        }
        _ if body["object"].is_object() => ownership_by_customer(person, &body["object"]),
        _ => ownership_by_row(person, &body["change"]),
    }
}

fn ownership_by_customer(person: &Person, object: &Value) -> Ownership {
    let customer = if object["object"] == "customer" { &object["id"] } else { &object["customer"] };
    match customer.as_str().or(customer["id"].as_str()) {
        Some(id) if person.customers.contains(id) => Ownership::ThisPerson,
        Some(_) => Ownership::AnotherPerson,
        None => Ownership::NotStated,
    }
}

fn ownership_by_row(person: &Person, change: &Value) -> Ownership {
    let is_account = change["schema"] == "auth" && change["table"] == "users";
    let columns: &[&str] = if is_account { &["id"] } else { &["user_id", "owner_id", "owner"] };
    let rows = [&change["record"], &change["old_record"]];
    let mut owners = rows.into_iter().flat_map(|row| columns.iter().filter_map(|name| row[*name].as_str()));
    owners.next().map_or(Ownership::NotStated, |id| ownership_by_user(person, id))
}

fn ownership_by_user(person: &Person, id: &str) -> Ownership {
    let is_theirs = person.user_id.is_some() && Uuid::parse_str(id).ok() == person.user_id;
    if is_theirs { Ownership::ThisPerson } else { Ownership::AnotherPerson }
}

/// Every text in JSON, keys and values, unescaped.
fn texts(body: &[u8]) -> impl Iterator<Item = String> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + body.get(at..)?.iter().position(|byte| *byte == b'"')? + 1;
        let mut end = begin;
        while let Some(byte) = body.get(end).filter(|byte| **byte != b'"') {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        at = end + 1;
        Some(unescaped(&body[begin..end.min(body.len())]))
    })
}

/// Lone surrogates and broken escapes are tolerated.
fn unescaped(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if !text.contains('\\') {
        return text.into_owned();
    }
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        units.extend(rest[..at].encode_utf16());
        rest = &rest[at + 1..];
        let code = rest.strip_prefix('u').and_then(|it| u16::from_str_radix(it.get(..4)?, 16).ok());
        let mut letters = rest.chars();
        let length = match (code, letters.next()) {
            (Some(code), _) => {
                units.push(code);
                5
            }
            (None, Some(letter)) => {
                units.push(u16::from(match letter {
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    _ => u8::try_from(letter).unwrap_or(b' '),
                }));
                letter.len_utf8()
            }
            (None, None) => 0,
        };
        rest = &rest[length..];
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(customers: &[&str]) -> Person {
        let customers = customers.iter().map(|id| (*id).to_owned()).collect();
        Person { user_id: Some(Uuid::from_u128(0xa)), customers, ..Person::default() }
    }

    #[test]
    fn json_escapes_do_not_hide_names() {
        let body = br#"{"e":"ann\u0040example.com","e":"a\/b\"","\ud83d\ude00":[["\ud83d\n"]],"open":"cut\"#;
        let texts: Vec<String> = texts(body).collect();
        assert_eq!(texts, ["e", "ann@example.com", "e", "a/b\"", "😀", "\u{fffd}\n", "open", "cut"]);
    }

    #[test]
    fn name_is_found_only_as_a_whole() {
        for (text, found) in [
            ("to ann@x.org.", true),
            ("<ann@x.org>", true),
            ("joann@x.org", false),
            ("j.ann@x.org", false),
            ("ann@x.org.uk", false),
            ("ann@x.organic", false),
        ] {
            assert_eq!(has_word(text, "ann@x.org"), found, "{text}");
        }
        assert!(!has_word("cus_10", "cus_1") && has_word("cus_10 and cus_1", "cus_1"));
    }

    #[test]
    fn event_belongs_to_customer_or_row_owner() {
        let person = person(&["cus_1"]);
        let of = |source, body: &str| scan(&person, source, body.as_bytes());
        let theirs = of("stripe", r#"{"data":{"object":{"customer":"cus_1","note":"cus_2"}}}"#);
        assert!(
            theirs.ownership == Ownership::ThisPerson && theirs.names_person && theirs.names_another_customer
        );
        assert_eq!(
            of("stripe", r#"{"data":{"object":{"customer":{"id":"cus_2"}}}}"#).ownership,
            Ownership::AnotherPerson
        );
        let row =
            r#"{"schema":"auth","table":"users","record":{"id":"00000000-0000-0000-0000-00000000000B"}}"#;
        let row = of("supabase.database", row);
        assert_eq!(
            (row.ownership, row.other_user_ids),
            (Ownership::AnotherPerson, BTreeSet::from([Uuid::from_u128(0xb)]))
        );
        assert_eq!(of("stripe", "no json: \"cus_1\"").ownership, Ownership::NotStated);
    }
}
