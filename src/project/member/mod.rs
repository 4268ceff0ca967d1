//! A member's revenue and activity rows.

use std::cmp::Reverse;

use time::OffsetDateTime;

use super::stripe::Subscription;

mod months;

#[cfg(test)]
mod tests;

pub use months::whole_months;

/// The statuses, leading ones first.
const STATUSES: [&str; 8] =
    ["active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"];

/// A subscription with its derived values.
#[derive(Clone, Debug)]
pub struct MemberSubscription {
    /// The fact.
    pub subscription: Subscription,
    /// Its status as the tables show it: the last one that the enum has; `None` if there was none.
    pub status: Option<String>,
    /// Its MRR in minor units of `currency`.
    pub mrr: i64,
    /// Lower case.
    pub currency: String,
    /// The name of its tier.
    pub tier: Option<String>,
}

/// The summary of a member's subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionSummary {
    /// The leading subscription's status.
    pub subscription_status: Option<String>,
    /// The leading subscription's tier.
    pub subscription_tier: Option<String>,
    /// The earliest start of a subscription that was more than incomplete.
    pub subscription_start_date: Option<OffsetDateTime>,
    /// Whole calendar months.
    pub months_subscribed: Option<i32>,
    /// A subscription is active or trialing.
    pub is_live: bool,
    /// Had a subscription that was more than incomplete, and none continues.
    pub has_churned: bool,
    /// A subscription is past_due or unpaid.
    pub is_past_due: bool,
}

impl MemberSubscription {
    fn has_status(&self, statuses: &[&str]) -> bool {
        self.status.as_deref().is_some_and(|status| statuses.contains(&status))
    }

    /// Whether it was more than an attempt: its first payment or trial happened.
    fn has_begun(&self) -> bool {
        self.status.is_some() && !self.has_status(&["incomplete", "incomplete_expired"])
    }

    /// Whether it has begun and continues, paid or not.
    fn continues(&self) -> bool {
        self.has_begun() && !self.has_status(&["canceled"])
    }

    /// Very old events have no `start_date`; such subscriptions started when they were created.
    fn started_at(&self) -> i64 {
        self.subscription.start_date.unwrap_or(self.subscription.created)
    }

    fn ended_at(&self) -> i64 {
        let reported = self.subscription.ended_at.or(self.subscription.canceled_at);
        reported.unwrap_or_else(|| self.started_at())
    }
}

/// Summarises the `subscriptions` of one member at `now`.
#[must_use]
pub fn summarise(subscriptions: &[MemberSubscription], now: OffsetDateTime) -> SubscriptionSummary {
    let leading = leading(subscriptions);
    let begun = || subscriptions.iter().filter(|it| it.has_begun());
    let continues = subscriptions.iter().any(MemberSubscription::continues);
    let start = begun().map(MemberSubscription::started_at).min().and_then(moment);
    let end =
        if continues { Some(now) } else { begun().map(MemberSubscription::ended_at).max().and_then(moment) };
    SubscriptionSummary {
        subscription_status: leading.and_then(|it| it.status.clone()),
        subscription_tier: leading.and_then(|it| it.tier.clone()),
        subscription_start_date: start,
        months_subscribed: start.zip(end).map(|(start, end)| whole_months(start, end.min(now))),
        is_live: subscriptions.iter().any(|it| it.has_status(&["active", "trialing"])),
        has_churned: begun().next().is_some() && !continues,
        is_past_due: subscriptions.iter().any(|it| it.has_status(&["past_due", "unpaid"])),
    }
}

/// The leading subscription: by status, then larger MRR (whatever the currency), then older start, then id.
/// Those without a representable status come last.
fn leading(subscriptions: &[MemberSubscription]) -> Option<&MemberSubscription> {
    let rank = |it: &MemberSubscription| STATUSES.iter().position(|status| it.has_status(&[status]));
    let ranked = subscriptions.iter().filter_map(|it| Some((rank(it)?, it)));
    let key = |(rank, it): &(usize, &MemberSubscription)| {
        (*rank, Reverse(it.mrr), it.started_at(), it.subscription.id.clone())
    };
    ranked.min_by_key(key).map(|(_, it)| it)
}

fn moment(unix_seconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(unix_seconds).ok()
}

/// One member's sums in one currency, minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrencyRevenue {
    /// Lower case.
    pub currency: String,
    /// Monthly recurring revenue, minor units.
    pub mrr: i64,
    /// Everything ever paid, minor units.
    pub total_spent: i64,
    /// What was paid less refunds and disputes, minor units.
    pub ltv: i64,
}

/// The currency that the one-row table shows: largest MRR, else largest total_spent, else alphabetical.
#[must_use]
pub fn main_currency(revenue: &[CurrencyRevenue]) -> Option<&CurrencyRevenue> {
    revenue.iter().min_by_key(|it| (Reverse(it.mrr), Reverse(it.total_spent), it.currency.as_str()))
}

/// Thresholds of engagement, in full 24-hour days and whole months.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Logged in within so many days: active.
    pub active_days: i64,
    /// Not logged in for more days than that: inactive.
    pub at_risk_days: i64,
    /// Subscribed for so many months and active: champion.
    pub champion_months: i32,
}

/// `active`, `at_risk`, `inactive` or `champion`.
#[must_use]
pub fn engagement(
    last_login_at: Option<OffsetDateTime>,
    summary: &SubscriptionSummary,
    thresholds: Thresholds,
    now: OffsetDateTime,
) -> &'static str {
    let Some(last_login_at) = last_login_at else { return "inactive" };
    let is_loyal = summary.is_live && summary.months_subscribed >= Some(thresholds.champion_months);
    match full_days(last_login_at, now) {
        days if days <= thresholds.active_days && is_loyal => "champion",
        days if days <= thresholds.active_days => "active",
        days if days <= thresholds.at_risk_days => "at_risk",
        _ => "inactive",
    }
}

/// `churned`, `needs_attention` or `healthy`; `engagement` as the table shows it, manual or not.
/// `has_overdue_urgent_ticket`: an urgent ticket of theirs is overdue.
#[must_use]
pub fn health(
    summary: &SubscriptionSummary,
    engagement: &str,
    has_overdue_urgent_ticket: bool,
) -> &'static str {
    if summary.has_churned {
        "churned"
    } else if summary.is_past_due || has_overdue_urgent_ticket || engagement == "at_risk" {
        "needs_attention"
    } else {
        "healthy"
    }
}

/// Full 24-hour days from `since` to `now`; never negative.
#[must_use]
pub fn full_days(since: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (now - since).whole_days().max(0)
}
