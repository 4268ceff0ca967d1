//! Decodes the body of an event.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::message::{CALLBACK, INCOMING, LISTED, Media, Message, Ranked, SmsReport, StatusReport};
use crate::envelope::{Envelope, Parameters, twilio};
use crate::project::{DecodeError, Payload};

/// Files of one message at most; Twilio takes ten.
const MEDIA_MAX: usize = 100;
/// The prefix of the types of message events.
const TYPE: &str = "message.";
/// The type of an incoming message.
const RECEIVED: &str = "message.received";

/// The account of the event with this body.
///
/// # Errors
/// [`DecodeError`], if the body was not written by us.
pub fn account(body: &[u8]) -> Result<Option<String>, DecodeError> {
    Ok(parameters(body)?.get("AccountSid").map(str::to_owned))
}

/// Decodes a Twilio webhook.
///
/// # Errors
/// [`DecodeError`], if the body was not written by us.
pub fn decode(envelope: &Envelope) -> Result<Payload, DecodeError> {
    let parameters = parameters(&envelope.body)?;
    // The event id begins with the message's sid, whatever the parameter was called.
    let sid = envelope.event_id.split('|').next().unwrap_or_default().to_owned();
    let is_listed = envelope.event_type == twilio::API_MESSAGE;
    let is_incoming =
        envelope.event_type == RECEIVED || is_listed && parameters.get("Direction") == Some("inbound");
    let strength = match (is_listed, is_incoming) {
        (true, _) => LISTED,
        (false, true) => INCOMING,
        (false, false) => CALLBACK,
    };
    let given = |name: &str| -> Ranked { parameters.get(name).map(|value| (strength, storable(value))) };
    let mut message = Message {
        is_incoming,
        from: given("From"),
        to: given("To"),
        segments: given("NumSegments"),
        service: given("MessagingServiceSid"),
        error_message: given("ErrorMessage"),
        ..Message::default()
    };
    if is_incoming || is_listed {
        // A picture may come without text.
        message.body = Some((strength, storable(parameters.get("Body").unwrap_or_default())));
        message.opt_out_type = given("OptOutType");
        let media = media(&parameters);
        message.media = (!media.is_empty()).then_some((strength, media));
    }
    let word =
        if is_listed { parameters.get("MessageStatus") } else { envelope.event_type.strip_prefix(TYPE) };
    if let Some(word) = word {
        message.statuses.insert(word.to_owned(), status_report(&parameters));
    }
    if is_listed {
        let at = parameters.get("DateUpdated").and_then(|at| OffsetDateTime::parse(at, &Rfc2822).ok());
        let at = at.map_or(0, OffsetDateTime::unix_timestamp);
        message.listed = word.map(|word| (at, word.to_owned()));
    }
    Ok(Payload::Sms(Box::new(SmsReport { sid, at: envelope.occurred_at, message })))
}

fn parameters(body: &[u8]) -> Result<Parameters, DecodeError> {
    Parameters::from_json(body)
        .map_err(|_| DecodeError::Field { event_type: "message".to_owned(), field: "body" })
}

fn status_report(parameters: &Parameters) -> StatusReport {
    let is_moment = |text: &&str| text.len() >= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    StatusReport {
        done_at: parameters.get("RawDlrDoneDate").filter(is_moment).map(str::to_owned),
        error: parameters.get("ErrorCode").and_then(|code| code.parse().ok()).filter(|code| *code != 0),
    }
}

/// All media parameters, whatever `NumMedia` is.
fn media(parameters: &Parameters) -> Vec<Media> {
    let file = |n| {
        let url = parameters.get(&format!("MediaUrl{n}"))?;
        let kind = parameters.get(&format!("MediaContentType{n}")).unwrap_or_default();
        Some(Media { url: storable(url), kind: storable(kind) })
    };
    (0..MEDIA_MAX).filter_map(file).collect()
}

/// Postgres holds no NUL in a text.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
