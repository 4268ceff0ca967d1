//! What was collected: a row per invoice and per one-off payment.

use std::collections::BTreeMap;

use super::Payment;
use super::assignments::{Assignments, succeeded_payment_refs};
use super::attempts::has_failed;
use super::set::ObjectSet;
use crate::project::stripe::{Charge, Invoice};

/// The longest description kept, in characters.
const DESCRIPTION_CHARS: usize = 200;

/// The rows by id, before refunds and disputes.
pub fn payment_rows<'a>(set: &'a ObjectSet<'a>, assignments: &Assignments<'a>) -> BTreeMap<&'a str, Payment> {
    let invoices = set.invoices.values().filter_map(|invoice| {
        let payment = of_invoice(invoice, set, assignments)?;
        Some((invoice.id.as_str(), payment))
    });
    let one_offs = collected_by_payment(set, assignments).into_iter().filter_map(|(payment, charges)| {
        let row = of_one_off(payment, &charges)?;
        assignments.invoice(payment).is_none().then_some((payment, row))
    });
    invoices.chain(one_offs).collect()
}

/// If no event has reported the payment: the pre-existing row, the oldest if there are several, under the id
/// by which refunds and disputes refer to the payment.
pub fn imported_row<'a>(set: &ObjectSet<'a>) -> Option<(&'a str, Payment)> {
    let collected = set.imported.values().filter(|it| it.status == "succeeded");
    let it = collected.min_by_key(|it| (it.created, it.id.as_str()))?;
    let payment = Payment {
        id: it.id.clone(),
        customer: it.customer.clone(),
        invoice: it.invoice.clone(),
        payment_intent: it.payment_intent.clone(),
        subscription: None,
        currency: it.currency.clone(),
        status: it.status.clone(),
        collected: it.amount.max(0),
        refunded: 0,
        disputed: 0,
        paid_at: it.paid_at,
        created: it.created,
        description: None,
    };
    Some((it.payment_intent.as_deref().unwrap_or(&it.id), payment))
}

/// The charges that collected money, oldest first, by payment.
fn collected_by_payment<'a>(
    set: &'a ObjectSet<'a>,
    assignments: &Assignments<'a>,
) -> BTreeMap<&'a str, Vec<&'a Charge>> {
    let mut payments: BTreeMap<&str, Vec<&Charge>> = BTreeMap::new();
    for charge in set.charges.values().filter(|charge| has_collected(charge)) {
        let payment = assignments.payment(charge.payment_intent.as_deref(), Some(&charge.id));
        payments.entry(payment.unwrap_or(&charge.id)).or_default().push(charge);
    }
    for charges in payments.values_mut() {
        charges.sort_by_key(|charge| (charge.created, charge.id.as_str()));
    }
    payments
}

/// Declined, pending and only authorised charges are not payments.
pub fn has_collected(charge: &Charge) -> bool {
    charge.status == "succeeded" && charge.captured
}

fn of_invoice(invoice: &Invoice, set: &ObjectSet<'_>, assignments: &Assignments<'_>) -> Option<Payment> {
    let status = status(invoice, set, assignments)?;
    let collected = collected(invoice);
    let by_intent = collected > 0 && !invoice.paid_out_of_band;
    let customer = invoice.customer.clone().or_else(|| payer(invoice, set, assignments));
    let customer = customer.or_else(|| buyer(invoice, set));
    Some(Payment {
        id: invoice.id.clone(),
        customer: customer.unwrap_or_else(|| invoice.id.clone()),
        invoice: Some(invoice.id.clone()),
        payment_intent: by_intent.then(|| last_intent(invoice, set, assignments)).flatten(),
        subscription: invoice.subscription.clone(),
        currency: invoice.currency.clone(),
        status: status.to_owned(),
        collected,
        refunded: 0,
        disputed: 0,
        paid_at: invoice.paid_at,
        created: invoice.created,
        description: Some(describe(invoice)),
    })
}

/// The collected amount. What was paid outside Stripe is not part of `amount_paid` in those versions that
/// report it.
fn collected(invoice: &Invoice) -> i64 {
    let is_paid_out_of_band = invoice.status == "paid" && invoice.paid_out_of_band;
    if is_paid_out_of_band { invoice.amount_due.max(0) } else { invoice.amount_paid.max(0) }
}

/// `None`: no row. For an unknown status only the money is known: with money collected it is treated as paid
/// or open, otherwise it has no row.
fn status(invoice: &Invoice, set: &ObjectSet<'_>, assignments: &Assignments<'_>) -> Option<&'static str> {
    match invoice.status.as_str() {
        "paid" => Some("succeeded"),
        "open" if has_failed(invoice, set, assignments) => Some("failed"),
        "open" => Some("open"),
        "void" => Some("void"),
        "uncollectible" => Some("uncollectible"),
        "draft" => None,
        _ if invoice.amount_paid <= 0 => None,
        _ if invoice.amount_paid >= invoice.amount_due => Some("succeeded"),
        _ => Some("open"),
    }
}

/// Who paid: the customer of the oldest charge that collected money.
fn payer(invoice: &Invoice, set: &ObjectSet<'_>, assignments: &Assignments<'_>) -> Option<String> {
    let charges = assignments.charges_of(invoice, set).filter(|charge| has_collected(charge));
    let charges = charges.filter(|charge| charge.customer.is_some());
    charges.min_by_key(|charge| (charge.created, charge.id.as_str()))?.customer.clone()
}

/// Who checked out: the customer; for a guest the payment intent, which `identity` uses as the customer.
fn buyer(invoice: &Invoice, set: &ObjectSet<'_>) -> Option<String> {
    let sessions = set.checkouts.values().filter(|it| it.invoice.as_ref() == Some(&invoice.id));
    let session = sessions.min_by_key(|it| (it.created, it.id.as_str()))?;
    session.customer.clone().or_else(|| session.payment_intent.clone())
}

/// The payment intent of the last successful payment, among those that `invoice` shows.
fn last_intent(invoice: &Invoice, set: &ObjectSet<'_>, assignments: &Assignments<'_>) -> Option<String> {
    let reported = set.invoice_payments.values().filter(|it| it.status == "paid" && it.invoice == invoice.id);
    let reported = reported.filter_map(|it| {
        let intent = assignments.intent(it.payment_intent.as_deref(), it.charge.as_deref())?;
        Some((it.paid_at.unwrap_or(i64::MIN), intent))
    });
    let charged = assignments.charges_of(invoice, set).filter(|it| has_collected(it)).filter_map(|it| {
        let intent = assignments.intent(it.payment_intent.as_deref(), Some(&it.id))?;
        Some((it.created, intent))
    });
    // What the invoice names has no time: it decides only if nothing else is known.
    let own =
        succeeded_payment_refs(invoice).filter_map(|(intent, charge)| assignments.intent(intent, charge));
    let own = own.map(|intent| (i64::MIN, intent));
    let shown =
        reported.chain(charged).chain(own).filter(|(_, it)| assignments.invoice(it) == Some(&invoice.id));
    shown.max().map(|(_, intent)| intent.to_owned())
}

fn describe(invoice: &Invoice) -> String {
    let what = match invoice.billing_reason.as_deref() {
        Some("subscription_create") => "Subscription started",
        Some("subscription_cycle") => "Subscription renewed",
        Some("subscription_update") => "Subscription changed",
        Some("subscription_threshold") => "Usage billed",
        _ => "Invoice",
    };
    let number = invoice.number.as_deref().map(|number| format!(" ({number})")).unwrap_or_default();
    format!("{what}{number}").chars().take(DESCRIPTION_CHARS).collect()
}

/// `charges` are those of `payment` that collected money, oldest first.
fn of_one_off(payment: &str, charges: &[&Charge]) -> Option<Payment> {
    let (first, last) = (charges.first()?, charges.last()?);
    let same_currency = charges.iter().filter(|charge| charge.currency == first.currency);
    let customer = charges.iter().find_map(|charge| charge.customer.clone());
    Some(Payment {
        id: payment.to_owned(),
        customer: customer.unwrap_or_else(|| payment.to_owned()),
        invoice: None,
        payment_intent: (payment != first.id).then(|| payment.to_owned()),
        subscription: None,
        currency: first.currency.clone(),
        status: "succeeded".to_owned(),
        collected: same_currency.map(|charge| charge.collected()).fold(0, i64::saturating_add),
        refunded: 0,
        disputed: 0,
        paid_at: Some(last.created),
        created: first.created,
        description: charges.iter().find_map(|charge| bounded(charge.description.as_deref()?)),
    })
}

fn bounded(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(DESCRIPTION_CHARS).collect())
}
