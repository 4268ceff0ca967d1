//! Twilio's endpoints: forms, queries and JSON bodies, signed with any token over the public address.

use memberflow::envelope::Parameters;
use memberflow::verify::secrets::split_twilio;
use memberflow::verify::{TwilioTokens, twilio};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::sid;
use crate::support::receiver::{
    PUBLIC_URL, TWILIO_ACCOUNT, TWILIO_TOKENS, TestReceiver, assert_problem, stall,
};

const MESSAGES: &str = "/webhooks/twilio/messages";
const STATUS: &str = "/webhooks/twilio/status";

fn tokens(list: &str) -> TwilioTokens {
    TwilioTokens::new(&split_twilio(list)).unwrap().unwrap()
}

fn form(pairs: &[(&str, &str)]) -> Parameters {
    let sid = sid(1);
    let all = [&[("MessageSid", sid.as_str()), ("AccountSid", TWILIO_ACCOUNT)], pairs].concat();
    let object: serde_json::Map<String, Value> =
        all.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    Parameters::from_json(Value::Object(object).to_string().as_bytes()).unwrap()
}

/// A form as Twilio posts it, signed by the first of `list` for `base`.
fn posted(receiver: &TestReceiver, path: &str, form: &Parameters, list: &str, base: &str) -> RequestBuilder {
    let url = format!("{base}{path}");
    let signature = twilio::sign(&tokens(list), &url, twilio::Content::Form(form.pairs()));
    receiver
        .client
        .post(format!("http://{}{path}", receiver.address))
        .header("content-type", "application/x-www-form-urlencoded")
        .header(twilio::HEADER, signature)
        .body(form.to_form())
}

async fn assert_taken(request: RequestBuilder) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/xml");
    assert!(response.text().await.unwrap().ends_with("<Response></Response>"));
}

#[tokio::test]
async fn message_and_callback_are_durable_under_their_names() {
    let receiver = TestReceiver::start().await;
    let incoming =
        form(&[("From", "+12025550112"), ("To", "+15550100"), ("Body", "Zoë & co"), ("NumMedia", "0")]);
    let callback =
        form(&[("MessageStatus", "undelivered"), ("ErrorCode", "30003"), ("RawDlrDoneDate", "2611201200")]);
    for _ in 0..2 {
        assert_taken(posted(&receiver, MESSAGES, &incoming, TWILIO_TOKENS, PUBLIC_URL)).await;
    }
    assert_taken(posted(&receiver, STATUS, &callback, TWILIO_TOKENS, PUBLIC_URL)).await;
    let pending = receiver.pending().await;
    let names: std::collections::BTreeSet<_> =
        pending.iter().map(|it| (it.source.as_str(), it.event_id.clone(), it.event_type.as_str())).collect();
    let undelivered = format!("{}|undelivered|30003|2611201200", sid(1));
    let expected = [("twilio", sid(1), "message.received"), ("twilio", undelivered, "message.undelivered")];
    assert_eq!(Vec::from_iter(names), expected);
    let body: Value = serde_json::from_slice(&pending[0].body).unwrap();
    assert_eq!(body["Body"], "Zoë & co");
}

#[tokio::test]
async fn query_and_json_body_are_taken_as_well() {
    let receiver = TestReceiver::start().await;
    let parameters = form(&[("Body", "two words"), ("NumMedia", "0")]);
    let path = format!("{MESSAGES}?{}", parameters.to_form());
    let signature =
        twilio::sign(&tokens(TWILIO_TOKENS), &format!("{PUBLIC_URL}{path}"), twilio::Content::None);
    let get =
        receiver.client.get(format!("http://{}{path}", receiver.address)).header(twilio::HEADER, signature);
    assert_taken(get).await;

    let body = parameters.to_json();
    let path = format!("{MESSAGES}?bodySHA256={}", twilio::body_hash(&body));
    let content = twilio::Content::Body(&body);
    let signature = twilio::sign(&tokens(TWILIO_TOKENS), &format!("{PUBLIC_URL}{path}"), content);
    let post = |body: bytes::Bytes| receiver.post(&path, body).header(twilio::HEADER, signature.clone());
    assert_taken(post(body)).await;
    let other = post(bytes::Bytes::from_static(b"{}")).send().await.unwrap();
    assert_problem(other, 400, "signature-of-another-body").await;
    let pending = receiver.pending().await;
    assert!(pending.iter().all(|event| event.event_id == sid(1) && event.body == pending[0].body));
}

#[tokio::test]
async fn every_token_and_the_address_with_its_port_verify() {
    let receiver = TestReceiver::start().await;
    let parameters = form(&[("MessageStatus", "sent")]);
    let second = TWILIO_TOKENS.split_once(',').unwrap().1;
    for (list, base) in
        [(TWILIO_TOKENS, PUBLIC_URL), (second, PUBLIC_URL), (TWILIO_TOKENS, "https://hooks.example.com:443")]
    {
        assert_taken(posted(&receiver, STATUS, &parameters, list, base)).await;
    }
    let unknown = "00000000000000000000000000000000";
    for (list, base) in [(unknown, PUBLIC_URL), (TWILIO_TOKENS, "http://hooks.example.com")] {
        let refused = posted(&receiver, STATUS, &parameters, list, base).send().await.unwrap();
        assert_problem(refused, 400, "signature-mismatch").await;
    }
}

#[tokio::test]
async fn host_of_the_request_is_not_what_was_signed() {
    let receiver = TestReceiver::start().await;
    let parameters = form(&[("MessageStatus", "sent")]);
    let base = format!("http://{}", receiver.address);
    let refused = posted(&receiver, STATUS, &parameters, TWILIO_TOKENS, &base).send().await.unwrap();
    assert_problem(refused, 400, "signature-mismatch").await;
    let prefixed =
        TestReceiver::with(|config| config.public_url = Some("https://example.com/hooks".to_owned())).await;
    assert_taken(posted(&prefixed, STATUS, &parameters, TWILIO_TOKENS, "https://example.com/hooks")).await;
}

#[tokio::test]
async fn other_methods_and_a_missing_setting_are_refused() {
    let receiver = TestReceiver::start().await;
    for method in [Method::PUT, Method::DELETE] {
        let url = format!("http://{}{MESSAGES}", receiver.address);
        let refused = receiver.client.request(method, url).send().await.unwrap();
        assert_problem(refused, 405, "method-not-allowed").await;
    }
    let bare = TestReceiver::with(|config| config.public_url = None).await;
    let parameters = form(&[("MessageStatus", "sent")]);
    let refused = posted(&bare, STATUS, &parameters, TWILIO_TOKENS, PUBLIC_URL).send().await.unwrap();
    let problem = assert_problem(refused, 503, "source-not-configured").await;
    assert!(problem["detail"].as_str().unwrap().contains("MEMBERFLOW_PUBLIC_URL"));
}

#[tokio::test]
async fn not_durable_message_is_not_acknowledged() {
    let receiver = TestReceiver::start().await;
    let parameters = form(&[("MessageStatus", "sent")]);
    let lock = stall(&receiver.database.pool).await;
    let refused = posted(&receiver, STATUS, &parameters, TWILIO_TOKENS, PUBLIC_URL).send().await.unwrap();
    assert_problem(refused, 503, "not-durable").await;
    lock.rollback().await.unwrap();
    assert_taken(posted(&receiver, STATUS, &parameters, TWILIO_TOKENS, PUBLIC_URL)).await;
}
