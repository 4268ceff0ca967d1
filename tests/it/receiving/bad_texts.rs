//! What is bad about requests to Twilio's endpoints in the table of bad requests.

use memberflow::envelope::Parameters;
use memberflow::verify::secrets::split_twilio;
use memberflow::verify::{TwilioTokens, twilio};

use super::bad_requests::{Headers, LIMIT_BYTES};
use crate::support::receiver::{PUBLIC_URL, TWILIO_ACCOUNT, TWILIO_TOKENS};

/// The address with the hash of the body, or of another one.
pub(super) fn json_path(input: &str) -> String {
    let hashed = if input == "JSON with the hash of another body" { b"{}".to_vec() } else { body(input) };
    format!("/webhooks/twilio/messages?{}={}", twilio::BODY_HASH, twilio::body_hash(&hashed))
}

pub(super) fn headers(input: &str, path: &str, body: &[u8]) -> Headers {
    let unknown = "00000000000000000000000000000000";
    let tokens = if input == "signature by an unknown secret" { unknown } else { TWILIO_TOKENS };
    let tokens = TwilioTokens::new(&split_twilio(tokens)).unwrap().unwrap();
    let signed: &[u8] = if input == "signature of another body" { b"Body=another" } else { body };
    let base = if input == "signature for another address" { "https://example.org" } else { PUBLIC_URL };
    let url = format!("{base}{path}");
    let form = Parameters::from_form(signed).unwrap_or_default();
    let content = match input {
        "GET" => twilio::Content::None,
        _ if path.contains(twilio::BODY_HASH) || input.starts_with("JSON") => twilio::Content::Body(signed),
        _ => twilio::Content::Form(form.pairs()),
    };
    let signature = match input {
        "no signature header" | "unsigned empty body" => return Vec::new(),
        "signature header empty" => Vec::new(),
        "signature header not ASCII" => b"\xff".to_vec(),
        "signature header nonsense" => b"nonsense".to_vec(),
        _ => twilio::sign(&tokens, &url, content).into_bytes(),
    };
    vec![(twilio::HEADER, signature)]
}

pub(super) fn body(input: &str) -> Vec<u8> {
    let message =
        |number: u32, rest: &str| format!("MessageSid=SM{number:032x}&AccountSid={TWILIO_ACCOUNT}&{rest}");
    let text = match input {
        "empty body" | "unsigned empty body" | "GET" | "HEAD" => String::new(),
        "over the limit" | "over the limit, chunked" => "x".repeat(LIMIT_BYTES + 1),
        "1,001 parameters" => "a=1&".repeat(1001),
        "array" => "[]".to_owned(),
        "not JSON" => "Body=Hi".to_owned(),
        "JSON without its hash in the address" | "JSON with the hash of another body" => {
            "{\"Body\":\"Hi\"}".to_owned()
        }
        "call instead of a message" => {
            format!("CallSid=CA{:032x}&AccountSid={TWILIO_ACCOUNT}&CallStatus=ringing", 1)
        }
        "MessageSid in words" => format!("MessageSid=first&AccountSid={TWILIO_ACCOUNT}&Body=Hi"),
        "MessageSid of 10,000 bytes" => {
            format!("MessageSid={}&AccountSid={TWILIO_ACCOUNT}&Body=Hi", "x".repeat(10_000))
        }
        "AccountSid missing" => format!("MessageSid=SM{:032x}&Body=Hi", 1),
        "AccountSid in words" => format!("MessageSid=SM{:032x}&AccountSid=ours&Body=Hi", 1),
        "MessageStatus missing" => message(1, "From=%2B1"),
        "MessageStatus with a bar" => message(1, "MessageStatus=sent%7Cx"),
        "ErrorCode in words and signs" => message(1, "MessageStatus=failed&ErrorCode=no%20route"),
        "RawDlrDoneDate of 300 bytes" => {
            message(1, &format!("MessageStatus=sent&RawDlrDoneDate={}", "1".repeat(300)))
        }
        "text that is not UTF-8" => message(1, "Body=%ff"),
        "text with NUL" => message(2, "Body=%00"),
        "text with a one-time code" => message(3, "Body=Your+code+is+123456"),
        "message of another account" => {
            message(4, "Body=Hi").replace(TWILIO_ACCOUNT, &format!("AC{:032x}", 9))
        }
        "message at the callbacks' address" => message(5, "Body=Hi&SmsStatus=received"),
        "unknown parameter twice" => message(6, "Body=Hi&OfTomorrow=1&OfTomorrow=2"),
        _ => message(99, "Body=Hi"),
    };
    text.into_bytes()
}
