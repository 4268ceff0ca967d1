//! A body without what people wrote in it: what a bug report needs, and may hold.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::body::{Token, indent, tokens};

/// Stands for a text that was left out.
const LEFT_OUT: &str = "\"…\"";
/// The fields whose word says what something is, in the bodies of all sources.
const KINDS: [&str; 12] = [
    "object",
    "type",
    "status",
    "currency",
    "interval",
    "api_version",
    "schema",
    "table",
    "MessageStatus",
    "SmsStatus",
    "ErrorCode",
    "NumMedia",
];
/// Parts of the names of fields whose text is left out whatever it looks like.
const SECRETS: [&str; 5] = ["secret", "token", "password", "key", "birth"];
/// What the ids of Stripe's objects begin with.
const PREFIXES: [&str; 28] = [
    "acct", "ba", "card", "ch", "cn", "cs", "cus", "di", "dp", "du", "evt", "ii", "il", "in", "inpay", "pi",
    "plink", "pm", "po", "price", "prod", "promo", "py", "re", "req", "si", "sub", "txn",
];
/// The longest word and the longest id.
const MAX_CHARS: usize = 100;
const UUID_CHARS: usize = 36;

/// The body in lines, each text but ids, moments and kinds left out; `None` unless it is JSON of a usual depth.
#[must_use]
pub fn minimal(bytes: &[u8]) -> Option<String> {
    let mut tokens = tokens(bytes)?.peekable();
    let mut position = Position::default();
    let shortened = std::iter::from_fn(|| {
        let token = tokens.next()?;
        Some(position.shorten(token, tokens.peek() == Some(&Token::Colon)))
    });
    indent(shortened)
}

/// A position in a body.
#[derive(Default)]
struct Position<'a> {
    /// The keys of the enclosing values, each with whether people name what is in it.
    parents: Vec<(&'a str, bool)>,
    /// The last key.
    key: &'a str,
}

impl<'a> Position<'a> {
    fn shorten(&mut self, token: Token<'a>, is_key: bool) -> Token<'a> {
        match token {
            Token::Open(_) => {
                // Of an Auth Hook it is Supabase's.
                let is_metadata = self.key.ends_with("metadata") && self.parents.len() > 1;
                self.parents.push((self.key, is_metadata || self.is_peoples()));
            }
            Token::Close(_) => self.key = self.parents.pop().map_or("", |(key, _)| key),
            Token::Scalar(text) if is_key => self.key = inside(text),
            Token::Scalar(text) if text.starts_with('"') && !self.keeps(inside(text)) => {
                return Token::Scalar(LEFT_OUT);
            }
            Token::Scalar(_) | Token::Comma | Token::Colon => {}
        }
        token
    }

    fn is_peoples(&self) -> bool {
        self.parents.last().is_some_and(|(_, is_peoples)| *is_peoples)
    }

    fn keeps(&self, text: &str) -> bool {
        let key = self.key.to_ascii_lowercase();
        if SECRETS.iter().any(|secret| key.contains(secret)) || text.len() > MAX_CHARS {
            return false;
        }
        let names_hook = self.key == "name" && self.parents.len() == 2 && self.parents[1].0 == "metadata";
        let is_kind = names_hook || KINDS.contains(&self.key) && !self.is_peoples();
        is_id(text) || OffsetDateTime::parse(text, &Rfc3339).is_ok() || is_kind && is_word(text)
    }
}

/// A string without its quotes.
fn inside(text: &str) -> &str {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Whether a provider made it to name something: a UUID, an id of Twilio, or an id of Stripe.
fn is_id(text: &str) -> bool {
    let is_sid = |text: &str| {
        let (kind, number) = text.split_at_checked(2).unwrap_or_default();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        number.len() == 32 && kind.bytes().all(|byte| byte.is_ascii_uppercase()) && number.bytes().all(is_hex)
    };
    let is_stripes = |text: &str| {
        text.split_once('_').is_some_and(|(prefix, name)| {
            let name = name.strip_prefix("test_").or_else(|| name.strip_prefix("live_")).unwrap_or(name);
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            PREFIXES.contains(&prefix) && is_name
        })
    };
    // Without its hyphens a UUID could as well be a token.
    text.len() == UUID_CHARS && Uuid::try_parse(text).is_ok() || is_sid(text) || is_stripes(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(body: &Value) -> Value {
        serde_json::from_str(&minimal(body.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn ids_kinds_moments_and_numbers_stay_and_other_texts_go() {
        let body = json!({
            "id": "evt_1Ab", "object": "event", "type": "invoice.paid", "created": 1_767_225_600, "livemode": false,
            "data": {"object": {
                "id": "in_1", "customer": "cus_1", "customer_email": "ada@example.com", "customer_name": "Ada",
                "status": "paid", "currency": "usd", "client_secret": "pi_1", "description": "For Ada",
                "number": "A-1", "hosted_invoice_url": "https://invoice.stripe.com/i/1", "lines": [{"id": "il_1"}],
                "preferred_locales": ["en", "sub_1"], "due": null,
                "metadata": {"user_id": "ada00000-0000-4000-8000-000000000001", "type": "vip", "more": {"status": "x"}}
            }}
        });
        let object = of(&body)["data"]["object"].clone();
        assert_eq!(
            object,
            json!({
                "id": "in_1", "customer": "cus_1", "customer_email": "…", "customer_name": "…",
                "status": "paid", "currency": "usd", "client_secret": "…", "description": "…",
                "number": "…", "hosted_invoice_url": "…", "lines": [{"id": "il_1"}],
                "preferred_locales": ["…", "sub_1"], "due": null,
                "metadata": {"user_id": "ada00000-0000-4000-8000-000000000001", "type": "…", "more": {"status": "…"}}
            })
        );
        assert_eq!(of(&body)["type"], "invoice.paid");
        assert_eq!(of(&body)["created"], 1_767_225_600);
    }

    #[test]
    fn each_source_is_still_recognised() {
        let hook = json!({
            "metadata": {"uuid": "ada00000-0000-4000-8000-000000000001", "name": "customize-access-token",
                         "time": "2026-01-01T00:00:00Z", "ip_address": "203.0.113.11"},
            "user": {"name": "ada", "user_metadata": {"name": "Ada"}, "birth_date": "2000-01-01T00:00:00Z"}
        });
        assert_eq!(
            of(&hook),
            json!({
                "metadata": {"uuid": "ada00000-0000-4000-8000-000000000001", "name": "customize-access-token",
                             "time": "2026-01-01T00:00:00Z", "ip_address": "…"},
                "user": {"name": "…", "user_metadata": {"name": "…"}, "birth_date": "…"}
            })
        );
        let row =
            json!({"type": "INSERT", "schema": "public", "table": "leads", "record": {"email": "a@b.c"}});
        assert_eq!(
            of(&row),
            json!({"type": "INSERT", "schema": "public", "table": "leads", "record": {"email": "…"}})
        );
        let sid = "SM0123456789abcdef0123456789abcdef";
        let text =
            json!({"MessageSid": sid, "MessageStatus": "delivered", "From": "+15550100001", "Body": "Hi"});
        assert_eq!(
            of(&text),
            json!({"MessageSid": sid, "MessageStatus": "delivered", "From": "…", "Body": "…"})
        );
    }

    #[test]
    fn what_only_looks_like_an_id_goes() {
        for text in
            ["pi_1_secret_2", "sk_live_1", "whsec_1", "cus_", "cus_a b", "SMxyz", "ada@example.com", "é"]
        {
            assert!(!is_id(text), "{text}");
        }
        for text in ["cs_test_a1", "price_pro", "evt_1"] {
            assert!(is_id(text), "{text}");
        }
        assert_eq!(minimal(b"no json"), None);
        assert_eq!(minimal(b"\"Ada\"").unwrap(), LEFT_OUT);
        assert_eq!(minimal(b"12345678901234567890123").unwrap(), "12345678901234567890123");
    }
}
