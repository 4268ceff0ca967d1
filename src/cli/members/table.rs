//! Members as tables for a terminal.

use comfy_table::Table;

use crate::cli::moment::{days, minutes};
use crate::cli::table::{GAP, in_words, plain, right_aligned, spaced, text, word};
use crate::money::format_minor_units;
use crate::ops::members::{Detail, Member, Subscription};

/// The width of a table, in characters.
pub const WIDTH: u16 = 120;
/// The minimum width of a shortened column.
const LEAST: usize = 8;
/// Entries of a member's timeline; JSON shows more.
const CONTACTS_IN_TEXT: usize = 20;
/// Characters of an entry's text.
const CONTACT_CHARS: usize = 60;

/// The member list, one line per member, at most `width` columns wide.
///
/// Long texts end with an ellipsis; amounts are never cut, because that would be wrong.
#[must_use]
pub fn table(members: &[Member], width: u16) -> Table {
    let header = ["Name", "Email", "Tier", "Status", "Engagement", "Health", "MRR", "LTV", "Login"];
    let mut rows: Vec<[String; 9]> = members.iter().map(row).collect();
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or_default()
    };
    let gap = usize::from(GAP);
    let fixed: usize = (3..9).map(|column| widest(column) + gap).sum();
    let words = [widest(0), widest(1), widest(2)];
    let limits = share(usize::from(width).saturating_sub(fixed + 2 * gap), words);
    for row in &mut rows {
        for (cell, limit) in row.iter_mut().zip(limits) {
            *cell = shortened(cell, limit);
        }
    }
    let mut table = plain(&header);
    for row in rows {
        table.add_row(row);
    }
    right_aligned(table, 6..)
}

fn row(member: &Member) -> [String; 9] {
    let currency = member.currency.as_deref();
    [
        text(member.full_name.as_deref()),
        text(member.email.as_deref().or(member.phone.as_deref())),
        text(member.subscription_tier.as_deref()),
        word(member.subscription_status.as_deref()),
        word(member.engagement_status.as_deref()),
        word(member.health_status.as_deref()),
        format_minor_units(member.mrr, currency),
        format_minor_units(member.ltv, currency),
        days_ago(member.days_since_last_login),
    ]
}

/// Column widths that fit into `room`: narrow columns keep their width, the others share the rest, none below
/// [`LEAST`].
fn share(room: usize, widths: [usize; 3]) -> [usize; 3] {
    let mut order = [0, 1, 2];
    order.sort_by_key(|column| widths[*column]);
    let mut limits = [0; 3];
    let mut left = room;
    for (done, column) in order.into_iter().enumerate() {
        limits[column] = widths[column].min((left / (3 - done)).max(LEAST));
        left = left.saturating_sub(limits[column]);
    }
    limits
}

fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// One member with everything, as text.
#[must_use]
pub fn detail(detail: &Detail) -> String {
    let mut parts = vec![facts(detail).trim_fmt()];
    if !detail.subscriptions.is_empty() {
        parts.push(subscriptions(detail).trim_fmt());
    }
    if !detail.payments.is_empty() {
        parts.push(payments(detail).trim_fmt());
    }
    if !detail.timeline.is_empty() {
        parts.push(contacts(detail).trim_fmt());
    }
    if !detail.texting.numbers.is_empty() {
        parts.push(consents(detail).trim_fmt());
    }
    parts.join("\n\n")
}

fn facts(detail: &Detail) -> Table {
    let (member, more) = (&detail.member, &detail.more);
    let money = |amount| format_minor_units(amount, member.currency.as_deref());
    let by_hand = |manual| if manual { " (set by hand)" } else { "" };
    let mut table = plain(&[]);
    for (name, value) in [
        ("User id", Some(member.user_id.to_string())),
        ("Name", member.full_name.clone()),
        ("Email", member.email.clone()),
        ("Phone", member.phone.clone()),
        (
            "May be texted",
            Some(
                detail
                    .texting
                    .may_be_texted
                    .map_or("unknown", |may| if may { "yes" } else { "no" })
                    .to_owned(),
            ),
        ),
        ("Account made", member.created_at.map(minutes)),
        ("Subscription", member.subscription_status.as_ref().map(|status| in_words(status))),
        ("Tier", member.subscription_tier.clone()),
        ("Stripe customer", member.stripe_customer_id.clone()),
        ("Customer since", more.subscription_start_date.map(days)),
        ("Months subscribed", Some(more.months_subscribed.to_string())),
        ("MRR", Some(money(member.mrr))),
        ("LTV", Some(money(member.ltv))),
        ("Total spent", Some(money(member.total_spent))),
        (
            "Engagement",
            member
                .engagement_status
                .as_ref()
                .map(|status| in_words(status) + by_hand(more.engagement_status_is_manual)),
        ),
        (
            "Health",
            member
                .health_status
                .as_ref()
                .map(|status| in_words(status) + by_hand(more.health_status_is_manual)),
        ),
        ("Last login", member.last_login_at.map(minutes)),
        ("Logins", Some(more.total_logins.to_string())),
        ("Visions", Some(member.vision_count.to_string())),
        ("Journal entries", Some(member.journal_entry_count.to_string())),
        ("Files", Some(format!("{} ({:.2} MB)", more.s3_file_count, more.total_storage_mb))),
        ("Open tickets", Some(detail.support.open_tickets.to_string())),
        ("Waits for staff since", detail.support.waiting_since.map(minutes)),
        ("Last contact", detail.support.last_contact_at.map(minutes)),
        ("Tags", Some(member.custom_tags.join(", ")).filter(|tags| !tags.is_empty())),
        ("Notes", more.admin_notes.clone()),
    ] {
        table.add_row([text(Some(name)), text(value.as_deref())]);
    }
    spaced(table)
}

fn subscriptions(detail: &Detail) -> Table {
    let mut table =
        plain(&["Subscription", "Customer", "Tier", "Status", "Period ends", "Cancels", "Reason", "Made"]);
    for subscription in &detail.subscriptions {
        let ends = if subscription.cancel_at_period_end { " (last)" } else { "" };
        let period_end = subscription.current_period_end.map(|moment| days(moment) + ends);
        let paused = if subscription.collection_paused { " (collection paused)" } else { "" };
        table.add_row([
            text(subscription.stripe_subscription_id.as_deref()),
            text(Some(&subscription.stripe_customer_id)),
            text(Some(&subscription.tier)),
            word(Some(&subscription.status)) + paused,
            text(period_end.as_deref()),
            text(subscription.cancel_at.map(days).as_deref()),
            word(reason(subscription).as_deref()),
            text(subscription.created_at.map(days).as_deref()),
        ]);
    }
    spaced(table)
}

/// Why it was canceled, and the member's feedback.
fn reason(subscription: &Subscription) -> Option<String> {
    let said = [&subscription.cancellation_reason, &subscription.cancellation_feedback];
    let said: Vec<&str> = said.into_iter().flatten().map(String::as_str).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn payments(detail: &Detail) -> Table {
    let mut table = plain(&["Payment", "Status", "Amount", "Refunded", "Disputed", "Paid"]);
    for payment in &detail.payments {
        let money = |amount| format_minor_units(amount, Some(&payment.currency));
        let id = payment.stripe_invoice_id.as_deref().or(payment.stripe_payment_intent_id.as_deref());
        table.add_row([
            text(id),
            word(Some(&payment.status)),
            money(payment.amount),
            money(payment.amount_refunded),
            money(payment.amount_disputed),
            text(payment.paid_at.map(minutes).as_deref()),
        ]);
    }
    right_aligned(table, 2..5)
}

/// The latest contacts, newest first.
fn contacts(detail: &Detail) -> Table {
    let mut table = plain(&["When", "What", "By", "Ticket", "Text"]);
    for contact in detail.timeline.iter().take(CONTACTS_IN_TEXT) {
        let line = shortened(contact.text.lines().next().unwrap_or_default(), CONTACT_CHARS);
        table.add_row([
            text(contact.at.map(minutes).as_deref()),
            word(Some(&contact.kind)),
            word(contact.by.as_deref()),
            text(contact.ticket_number.as_deref()),
            text(Some(&line)),
        ]);
    }
    spaced(table)
}

fn consents(detail: &Detail) -> Table {
    let mut table = plain(&["Number", "Said", "By", "Text", "Message", "When"]);
    for said in &detail.texting.numbers {
        table.add_row([
            text(Some(&said.number)),
            text(Some(if said.opted_in { "opted in" } else { "opted out" })),
            word(Some(&said.source)),
            text(said.body.as_deref().filter(|body| !body.is_empty()).or(said.keyword.as_deref())),
            text(Some(&said.twilio_sid)),
            text(Some(&minutes(said.changed_at))),
        ]);
    }
    spaced(table)
}

fn days_ago(days: Option<i64>) -> String {
    match days {
        None => "never".to_owned(),
        Some(0) => "today".to_owned(),
        Some(days) => format!("{days} d"),
    }
}
