//! Compares one message of the API with its reports, and makes the event that fixes it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::envelope::Envelope;
use crate::project::twilio::{Consent, Message, Row};
use crate::store::sms::StoredMessage;

/// How a message differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageDrift {
    /// The API has it, and there is no report of it.
    Missing,
    /// The API shows more or other values than the reports.
    Differs,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftedField {
    /// Its name.
    pub field: &'static str,
    /// What follows from the reports.
    pub here: Value,
    /// What follows with what the API shows.
    pub twilio: Value,
}

/// A message that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftedMessage {
    /// Twilio's id.
    pub sid: String,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// How.
    pub drift: MessageDrift,
    /// The fields that differ.
    pub fields: Vec<DriftedField>,
    /// An event with the message as the API shows it was applied.
    #[serde(rename = "mended")]
    pub is_fixed: bool,
}

/// A message of the API's list: as a report, and as the event that would report it.
pub(super) struct ListedMessage {
    pub sid: String,
    pub message: Message,
    pub event: Envelope,
}

/// Compares a message of the API with the `stored` one. `None` if nothing differs.
pub(super) fn compare(listed: &ListedMessage, stored: Option<&StoredMessage>) -> Option<DriftedMessage> {
    if stored.is_some_and(|stored| stored.is_forgotten) {
        return None;
    }
    let reported = stored.and_then(|stored| stored.message.as_ref());
    let mut merged = reported.cloned().unwrap_or_default();
    merged.merge(listed.message.clone());
    let after = merged.row();
    let fields = reported.map_or_else(Vec::new, |reported| {
        let text = stored.and_then(|stored| stored.body.as_deref());
        fields(&reported.row(), &after, text, (reported.consent(), merged.consent()))
    });
    if reported.is_some() && fields.is_empty() {
        return None;
    }
    Some(DriftedMessage {
        sid: listed.sid.clone(),
        direction: after.direction,
        drift: if reported.is_some() { MessageDrift::Differs } else { MessageDrift::Missing },
        fields,
        is_fixed: false,
    })
}

/// The fields that differ. What no callback reports (the segments, a text other than the application's own) is no
/// difference.
fn fields(
    before: &Row,
    after: &Row,
    written: Option<&str>,
    consent: (Option<Consent>, Option<Consent>),
) -> Vec<DriftedField> {
    let text = |row: &Row| row.body.clone().filter(|it| !it.is_empty());
    let here = text(before).or_else(|| written.map(str::to_owned));
    let body = here.clone().or_else(|| text(after));
    let urls = |row: &Row| row.media.iter().map(|it| it.url.clone()).collect::<Vec<_>>();
    let opts = |consent: &Option<Consent>| consent.as_ref().map(|consent| consent.opted_in);
    [
        ("direction", json!(before.direction), json!(after.direction)),
        ("from", json!(before.from_number), json!(after.from_number)),
        ("to", json!(before.to_number), json!(after.to_number)),
        ("body", json!(here), json!(body)),
        ("media", json!(urls(before)), json!(urls(after))),
        ("status", json!(before.twilio_status), json!(after.twilio_status)),
        ("error_code", json!(before.error_code), json!(after.error_code)),
        ("tied", json!(before.is_tied), json!(after.is_tied)),
        ("opted_in", json!(opts(&consent.0)), json!(opts(&consent.1))),
    ]
    .into_iter()
    .filter(|(_, here, twilio)| here != twilio)
    .map(|(field, here, twilio)| DriftedField { field, here, twilio })
    .collect()
}
