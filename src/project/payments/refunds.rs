//! Refunds of each charge, however they are reported.
//!
//! Refunds are reported one by one, in a charge's list, or only by `charge.amount_refunded`, depending on the
//! API version. The refunded amount is the larger of the sum of the known refunds and of that field. Both can
//! include two things that are not refunds:
//!
//! - The part of an authorisation that was never captured. Stripe shows it as a refund made at the capture.
//! - Refunds that have failed since the charge was reported. A newer report would omit them, but may never
//!   come; so a later failure is subtracted from an older amount.

use std::collections::BTreeMap;

use super::assignments::Assignments;
use super::rows::has_collected;
use super::set::ObjectSet;
use crate::project::stripe::{Charge, Refund};

/// How much later than the capture the refund of the uncaptured part may be dated, in seconds.
const CAPTURE_LAG: i64 = 60;

/// The refunds of one charge.
pub struct ChargeRefunds<'a> {
    pub payment: Option<&'a str>,
    pub currency: &'a str,
    pub amount: i64,
}

/// The known refunds of one charge in one currency.
#[derive(Default)]
struct KnownRefunds<'a> {
    charge: Option<&'a Charge>,
    refunds: Vec<&'a Refund>,
}

/// The refunds, charge by charge.
pub fn charge_refunds<'a>(set: &'a ObjectSet<'a>, assignments: &Assignments<'a>) -> Vec<ChargeRefunds<'a>> {
    let mut known: BTreeMap<(&str, &str), KnownRefunds<'a>> = BTreeMap::new();
    for charge in set.charges.values().filter(|charge| has_collected(charge)) {
        known.entry((&charge.id, &charge.currency)).or_default().charge = Some(charge);
    }
    for refund in set.refunds.values() {
        let charge = charge_of(refund, set, assignments);
        // An authorisation that expired without any capture.
        if charge
            .and_then(|id| set.charges.get(id))
            .is_some_and(|it| it.status == "succeeded" && !it.captured)
        {
            continue;
        }
        known.entry((charge.unwrap_or(&refund.id), &refund.currency)).or_default().refunds.push(refund);
    }
    let refunds_of_charge = |((_, currency), known): ((&'a str, &'a str), KnownRefunds<'a>)| ChargeRefunds {
        payment: known.payment(assignments),
        currency,
        amount: known.amount(),
    };
    known.into_iter().map(refunds_of_charge).collect()
}

/// The charge that `refund` names, else the only one of its payment that collected money.
fn charge_of<'a>(
    refund: &'a Refund,
    set: &'a ObjectSet<'a>,
    assignments: &Assignments<'a>,
) -> Option<&'a str> {
    if refund.charge.is_some() {
        return refund.charge.as_deref();
    }
    let intent = refund.payment_intent.as_deref()?;
    let is_of_payment =
        |it: &&&Charge| assignments.intent(it.payment_intent.as_deref(), Some(&it.id)) == Some(intent);
    let mut charges = set.charges.values().filter(|it| has_collected(it)).filter(is_of_payment);
    let only = charges.next()?;
    charges.next().is_none().then_some(&only.id)
}

impl<'a> KnownRefunds<'a> {
    fn payment(&self, assignments: &Assignments<'a>) -> Option<&'a str> {
        let of_charge = |it: &'a Charge| assignments.payment(it.payment_intent.as_deref(), Some(&it.id));
        let of_refund =
            |it: &&'a Refund| assignments.payment(it.payment_intent.as_deref(), it.charge.as_deref());
        self.charge.and_then(of_charge).or_else(|| self.refunds.iter().find_map(of_refund))
    }

    fn amount(&self) -> i64 {
        let Some(charge) = self.charge else { return sum(self.refunds.iter().filter(|it| !it.has_failed())) };
        let uncaptured = charge.amount.saturating_sub(charge.collected()).max(0);
        let uncaptured_release = self.uncaptured_release(charge, uncaptured);
        let refunds = || self.refunds.iter().filter(|it| Some(it.id.as_str()) != uncaptured_release);
        let reported = charge.amount_refunded;
        let reported = if reported >= uncaptured { reported.saturating_sub(uncaptured) } else { reported };
        let failed_since = sum(refunds().filter(|it| it.has_failed() && was_in_amount_refunded(it, charge)));
        sum(refunds().filter(|it| !it.has_failed())).max(reported.saturating_sub(failed_since))
    }

    /// The refund that represents the uncaptured part: of the same amount, and created at the capture.
    fn uncaptured_release(&self, charge: &Charge, uncaptured: i64) -> Option<&'a str> {
        let at_capture =
            |it: &&&Refund| charge.captured_at.is_none_or(|at| it.created <= at.saturating_add(CAPTURE_LAG));
        let alike =
            self.refunds.iter().filter(|it| it.amount == uncaptured && uncaptured > 0 && !it.has_failed());
        alike.filter(at_capture).min_by_key(|it| (it.created, it.id.as_str())).map(|it| it.id.as_str())
    }
}

/// Whether `refund`, which has failed, was still part of `charge.amount_refunded`.
fn was_in_amount_refunded(refund: &Refund, charge: &Charge) -> bool {
    charge.as_of.is_none_or(|as_of| {
        refund.created <= as_of && refund.failed_at.is_none_or(|failed_at| failed_at >= as_of)
    })
}

fn sum<'r>(refunds: impl Iterator<Item = &'r &'r Refund>) -> i64 {
    refunds.map(|it| it.amount.max(0)).fold(0, i64::saturating_add)
}
