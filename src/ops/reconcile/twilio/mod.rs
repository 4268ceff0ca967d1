//! Compares every message of Twilio's list with its reports, and fixes differences by an event that holds the message as
//! the API showed it.
//!
//! Such an event is one more report of its message and is merged like any callback: it takes back nothing that others
//! reported. It is written only if something differs, so a second run changes nothing; and it is stored among the events,
//! so a rebuild applies it again.

mod compare;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::audit;
use crate::envelope::twilio as envelope;
use crate::ops::actor::actor;
use crate::ops::drift::{Comparison, Sample};
use crate::ops::progress::Progress;
use crate::ops::twilio_api::{SentRange, TwilioApi, TwilioApiError};
use crate::project::Payload;
use crate::project::twilio::{self, Media};
use crate::store::{Store, StoreError};

pub use compare::{DriftedField, DriftedMessage, MessageDrift};

use compare::{ListedMessage, compare};

/// Which messages to compare, and whether to fix what differs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Fix what differs.
    pub fix: bool,
    /// When they were sent.
    pub sent: SentRange,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether differences were to be fixed.
    pub fix: bool,
    /// Messages compared.
    pub messages: u64,
    /// Messages without a report.
    pub missing: u64,
    /// Messages whose reports have other or fewer values.
    pub differing: u64,
    /// How many of both were fixed.
    #[serde(rename = "mended")]
    pub fixed: u64,
    /// Entries of the list that could not be decoded.
    pub unreadable: u64,
    /// How long it took.
    #[serde(rename = "took_s", serialize_with = "crate::ops::seconds")]
    pub took: Duration,
}

impl Report {
    /// How many messages differ (or differed, where they were fixed).
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.missing + self.differing
    }

    /// How many messages still differ.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.total().saturating_sub(self.fixed)
    }
}

/// The run was aborted. What was fixed until then stays fixed, and the next run finds the rest.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Twilio's API refuses or does not answer.
    #[error(transparent)]
    Api(#[from] TwilioApiError),
    /// The database refuses or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReconcileError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint(),
            Self::Api(TwilioApiError::Refused { status: 401 | 403, .. }) => {
                "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKENS to what Twilio's console shows under Account Info"
            }
            Self::Api(
                TwilioApiError::Refused { status: 429 | 500.., .. } | TwilioApiError::Unreachable(_),
            ) => "try again later; see https://status.twilio.com",
            Self::Api(TwilioApiError::InvalidResponse(_) | TwilioApiError::Refused { .. }) => {
                "see that TWILIO_API_BASE, if set, is the address of Twilio's API"
            }
            Self::Api(TwilioApiError::Settings(_)) => "correct TWILIO_API_BASE",
        }
    }
}

/// Compares all messages that the API shows with the facts, page by page, the newest first. `show` gets each that
/// differs. `reached` is set after each page: all that is listed and was sent later is compared. A run that begins there
/// resumes this one.
pub async fn run(
    store: &Store,
    api: &TwilioApi,
    options: Options,
    progress: &mut Progress,
    reached: &mut Option<OffsetDateTime>,
    show: impl FnMut(&DriftedMessage),
) -> Result<Report, ReconcileError> {
    run_by(store, api, options, &actor(), progress, reached, show).await
}

/// The same; the audit log says that `actor` did it.
pub async fn run_by(
    store: &Store,
    api: &TwilioApi,
    options: Options,
    actor: &str,
    progress: &mut Progress,
    reached: &mut Option<OffsetDateTime>,
    mut show: impl FnMut(&DriftedMessage),
) -> Result<Report, ReconcileError> {
    let begun = Instant::now();
    let report = Report { fix: options.fix, ..Report::default() };
    let mut sample = Sample::default();
    let show = |drifted: &DriftedMessage| {
        note_differences(&mut sample, drifted);
        show(drifted);
    };
    let mut scan = Scan { store, api, options, show, report, reached, seen: HashSet::new() };
    let result = scan.all(progress).await;
    progress.finish();
    let mut report = scan.report;
    report.took = begun.elapsed();
    if report.fixed > 0 {
        let arguments = json!({"since": options.sent.since.map(OffsetDateTime::unix_timestamp)});
        audit(store, actor, "reconcile twilio", arguments, &report).await?;
    }
    result?;
    let comparison = Comparison {
        name: "reconcile twilio",
        actor,
        is_fix: options.fix,
        found: report.total(),
        remaining: report.left(),
        at: store.now(),
    };
    sample.store(store.pool(), comparison).await;
    Ok(report)
}

fn note_differences(sample: &mut Sample, drifted: &DriftedMessage) {
    let object = || format!("{} message {}", drifted.direction, drifted.sid);
    if drifted.drift == MessageDrift::Missing {
        sample.add(object, "missing", &Value::Null, &Value::Null);
    }
    for field in &drifted.fields {
        sample.add(object, field.field, &field.here, &field.twilio);
    }
}

/// One run over the list, which compares each message, shows what differs and fixes it if requested.
struct Scan<'a, S> {
    store: &'a Store,
    api: &'a TwilioApi,
    options: Options,
    show: S,
    report: Report,
    reached: &'a mut Option<OffsetDateTime>,
    /// The messages of the previous page: a new message moves older ones on to the next page.
    seen: HashSet<String>,
}

impl<S: FnMut(&DriftedMessage)> Scan<'_, S> {
    async fn all(&mut self, progress: &mut Progress) -> Result<(), ReconcileError> {
        progress.begin("messages", 0);
        let mut next: Option<String> = None;
        loop {
            let page = self.api.messages(self.options.sent, next.as_deref()).await?;
            next = page.next().map(str::to_owned);
            let listed = page.messages.len();
            let sent = page.messages.iter().filter_map(sent_at).min();
            self.page(page.messages).await?;
            *self.reached = sent.or(*self.reached);
            progress.advance(listed as u64);
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn page(&mut self, messages: Vec<Value>) -> Result<(), ReconcileError> {
        let before = std::mem::take(&mut self.seen);
        let sid = |message: &Value| message["sid"].as_str().unwrap_or_default().to_owned();
        self.seen = messages.iter().map(sid).collect();
        let messages: Vec<Value> = messages.into_iter().filter(|it| !before.contains(&sid(it))).collect();
        let sids: Vec<String> = messages.iter().map(sid).collect();
        let sids: Vec<&str> = sids.iter().map(String::as_str).collect();
        let stored = self.store.stored_messages(&sids).await?;
        let (mut events, mut drifted) = (Vec::new(), Vec::new());
        for message in &messages {
            let stored = stored.get(&sid(message));
            let has_files = stored.and_then(|it| it.message.as_ref()).is_some_and(|it| it.media.is_some());
            let media = if has_files { Vec::new() } else { self.media(message).await? };
            let Some(listed) = self.decode(message, &media) else {
                self.report.unreadable += 1;
                continue;
            };
            self.report.messages += 1;
            if let Some(one) = compare(&listed, stored) {
                drifted.push(DriftedMessage { is_fixed: self.options.fix, ..one });
                events.push(listed.event);
            }
        }
        if self.options.fix && !events.is_empty() {
            self.store.apply(&events).await?;
        }
        for one in drifted {
            match one.drift {
                MessageDrift::Missing => self.report.missing += 1,
                MessageDrift::Differs => self.report.differing += 1,
            }
            self.report.fixed += u64::from(one.is_fixed);
            (self.show)(&one);
        }
        Ok(())
    }

    async fn media(&self, message: &Value) -> Result<Vec<Media>, ReconcileError> {
        let count = message["num_media"].as_str().and_then(|count| count.parse::<u32>().ok());
        match message["sid"].as_str().filter(|_| count.unwrap_or(0) > 0) {
            Some(sid) => Ok(self.api.media(sid).await?),
            None => Ok(Vec::new()),
        }
    }

    fn decode(&self, message: &Value, media: &[Media]) -> Option<ListedMessage> {
        let media: Vec<(String, String)> =
            media.iter().map(|file| (file.url.clone(), file.kind.clone())).collect();
        let event = envelope::from_api(message, &media, self.store.now()).ok()?.envelope;
        let Payload::Sms(report) = twilio::decode(&event).ok()? else { return None };
        Some(ListedMessage { sid: report.sid, message: report.message, event })
    }
}

/// When a message of the list was sent; none if it is waiting to be.
fn sent_at(message: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(message["date_sent"].as_str()?, &Rfc2822).ok()
}
