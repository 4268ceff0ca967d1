//! The summary of a replay: accepted, rejected and why.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Outcome, Refused};

/// The most reasons listed.
const REASONS_MAX: usize = 50;
/// The most unreadable fixtures listed; the others are counted.
const UNREADABLE_MAX: usize = 20;

/// The summary of a replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Accepted deliveries.
    pub accepted: u64,
    /// Accepted ones that needed more than one attempt.
    pub accepted_after_waiting: u64,
    /// Accepted ones that the service stores without counting.
    pub not_counted: u64,
    /// The reason of the first of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_counted_reason: Option<String>,
    /// Rejected deliveries, after all attempts.
    pub refused: u64,
    /// Why, by status and problem type, each with an example.
    #[serde(serialize_with = "values")]
    pub refusals: BTreeMap<(u16, String), Refusal>,
    /// Fixtures that could not be read.
    pub unreadable: u64,
    /// The first of them: where, why, what to do.
    pub unreadable_examples: Vec<String>,
    /// From the first delivery to the last answer.
    pub elapsed_s: f64,
    /// Answers per second.
    pub rate_per_s: f64,
}

/// Deliveries rejected for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The problem's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The detail of the first answer.
    pub detail: String,
    /// The origin of the first rejected event.
    pub example: String,
    /// How many.
    pub count: u64,
}

impl Summary {
    /// Whether every event was accepted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refused == 0 && self.unreadable == 0
    }

    /// Adds the outcome of one delivery, `elapsed` after the start.
    pub(super) fn count(&mut self, outcome: Outcome, elapsed: Duration) {
        self.add(outcome);
        self.elapsed_s = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is read by people")]
        let answers = (self.accepted + self.refused) as f64;
        self.rate_per_s = answers / self.elapsed_s.max(1e-6);
    }

    /// One line, for progress.
    pub(super) fn so_far(&self) -> String {
        let Self { accepted, refused, unreadable, rate_per_s, .. } = self;
        format!("{accepted} accepted, {refused} refused, {unreadable} not read, {rate_per_s:.0}/s")
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted { attempts, not_counted } => {
                self.accepted += 1;
                self.accepted_after_waiting += u64::from(attempts > 1);
                self.not_counted += u64::from(not_counted.is_some());
                self.not_counted_reason = self.not_counted_reason.take().or(not_counted);
            }
            Outcome::Refused(refused) => self.refuse(refused),
            Outcome::InvalidFixture(bad) => {
                self.unreadable += 1;
                if self.unreadable_examples.len() < UNREADABLE_MAX {
                    self.unreadable_examples.push(bad.to_string());
                }
            }
        }
    }

    fn refuse(&mut self, refused: Refused) {
        let Refused { status, mut kind, detail, origin } = refused;
        self.refused += 1;
        if self.refusals.len() >= REASONS_MAX && !self.refusals.contains_key(&(status, kind.clone())) {
            "other".clone_into(&mut kind);
        }
        let reason = self.refusals.entry((status, kind.clone())).or_insert_with(|| {
            let example = origin.to_string();
            Refusal { status, kind, detail, example, count: 0 }
        });
        reason.count += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted in {:.1} s ({:.0}/s)", self.accepted, self.elapsed_s, self.rate_per_s)?;
        if self.accepted_after_waiting > 0 {
            write!(f, ", {} of them after waiting", self.accepted_after_waiting)?;
        }
        if let Some(reason) = &self.not_counted_reason {
            write!(f, "\n{} of them not counted: {reason}", self.not_counted)?;
        }
        if self.refused > 0 {
            write!(f, "\n{} refused", self.refused)?;
        }
        for Refusal { status, kind, detail, example, count } in self.refusals.values() {
            write!(f, "\n  {count} x {status} {kind}: {detail} (first: {example})")?;
        }
        if self.unreadable > 0 {
            write!(f, "\n{} not read", self.unreadable)?;
        }
        self.unreadable_examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}

fn values<S: Serializer>(
    reasons: &BTreeMap<(u16, String), Refusal>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(reasons.values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::fixture::Origin;
    use std::path::Path;

    fn refused(status: u16, kind: &str, line: usize) -> Outcome {
        let origin = Origin { path: Path::new("events.ndjson").into(), line: Some(line) };
        Outcome::Refused(Refused { status, kind: kind.to_owned(), detail: "why".to_owned(), origin })
    }

    #[test]
    fn rejections_are_grouped_with_an_example() {
        let mut summary = Summary::default();
        let outcomes =
            [refused(400, "a", 3), refused(400, "b", 4), refused(400, "a", 5), refused(413, "a", 6)];
        outcomes.into_iter().for_each(|outcome| summary.count(outcome, Duration::from_secs(2)));
        let accepted = Outcome::Accepted { attempts: 2, not_counted: None };
        summary.count(accepted, Duration::from_secs(2));
        assert_eq!((summary.refused, summary.accepted, summary.accepted_after_waiting), (4, 1, 1));
        let reasons: Vec<_> = summary.refusals.values().map(|r| (r.status, &*r.kind, r.count)).collect();
        assert_eq!(reasons, [(400, "a", 2), (400, "b", 1), (413, "a", 1)]);
        assert_eq!(
            summary.to_string(),
            "1 accepted in 2.0 s (2/s), 1 of them after waiting\n4 refused\n  \
             2 x 400 a: why (first: events.ndjson:3)\n  1 x 400 b: why (first: events.ndjson:4)\n  \
             1 x 413 a: why (first: events.ndjson:6)"
        );
        assert!(!summary.is_complete());
    }

    #[test]
    fn not_counted_events_show_the_first_reason() {
        let mut summary = Summary::default();
        for reason in [None, Some("of test mode"), Some("of another account")] {
            let not_counted = reason.map(ToOwned::to_owned);
            summary.count(Outcome::Accepted { attempts: 1, not_counted }, Duration::from_secs(1));
        }
        assert_eq!(summary.to_string(), "3 accepted in 1.0 s (3/s)\n2 of them not counted: of test mode");
        assert!(summary.is_complete());
    }

    #[test]
    fn rejection_reasons_are_bounded() {
        let mut summary = Summary::default();
        (0..200).for_each(|n| summary.count(refused(400, &format!("kind-{n}"), n), Duration::from_secs(1)));
        assert_eq!(summary.refusals.len(), REASONS_MAX + 1);
        assert_eq!(summary.refusals[&(400, "other".to_owned())].count, 150);
    }
}
