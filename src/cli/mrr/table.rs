//! The ledger's results as tables for a terminal, each with its definition.

use comfy_table::Table;

use crate::cli::moment::seconds;
use crate::cli::table::{plain, right_aligned};
use crate::money::format_minor_units;
use crate::ops::ledger::{Explained, Movement, MrrAt, Waterfall};
use crate::project::mrr::{Explanation, ItemExplanation};

/// The MRR in each currency.
pub fn totals(answer: &MrrAt) -> String {
    let known = answer.known_at.map(|it| format!(", as known at {}", seconds(it))).unwrap_or_default();
    let title = format!("MRR at {} UTC{known}", seconds(answer.at));
    let mut table = plain(&["Currency", "MRR", "Customers"]);
    for total in &answer.totals {
        let mrr = format_minor_units(total.mrr, Some(&total.currency));
        table.add_row([total.currency.to_uppercase(), mrr, total.customers.to_string()]);
    }
    let table = right_aligned(table, 1..);
    [title, answer.definition.to_owned(), or(&table, answer.totals.is_empty(), "no MRR")].join("\n\n")
}

/// The movements by month.
pub fn waterfall(answer: &Waterfall) -> String {
    let header = ["Month", "Opening", "New", "Expansion", "Contraction", "Churn", "Reactivation", "Closing"];
    let mut table = plain(&header);
    for row in &answer.rows {
        let money = |amount| format_minor_units(amount, Some(&row.currency));
        let amounts =
            [row.opening, row.new, row.expansion, row.contraction, row.churn, row.reactivation, row.closing];
        table.add_row(std::iter::once(row.month.to_string()).chain(amounts.map(money)));
    }
    let table = right_aligned(table, 1..);
    [answer.definition.to_owned(), or(&table, answer.rows.is_empty(), "no movements")].join("\n\n")
}

/// How each subscription's MRR is computed, and its movements.
pub fn explained(answer: &Explained) -> String {
    let sums = answer.mrr.iter().map(|(currency, amount)| format_minor_units(*amount, Some(currency)));
    let sums: Vec<String> = sums.collect();
    let total = if sums.is_empty() { "0".to_owned() } else { sums.join(" and ") };
    let mut parts = vec![format!("MRR: {total}"), answer.definition.to_owned()];
    parts.extend(answer.subscriptions.iter().map(subscription));
    if !answer.movements.is_empty() {
        parts.push(movements(&answer.movements));
    }
    parts.join("\n\n")
}

fn subscription(it: &Explanation) -> String {
    let mrr = format_minor_units(it.mrr, Some(&it.currency));
    let mut lines = vec![format!("{} ({}, {}): {mrr}", it.subscription, it.customer, it.status)];
    lines.extend(it.worth_nothing.as_ref().map(|why| format!("  worth nothing: {why}")));
    lines.extend(it.items.iter().map(item));
    lines.extend(it.discounts.iter().map(|discount| format!("  less {discount}")));
    lines.extend(it.tax.as_ref().map(|tax| format!("  less the tax included: {tax}")));
    if it.worth_nothing.is_none() {
        lines.push(format!("  = {} minor units, rounded to {}", it.exact, it.mrr));
    }
    let doubts = [
        (it.estimated, "estimated: something had to be assumed"),
        (it.unresolved_discount, "unresolved: the terms of a discount are not known"),
    ];
    lines.extend(doubts.iter().filter(|(applies, _)| *applies).map(|(_, doubt)| format!("  {doubt}")));
    lines.join("\n")
}

fn item(it: &ItemExplanation) -> String {
    let what = format!("  {} × {}", it.quantity, it.price);
    if let Some(why) = it.worth_nothing {
        return format!("{what}: 0, {why}");
    }
    let each = it.interval.as_deref().unwrap_or("interval");
    let amount = it.per_interval.as_deref().unwrap_or("0");
    let factor = it.factor.as_deref().unwrap_or("0");
    let off: String = it.discounts.iter().map(|discount| format!(", less {discount}")).collect();
    let tax = it.tax.as_ref().map(|tax| format!(", {tax}")).unwrap_or_default();
    format!("{what}: {amount} per {each} × {factor}{off} = {}{tax}", it.monthly)
}

fn movements(movements: &[Movement]) -> String {
    let mut table = plain(&["Effective (UTC)", "Customer", "Movement", "Change", "MRR", "Event"]);
    for it in movements {
        let money = |amount| format_minor_units(amount, Some(&it.currency));
        table.add_row([
            seconds(it.effective_at),
            it.customer_id.clone(),
            it.kind.clone(),
            money(it.delta),
            money(it.mrr_after),
            it.cause_event_id.clone().unwrap_or_else(|| "the clock".to_owned()),
        ]);
    }
    right_aligned(table, 3..5).trim_fmt()
}

fn or(table: &Table, is_empty: bool, nothing: &str) -> String {
    if is_empty { nothing.to_owned() } else { table.trim_fmt() }
}
