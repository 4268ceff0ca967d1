//! The fixtures through the pure rules only: reports, winners, payments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::order::{self, Candidate};
use super::payload::Report;
use super::payments::{Payment, resolve};
use super::stripe::StripeObject;
use super::{Payload, stripe};
use crate::envelope::Source;
use crate::ops::fixture;

fn scenarios() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let entries = std::fs::read_dir(fixtures).expect("the fixtures");
    let mut scenarios: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    scenarios.retain(|scenario| scenario.join("expected.json").exists());
    scenarios.sort();
    scenarios
}

/// The Stripe events of a fixture.
fn events(scenario: &Path) -> Vec<Value> {
    let events = fixture::events(&[scenario.to_owned()]).map(|event| event.expect("an event"));
    let of_stripe = events.filter(|event| event.source == Source::Stripe);
    of_stripe.map(|event| serde_json::from_slice(&event.body).expect("JSON")).collect()
}

type Reports = BTreeMap<String, Vec<(String, Report<StripeObject>)>>;

fn reports(events: Vec<Value>) -> Reports {
    let mut reports = Reports::new();
    for event in events {
        let id = event["id"].as_str().expect("an id").to_owned();
        if let Payload::Stripe(report) = stripe::decode(event, &["user_id".to_owned()]).expect("readable") {
            reports.entry(report.subject.clone()).or_default().push((id, *report));
        }
    }
    reports
}

/// The present state among one object's reports; panics if the events are tied.
fn last(mut reports: Vec<(String, Report<StripeObject>)>) -> StripeObject {
    let moment = |report: &Report<StripeObject>| (report.is_final, report.occurred_at);
    let top = reports.iter().map(|(_, report)| moment(report)).max();
    reports.retain(|(_, report)| Some(moment(report)) == top);
    let candidates: Vec<_> = reports
        .iter()
        .map(|(event_id, report)| Candidate {
            event_id,
            change_kind: report.change_kind,
            rank: report.state.rank(),
            object: &report.object,
            previous: report.previous.as_ref(),
        })
        .collect();
    let winner = order::last_report(&candidates).expect("a winner");
    let subject = &reports[winner.index].1.subject;
    assert!(!winner.tied, "{subject}: {:?}", candidates.iter().map(|it| it.event_id).collect::<Vec<_>>());
    reports.swap_remove(winner.index).1.state
}

fn rows(scenario: &Path) -> Vec<Value> {
    let facts: Vec<_> = reports(events(scenario)).into_values().map(last).collect();
    let reported = |payment: Payment| {
        let paid_at = payment.paid_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        json!({
            "stripe_invoice_id": payment.invoice,
            "stripe_payment_intent_id": payment.payment_intent,
            "amount": payment.collected,
            "currency": payment.currency,
            "status": payment.status,
            "amount_refunded": payment.refunded,
            "amount_disputed": payment.disputed,
            "paid_at": paid_at.and_then(|at| at.format(&Rfc3339).ok()),
        })
    };
    sorted(resolve(&facts).into_iter().map(reported).collect())
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| {
        (row["stripe_invoice_id"].to_string(), row["stripe_payment_intent_id"].to_string())
    });
    rows
}

#[test]
fn fixture_payments_match_expectations() {
    let scenarios = scenarios();
    assert!(!scenarios.is_empty());
    for scenario in scenarios {
        let text = std::fs::read_to_string(scenario.join("expected.json")).expect("what is expected");
        let mut expected: Value = serde_json::from_str(&text).expect("JSON");
        let mut promised = expected["payment_history"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for row in &mut promised {
            row.as_object_mut().expect("a row").remove("user_id");
        }
        assert_eq!(rows(&scenario), sorted(promised), "{}", scenario.display());
    }
}
