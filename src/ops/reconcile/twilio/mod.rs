//! Twilio's API beside the facts: every message of its list compared with its reports, and what differs
//! fixed by an event that holds the message as the API showed it.
//!
//! Such an event is one report more of its message and joins the others like any callback: it takes nothing back that
//! they reported. It is written only where something differs, so that a second run finds nothing to do; and it is kept
//! among the events, so that a rebuild takes it again.

mod judge;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::envelope::twilio as envelope;
use crate::ops::actor::note;
use crate::ops::drift::{Comparison, Found};
use crate::ops::progress::Progress;
use crate::ops::twilio_api::{TwilioApi, TwilioApiError};
use crate::project::Meaning;
use crate::project::twilio::{self, Media};
use crate::store::{Store, StoreError};

pub use judge::{Drift, Drifted, Field};

use judge::{Shown, judge};

/// What to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Fix what differs.
    pub fix: bool,
    /// Leave out messages sent before.
    pub since: Option<OffsetDateTime>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What differed was fixed.
    pub fix: bool,
    /// Messages compared.
    pub messages: u64,
    /// Messages that nothing was reported of.
    pub missing: u64,
    /// Messages whose reports say otherwise, or less.
    pub differing: u64,
    /// Those of both that were fixed.
    pub mended: u64,
    /// Entries of the list that no sense could be made of.
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
        self.total().saturating_sub(self.mended)
    }
}

/// It ended before its end. What was fixed by then stays fixed, and the next run finds the rest.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Twilio's API refuses or does not answer.
    #[error(transparent)]
    Api(#[from] TwilioApiError),
    /// The database refuses or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares all messages that the API shows with the facts, page by page, the newest first. `show` gets each that
/// differs.
///
/// # Errors
/// [`ReconcileError`]
pub async fn run(
    store: &Store,
    api: &TwilioApi,
    clock: &Clock,
    options: Options,
    progress: &mut Progress,
    mut show: impl FnMut(&Drifted),
) -> Result<Report, ReconcileError> {
    let begun = Instant::now();
    let report = Report { fix: options.fix, ..Report::default() };
    let mut found = Found::default();
    let show = |drifted: &Drifted| {
        note_differences(&mut found, drifted);
        show(drifted);
    };
    let mut walk = Walk { store, api, clock, options, show, report, seen: HashSet::new() };
    let result = walk.all(progress).await;
    progress.finish();
    let mut report = walk.report;
    report.took = begun.elapsed();
    if report.mended > 0 {
        let arguments = json!({"since": options.since.map(OffsetDateTime::unix_timestamp)});
        note(store.pool(), "reconcile twilio", arguments, json!(report), store.now())
            .await
            .map_err(StoreError::from)?;
    }
    result?;
    let comparison = Comparison {
        name: "reconcile twilio",
        is_fix: options.fix,
        found: report.total(),
        remaining: report.left(),
        at: store.now(),
    };
    found.keep(store.pool(), comparison).await;
    Ok(report)
}

fn note_differences(found: &mut Found, drifted: &Drifted) {
    let object = || format!("{} message {}", drifted.direction, drifted.sid);
    if drifted.drift == Drift::Missing {
        found.add(object, "missing", &Value::Null, &Value::Null);
    }
    for field in &drifted.fields {
        found.add(object, field.field, &field.here, &field.twilio);
    }
}

struct Walk<'a, S> {
    store: &'a Store,
    api: &'a TwilioApi,
    clock: &'a Clock,
    options: Options,
    show: S,
    report: Report,
    /// What the page before held: a message that comes meanwhile moves the others on to the next page.
    seen: HashSet<String>,
}

impl<S: FnMut(&Drifted)> Walk<'_, S> {
    async fn all(&mut self, progress: &mut Progress) -> Result<(), ReconcileError> {
        progress.begin("messages", 0);
        let mut next: Option<String> = None;
        loop {
            let page = self.api.messages(self.options.since, next.as_deref()).await?;
            next = page.next().map(str::to_owned);
            let listed = page.messages.len();
            self.page(page.messages).await?;
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
        let known = self.store.known_messages(&sids).await?;
        let (mut events, mut drifted) = (Vec::new(), Vec::new());
        for message in &messages {
            let told = known.get(&sid(message));
            let has_files = told.and_then(|it| it.message.as_ref()).is_some_and(|it| it.media.is_some());
            let media = if has_files { Vec::new() } else { self.media(message).await? };
            let Some(shown) = self.shown(message, &media) else {
                self.report.unreadable += 1;
                continue;
            };
            self.report.messages += 1;
            if let Some(one) = judge(&shown, told) {
                drifted.push(Drifted { mended: self.options.fix, ..one });
                events.push(shown.event);
            }
        }
        if self.options.fix && !events.is_empty() {
            self.store.apply(&events).await?;
        }
        for one in drifted {
            match one.drift {
                Drift::Missing => self.report.missing += 1,
                Drift::Differs => self.report.differing += 1,
            }
            self.report.mended += u64::from(one.mended);
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

    fn shown(&self, message: &Value, media: &[Media]) -> Option<Shown> {
        let media: Vec<(String, String)> =
            media.iter().map(|file| (file.url.clone(), file.kind.clone())).collect();
        let event = envelope::listed(message, &media, self.clock.now()).ok()?.envelope;
        let Meaning::Sms(report) = twilio::read(&event).ok()? else { return None };
        Some(Shown { sid: report.sid, message: report.message, event })
    }
}
