//! Text messages: Twilio's reports, the application's rows, and consent.

mod consent;
mod deployment;
mod messages;
mod orders;
mod receiving;

use memberflow::envelope::{Envelope, Parameters, twilio};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::support::app::{NOW, TestApp};
use crate::support::receiver::TWILIO_ACCOUNT;

/// Our number in these tests.
pub const OURS: &str = "+15550100";
/// A member's.
pub const THEIRS: &str = "+12025550112";

/// Twilio's id of the message with this number.
pub fn sid(number: u32) -> String {
    format!("SM{number:032x}")
}

/// An event with these parameters, received so many seconds after the beginning.
fn event(message: u32, second: i64, parameters: &[(&str, &str)]) -> Envelope {
    event_of(TWILIO_ACCOUNT, message, second, parameters)
}

fn event_of(account: &str, message: u32, second: i64, parameters: &[(&str, &str)]) -> Envelope {
    let sid = sid(message);
    let mut object: serde_json::Map<String, Value> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    object.insert("MessageSid".to_owned(), sid.into());
    object.insert("AccountSid".to_owned(), account.into());
    let parameters = Parameters::from_json(Value::Object(object).to_string().as_bytes()).unwrap();
    twilio::event(parameters, begin() + Duration::seconds(second)).unwrap().envelope
}

fn begin() -> OffsetDateTime {
    NOW - Duration::days(1)
}

/// A text from [`THEIRS`].
pub fn incoming(message: u32, second: i64, body: &str) -> Envelope {
    event(message, second, &[("From", THEIRS), ("To", OURS), ("Body", body), ("NumMedia", "0")])
}

/// A status callback of a text to [`THEIRS`].
pub fn callback(message: u32, second: i64, status: &str, error: &str) -> Envelope {
    let parameters = [("From", OURS), ("To", THEIRS), ("MessageStatus", status), ("ErrorCode", error)];
    event(message, second, &parameters)
}

/// A member with an active profile that has this number.
async fn member_with_phone(app: &TestApp, number: u128, phone: &str) -> uuid::Uuid {
    let user = uuid::Uuid::from_u128(number);
    app.sign_up(user, &format!("{number}@example.com")).await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, phone, is_active, is_draft) values ('{user}', '{phone}', true, false)"
    ))
    .await;
    user
}

/// One text of the one row that `query` gives.
pub async fn text(app: &TestApp, query: &str) -> String {
    let rows = app.rows(query).await;
    let [row] = &rows[..] else { panic!("one row, not {rows:?}") };
    let values = row.as_object().unwrap().values();
    let values: Vec<String> =
        values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    values.join(" ")
}
