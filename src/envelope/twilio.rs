//! From Twilio's parameters to an envelope: an incoming message, or a status report of an outgoing one.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::fields::Malformed;
use super::one_time_code::is_one_time_code;
use super::{Envelope, Parameters, Source};

/// The parameters that may hold the message id, the current one first.
const SIDS: [&str; 3] = ["MessageSid", "SmsMessageSid", "SmsSid"];
/// The statuses of incoming messages.
const INCOMING: [&str; 2] = ["received", "receiving"];
/// Stored instead of a text that holds a one-time code.
pub const CODE_WITHHELD: &str = "(one-time code, not kept)";

/// The type of an event that holds a message as Twilio's API showed it.
pub const API_MESSAGE: &str = "api.message";
/// The fields of a message in the API, and what the same is called in a webhook.
const FIELDS: [(&str, &str); 11] = [
    ("sid", "MessageSid"),
    ("account_sid", "AccountSid"),
    ("messaging_service_sid", "MessagingServiceSid"),
    ("from", "From"),
    ("to", "To"),
    ("body", "Body"),
    ("num_segments", "NumSegments"),
    ("direction", "Direction"),
    ("status", "MessageStatus"),
    ("error_code", "ErrorCode"),
    ("date_updated", "DateUpdated"),
];

/// The event of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioEvent {
    /// The event; its body holds all parameters as a JSON object.
    pub envelope: Envelope,
    /// The account that the message belongs to.
    pub account: String,
}

/// The envelope of an incoming message or of a status callback, whichever address it came to. The same report
/// has the same id: an incoming message has its own sid, a callback also the status, the error and the
/// carrier's timestamp. Twilio sends no timestamp of its own, so the time of receipt is used.
///
/// # Errors
/// The missing or invalid parameter.
pub fn event(mut parameters: Parameters, received_at: OffsetDateTime) -> Result<TwilioEvent, Malformed> {
    let sid = SIDS.into_iter().find_map(|name| parameters.get(name));
    let sid =
        checked(sid, "MessageSid", is_sid, "the id of a message: two letters and 32 hexadecimal digits")?;
    let account =
        checked(parameters.get("AccountSid"), "AccountSid", is_account, "AC and 32 hexadecimal digits")?;
    let (event_id, event_type) = match status(&parameters)? {
        None => (sid.clone(), "message.received".to_owned()),
        Some(status) => {
            let part = |name| parameters.get(name).unwrap_or_default();
            let (error, done_at) = (part("ErrorCode"), part("RawDlrDoneDate"));
            for (field, value) in [("ErrorCode", error), ("RawDlrDoneDate", done_at)] {
                if !is_short(value) {
                    return Err(Malformed::Invalid { field, form: "up to 20 letters and digits" });
                }
            }
            (format!("{sid}|{status}|{error}|{done_at}"), format!("message.{status}"))
        }
    };
    if parameters.get("Body").is_some_and(is_one_time_code) {
        parameters.set("Body", CODE_WITHHELD);
    }
    let body = parameters.to_json();
    let source = Source::Twilio;
    let envelope = Envelope { source, event_id, event_type, occurred_at: received_at, received_at, body };
    Ok(TwilioEvent { envelope, account })
}

/// The status of an outgoing message; `None` for an incoming one.
fn status(parameters: &Parameters) -> Result<Option<String>, Malformed> {
    let status = parameters.get("MessageStatus").or_else(|| parameters.get("SmsStatus"));
    match status.map(str::to_ascii_lowercase) {
        Some(status) if INCOMING.contains(&status.as_str()) => Ok(None),
        // An incoming message has a body, though it may be empty.
        None if parameters.has("Body") || parameters.has("NumMedia") => Ok(None),
        None => Err(Malformed::Missing("MessageStatus")),
        Some(status) if is_word(&status) => Ok(Some(status)),
        Some(_) => Err(Malformed::Invalid { field: "MessageStatus", form: "one word of letters" }),
    }
}

/// The envelope of a message as Twilio's API showed it, with the addresses and types of its files. It
/// occurred when Twilio created the message; its id is a hash of what was shown, so reading the same state
/// twice gives one event.
///
/// # Errors
/// The missing or invalid field.
pub fn from_api(
    message: &Value,
    media: &[(String, String)],
    received_at: OffsetDateTime,
) -> Result<TwilioEvent, Malformed> {
    let mut object = Map::new();
    for (field, name) in FIELDS {
        object.insert(name.to_owned(), message[field].clone());
    }
    for (n, (url, kind)) in media.iter().enumerate() {
        object.insert(format!("MediaUrl{n}"), url.as_str().into());
        object.insert(format!("MediaContentType{n}"), kind.as_str().into());
    }
    let mut parameters = Parameters::from_json(Value::Object(object).to_string().as_bytes())?;
    let get = |name: &str| parameters.get(name).map(str::to_owned);
    let sid = checked(get("MessageSid").as_deref(), "sid", is_sid, "two letters and 32 hexadecimal digits")?;
    let account =
        checked(get("AccountSid").as_deref(), "account_sid", is_account, "AC and 32 hexadecimal digits")?;
    let status = checked(get("MessageStatus").as_deref(), "status", is_word, "one word of letters")?;
    let made_at = message["date_created"].as_str().and_then(|at| OffsetDateTime::parse(at, &Rfc2822).ok());
    let occurred_at =
        made_at.ok_or(Malformed::Invalid { field: "date_created", form: "a date of RFC 2822" })?;
    if parameters.get("Body").is_some_and(is_one_time_code) {
        parameters.set("Body", CODE_WITHHELD);
    }
    let body = parameters.to_json();
    let hash = hex::encode(&Sha256::digest(&body)[..16]);
    let envelope = Envelope {
        source: Source::Twilio,
        event_id: format!("{sid}|api|{status}|{hash}"),
        event_type: API_MESSAGE.to_owned(),
        occurred_at,
        received_at,
        body,
    };
    Ok(TwilioEvent { envelope, account })
}

fn checked(
    value: Option<&str>,
    field: &'static str,
    is_good: fn(&str) -> bool,
    form: &'static str,
) -> Result<String, Malformed> {
    let value = value.ok_or(Malformed::Missing(field))?;
    if is_good(value) { Ok(value.to_owned()) } else { Err(Malformed::Invalid { field, form }) }
}

fn is_sid(text: &str) -> bool {
    let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_at_checked(2)
        .is_some_and(|(kind, rest)| kind.bytes().all(|byte| byte.is_ascii_uppercase()) && is_hex(rest))
}

fn is_account(text: &str) -> bool {
    text.starts_with("AC") && is_sid(text)
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_short(text: &str) -> bool {
    text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);
    const SID: &str = "SM00000000000000000000000000000001";
    const ACCOUNT: &str = "AC00000000000000000000000000000001";

    fn named(pairs: &[(&str, &str)]) -> Result<(String, String), String> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let event = event(Parameters::from_form(form.as_bytes()).unwrap(), NOW);
        event.map(|it| (it.envelope.event_id, it.envelope.event_type)).map_err(|error| error.kind())
    }

    fn good(pairs: &[(&str, &str)]) -> Result<(String, String), String> {
        named(&[&[("MessageSid", SID), ("AccountSid", ACCOUNT)], pairs].concat())
    }

    #[test]
    fn report_id_is_stable_and_unique() {
        let incoming = Ok((SID.to_owned(), "message.received".to_owned()));
        assert_eq!(good(&[("Body", "Hi"), ("SmsStatus", "received")]), incoming);
        assert_eq!(good(&[("Body", ""), ("NumMedia", "1")]), incoming);
        assert_eq!(named(&[("SmsSid", SID), ("AccountSid", ACCOUNT), ("Body", "Hi")]), incoming);
        for (pairs, id, kind) in [
            (&[("MessageStatus", "Sent")][..], format!("{SID}|sent||"), "message.sent"),
            (&[("SmsStatus", "sent")], format!("{SID}|sent||"), "message.sent"),
            (
                &[("MessageStatus", "undelivered"), ("ErrorCode", "30003"), ("RawDlrDoneDate", "2611201159")],
                format!("{SID}|undelivered|30003|2611201159"),
                "message.undelivered",
            ),
        ] {
            assert_eq!(good(pairs), Ok((id, kind.to_owned())));
        }
    }

    #[test]
    fn invalid_parameters_are_named() {
        for (pairs, kind) in [
            (&[("AccountSid", ACCOUNT), ("Body", "Hi")][..], "message-sid-missing"),
            (&[("MessageSid", "CA1"), ("AccountSid", ACCOUNT), ("Body", "Hi")], "message-sid-invalid"),
            (&[("MessageSid", SID), ("Body", "Hi")], "account-sid-missing"),
            (&[("MessageSid", SID), ("AccountSid", SID), ("Body", "Hi")], "account-sid-invalid"),
            (&[("MessageSid", SID), ("AccountSid", ACCOUNT)], "message-status-missing"),
            (
                &[("MessageSid", SID), ("AccountSid", ACCOUNT), ("MessageStatus", "a|b")],
                "message-status-invalid",
            ),
            (
                &[
                    ("MessageSid", SID),
                    ("AccountSid", ACCOUNT),
                    ("MessageStatus", "sent"),
                    ("ErrorCode", "|"),
                ],
                "error-code-invalid",
            ),
        ] {
            assert_eq!(named(pairs), Err(kind.to_owned()));
        }
    }

    #[test]
    fn only_one_time_codes_are_withheld() {
        for (text, is_withheld) in [("123456 is your Acme code", true), ("See you at 1430", false)] {
            let pairs = [("MessageSid", SID), ("AccountSid", ACCOUNT), ("Body", text)];
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let event = event(Parameters::from_form(form.as_bytes()).unwrap(), NOW).unwrap();
            let body = String::from_utf8(event.envelope.body.to_vec()).unwrap();
            assert_eq!(
                (body.contains(CODE_WITHHELD), body.contains(text)),
                (is_withheld, !is_withheld),
                "{body}"
            );
        }
    }
}
