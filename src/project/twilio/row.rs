//! The columns of a message's row.

use super::message::{Media, Message, Ranked, StatusReport};
use super::words;

/// A message as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// As Twilio writes it.
    pub from_number: Option<String>,
    /// As Twilio writes it.
    pub to_number: Option<String>,
    /// The digits of the other side's number; `None` for a channel without one, and for a short code.
    pub number: Option<String>,
    /// The text, if reported.
    pub body: Option<String>,
    /// The attachments.
    pub media: Vec<Media>,
    /// The status in the table's enum.
    pub status: &'static str,
    /// Twilio's status; `None` if not reported.
    pub twilio_status: Option<String>,
    /// Why it failed.
    pub error_code: Option<i32>,
    /// The error code and its description.
    pub error_message: Option<String>,
    /// The parts that the text was sent in.
    pub num_segments: Option<i32>,
    /// The messaging service.
    pub messaging_service_sid: Option<String>,
    /// The reports conflict, and no timestamp decides.
    pub is_tied: bool,
}

impl Message {
    /// The message's row.
    #[must_use]
    pub fn row(&self) -> Row {
        let last = self.last_status();
        let word = last.word.map(ToOwned::to_owned);
        let before = if self.is_incoming { "received" } else { "queued" };
        let status = last.word.and_then(words::status).map_or(before, |(status, _)| status);
        let error_code = last.seen.and_then(|seen| seen.error);
        let other_side = if self.is_incoming { &self.from } else { &self.to };
        Row {
            direction: if self.is_incoming { "inbound" } else { "outbound" },
            from_number: text(&self.from),
            to_number: text(&self.to),
            number: other_side.as_ref().and_then(|(_, address)| digits(address)),
            body: text(&self.body),
            media: self.media.as_ref().map(|(_, media)| media.clone()).unwrap_or_default(),
            status,
            error_message: (status == "failed").then(|| self.error_message(word.as_deref(), error_code)),
            twilio_status: word,
            error_code,
            num_segments: text(&self.segments).and_then(|count| count.parse().ok()),
            messaging_service_sid: text(&self.service),
            is_tied: last.is_tied,
        }
    }

    fn error_message(&self, word: Option<&str>, code: Option<i32>) -> String {
        let reported = self.error_message.as_ref().map(|(_, text)| text.as_str());
        let name = reported.or(code.and_then(words::error)).or(word).unwrap_or_default();
        code.map_or_else(|| name.to_owned(), |code| format!("{code} {name}"))
    }

    /// The status with the highest rank; of several final ones that of Twilio's API, else that with the
    /// carrier's latest timestamp.
    fn last_status(&self) -> Last<'_> {
        let rank = |word: &str| words::status(word).map_or(0, |(_, rank)| rank);
        let statuses = || self.statuses.iter().map(|(word, seen)| (rank(word), seen, word.as_str()));
        let listed = self.listed.as_ref().map(|(_, word)| word.as_str());
        let key = |&(rank, seen, word): &(i16, &'_ StatusReport, &'_ str)| {
            (rank, listed == Some(word), seen.done_at.clone(), word == "delivered", word.to_owned())
        };
        let Some((top, seen, word)) = statuses().max_by_key(key) else { return Last::default() };
        // Without timestamps, or in the same minute, it is undecided.
        let contradicts = |(rank, other, of): (i16, &StatusReport, &str)| {
            rank == top
                && rank == words::FINAL
                && of != word
                && listed != Some(word)
                && (other.done_at.is_none() || other.done_at == seen.done_at)
        };
        Last { word: Some(word), seen: Some(seen), is_tied: statuses().any(contradicts) }
    }
}

#[derive(Default)]
struct Last<'a> {
    word: Option<&'a str>,
    seen: Option<&'a StatusReport>,
    is_tied: bool,
}

fn text(given: &Ranked) -> Option<String> {
    given.as_ref().map(|(_, text)| text.clone())
}

/// The digits of an address that is a complete number: `+1 202 555 0112` and `whatsapp:+12025550112`, not a
/// short code.
#[must_use]
pub fn digits(address: &str) -> Option<String> {
    let number = address.rsplit_once(':').map_or(address, |(_, number)| number).trim();
    let digits: String = number.strip_prefix('+')?.chars().filter(char::is_ascii_digit).collect();
    (7..=15).contains(&digits.len()).then_some(digits)
}
