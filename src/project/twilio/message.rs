//! The union of all reports of one message. Merging is commutative and idempotent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The reliability of a report's message fields: a callback repeats few of them.
pub const CALLBACK: u8 = 0;
/// The same for a message from Twilio's API.
pub const LISTED: u8 = 1;
/// The same for the incoming message itself.
pub const INCOMING: u8 = 2;

/// A value with the reliability of its report; the higher of two wins.
pub type Ranked = Option<(u8, String)>;

/// A media file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Media {
    /// Its URL at Twilio.
    pub url: String,
    /// Its MIME type, empty if not given.
    pub kind: String,
}

/// What was reported with a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatusReport {
    /// The carrier's timestamp, as `YYMMDDhhmm`.
    pub done_at: Option<String>,
    /// Twilio's error code.
    pub error: Option<i32>,
}

/// What one event reports of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsReport {
    /// Twilio's id of the message.
    pub sid: String,
    /// When it was reported.
    pub at: OffsetDateTime,
    /// What was reported.
    pub message: Message,
}

/// Everything that is known of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// Whether it is incoming.
    pub is_incoming: bool,
    /// The sender.
    pub from: Ranked,
    /// The recipient.
    pub to: Ranked,
    /// The text.
    pub body: Ranked,
    /// The parts that the text was sent in.
    pub segments: Ranked,
    /// The messaging service.
    pub service: Ranked,
    /// The keyword, as Twilio understood it.
    pub opt_out_type: Ranked,
    /// Why it failed, in words.
    pub error_message: Ranked,
    /// How many attachments it has, and those that a report shows.
    pub media: Option<(u8, Vec<Media>)>,
    /// By Twilio's status.
    pub statuses: BTreeMap<String, StatusReport>,
    /// The status that Twilio's API showed last, and when that was set, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<(i64, String)>,
}

impl Message {
    /// Merges `other`.
    pub fn merge(&mut self, other: Self) {
        self.is_incoming |= other.is_incoming;
        for (mine, others) in [
            (&mut self.from, other.from),
            (&mut self.to, other.to),
            (&mut self.body, other.body),
            (&mut self.segments, other.segments),
            (&mut self.service, other.service),
            (&mut self.opt_out_type, other.opt_out_type),
            (&mut self.error_message, other.error_message),
        ] {
            if others > *mine {
                *mine = others;
            }
        }
        if other.media > self.media {
            self.media = other.media;
        }
        if other.listed > self.listed {
            self.listed = other.listed;
        }
        for (word, seen) in other.statuses {
            let mine = self.statuses.entry(word).or_default();
            if seen > *mine {
                *mine = seen;
            }
        }
    }
}
