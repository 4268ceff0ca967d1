//! The doctor's check of Twilio.

use memberflow::config::Config;
use memberflow::ops::doctor::{Level, Report, examine};
use serde_json::{Value, json};

use super::{assert_found, saying};
use crate::support::receiver::PUBLIC_URL;
use crate::support::twilio_api::TwilioAccount;

const MESSAGES: &str = "https://hooks.example.com/webhooks/twilio/messages#rc=3&rp=all";

async fn examined(account: &TwilioAccount) -> Report {
    let config = Config {
        public_url: Some(PUBLIC_URL.to_owned()),
        ..account.config("postgres://nobody@127.0.0.1:1/nothing")
    };
    examine(&config).await
}

fn number(sid: &str, number: &str, url: &str) -> Value {
    json!({"sid": sid, "phone_number": number, "sms_url": url, "status_callback": "", "capabilities": {"voice": true, "sms": true}})
}

async fn account(numbers: &[Value], services: &[Value]) -> TwilioAccount {
    let account = TwilioAccount::open().await;
    account.shows("/IncomingPhoneNumbers", json!({"incoming_phone_numbers": numbers, "next_page_uri": null}));
    account.shows("v1/Services", json!({"services": services}));
    account
}

#[tokio::test]
async fn account_with_our_webhooks_is_fine() {
    let account = account(&[number("PN1", "+15550100", MESSAGES)], &[]).await;
    let report = examined(&account).await;
    assert_found(&report, Level::Fine, "twilio", "account and token work", "");
    assert_found(&report, Level::Fine, "twilio", "webhooks/twilio/messages: 1", "");
    assert_found(&report, Level::Note, "twilio", "no Messaging Service reports", "");
}

#[tokio::test]
async fn numbers_with_other_webhooks_are_named() {
    let theirs = "https://app.example.com/api/webhooks/twilio-sms";
    let numbers = [
        number("PN1", "+15550100", theirs),
        number("PN2", "+15550101", ""),
        number("PN3", "+15550102", theirs),
    ];
    let service = json!({"sid": "MG1", "friendly_name": "News", "inbound_request_url": MESSAGES, "status_callback": theirs});
    let account = account(&numbers, &[service]).await;
    account.shows("v1/Services/MG1/PhoneNumbers", json!({"phone_numbers": [{"sid": "PN3"}]}));
    let report = examined(&account).await;
    let says = format!("texts do not come here from +15550100 ({theirs}), +15550101 (nowhere)");
    assert_found(&report, Level::Warning, "twilio", &says, "A message comes in");
    let says = format!("the Messaging Service News (MG1) reports what becomes of its messages to {theirs}");
    assert_found(&report, Level::Warning, "twilio", &says, "/webhooks/twilio/status");
}

#[tokio::test]
async fn token_outage_and_suspension_are_distinguished() {
    let account = account(&[], &[]).await;
    account.refuses(0, 401);
    account.refuses(1, 401);
    assert_found(
        &examined(&account).await,
        Level::Failed,
        "twilio",
        "Twilio answered 401",
        "TWILIO_AUTH_TOKENS",
    );
    account.refuses(0, 503);
    account.refuses(1, 503);
    assert_found(
        &examined(&account).await,
        Level::Down,
        "twilio",
        "Twilio answered 503",
        "status.twilio.com",
    );
    account.shows("", json!({"status": "suspended"}));
    assert_found(&examined(&account).await, Level::Failed, "twilio", "the account is suspended", "console");
    let without =
        Config { twilio_auth_tokens: Vec::new(), ..account.config("postgres://nobody@127.0.0.1:1/x") };
    assert!(saying(&examine(&without).await, "twilio", "").is_none());
}
