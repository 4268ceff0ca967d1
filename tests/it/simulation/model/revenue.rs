//! Members' revenue from their subscriptions and payments.

use std::collections::{BTreeMap, BTreeSet};

use time::Duration;
use uuid::Uuid;

use super::super::state::{NOW, Tier, moment};
use super::{Model, Row, said};

const LEADING: [&str; 8] =
    ["active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"];

/// One subscription of a member, emitted of or pre-existing.
pub(super) struct Held<'a> {
    id: &'a str,
    status: Option<String>,
    start: i64,
    ended: i64,
    mrr: i64,
    currency: Option<String>,
    tier: Option<&'a Tier>,
}

impl<'a> Model<'a> {
    pub(super) fn held(&self, user: Uuid) -> Vec<Held<'a>> {
        let mut held = Vec::new();
        for it in self.simulation.stripe.subscriptions.values() {
            if self.user(&it.customer) == Some(user) {
                held.push(Held {
                    id: &it.id,
                    status: it.known_status.clone(),
                    start: it.start_date,
                    ended: it.ended_at.unwrap_or(it.start_date),
                    mrr: self.worth[it.id.as_str()].minor,
                    currency: Some(it.currency.clone()),
                    tier: self.tier(it).1,
                });
            }
        }
        for it in self.unreported() {
            if self.user(&it.customer) == Some(user) {
                held.push(Held {
                    id: &it.subscription,
                    status: Some(it.status.to_owned()),
                    start: it.created,
                    ended: it.created + 86_400,
                    mrr: 0,
                    currency: None,
                    tier: Some(self.preexisting_tier(it)),
                });
            }
        }
        held
    }

    /// By currency: MRR, total spent, LTV, of those in which anything ever was.
    fn money(&self, user: Uuid) -> BTreeMap<String, (i64, i64, i64)> {
        let mut money: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        let mut moved: BTreeSet<String> = BTreeSet::new();
        for it in self.simulation.stripe.subscriptions.values() {
            let mrr = self.worth[it.id.as_str()].minor;
            if self.user(&it.customer) == Some(user) && mrr != 0 {
                money.entry(it.currency.clone()).or_default().0 += mrr;
                moved.insert(it.currency.clone());
            }
        }
        for it in &self.payments {
            if self.user(&it.customer) == Some(user) {
                let sums = money.entry(it.currency.clone()).or_default();
                sums.1 += it.amount;
                sums.2 += it.amount - it.refunded - it.disputed;
                if it.amount != 0 {
                    moved.insert(it.currency.clone());
                }
            }
        }
        money.retain(|currency, _| moved.contains(currency));
        money
    }

    pub(super) fn members(&self) -> BTreeSet<Uuid> {
        self.owners.keys().filter_map(|customer| self.user(customer)).collect()
    }

    pub(super) fn revenue(&self) -> Vec<Row> {
        self.members().into_iter().map(|user| vec![self.revenue_of(user)]).collect()
    }

    fn revenue_of(&self, user: Uuid) -> String {
        let held = self.held(user);
        let money = self.money(user);
        let mut currencies: Vec<(&String, &(i64, i64, i64))> = money.iter().collect();
        currencies.sort_by(|a, b| (b.1.0, b.1.1).cmp(&(a.1.0, a.1.1)).then(a.0.cmp(b.0)));
        let main = currencies.first();
        let (mrr, spent, ltv) = main.map_or((0, 0, 0), |(_, sums)| **sums);
        // Where no money is, a subscription still has a currency.
        let of_subscription = held.iter().filter_map(|it| it.currency.clone()).min();
        let currency = main.map(|(currency, _)| (*currency).clone()).or(of_subscription);
        let leading = leading(&held);
        let summary = summarise(&held);
        format!(
            "user={user} tier={} status={} start={} months={} mrr={mrr} ltv={ltv} spent={spent} currency={}",
            said(leading.and_then(|it| it.tier).map(|tier| &tier.name)),
            said(leading.and_then(|it| it.status.as_ref())),
            said(summary.start),
            summary.months,
            said(currency),
        )
    }

    pub(super) fn by_currency(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for user in self.members() {
            for (currency, (mrr, spent, ltv)) in self.money(user) {
                rows.push(vec![format!("user={user} currency={currency} mrr={mrr} ltv={ltv} spent={spent}")]);
            }
        }
        rows
    }
}

/// What a member's subscriptions say together.
pub(super) struct SubscriptionSummary {
    start: Option<i64>,
    pub(super) months: i64,
    pub(super) live: bool,
    pub(super) churned: bool,
    pub(super) behind: bool,
}

pub(super) fn summarise(held: &[Held<'_>]) -> SubscriptionSummary {
    let is = |it: &Held<'_>, statuses: &[&str]| it.status.as_deref().is_some_and(|it| statuses.contains(&it));
    let begun: Vec<&Held<'_>> = held
        .iter()
        .filter(|it| it.status.is_some() && !is(it, &["incomplete", "incomplete_expired"]))
        .collect();
    let is_alive = begun.iter().any(|it| !is(it, &["canceled"]));
    let start = begun.iter().map(|it| it.start).min();
    let end = if is_alive { Some(NOW) } else { begun.iter().map(|it| it.ended).max() };
    SubscriptionSummary {
        start,
        months: start.zip(end).map_or(0, |(start, end)| months(start, end.min(NOW))),
        live: held.iter().any(|it| is(it, &["active", "trialing"])),
        churned: !begun.is_empty() && !is_alive,
        behind: held.iter().any(|it| is(it, &["past_due", "unpaid"])),
    }
}

fn leading<'h, 'a>(held: &'h [Held<'a>]) -> Option<&'h Held<'a>> {
    let mut ranked: Vec<(usize, &Held<'_>)> = held
        .iter()
        .filter_map(|it| Some((LEADING.iter().position(|status| it.status.as_deref() == Some(status))?, it)))
        .collect();
    ranked.sort_by(|(a, x), (b, y)| {
        a.cmp(b).then(y.mrr.cmp(&x.mrr)).then(x.start.cmp(&y.start)).then(x.id.cmp(y.id))
    });
    ranked.first().map(|(_, it)| *it)
}

/// Calendar months, counted one by one: each is over on the same day of the month, or the month's last.
fn months(start: i64, end: i64) -> i64 {
    let (start, end) = (moment(start), moment(end));
    let mut count = 0;
    loop {
        let month = i64::from(u8::from(start.month())) - 1 + count + 1;
        let year = start.year() + i32::try_from(month / 12).unwrap();
        let month = time::Month::try_from(u8::try_from(month % 12 + 1).unwrap()).unwrap();
        let first = start.replace_day(1).unwrap().replace_year(year).unwrap().replace_month(month).unwrap();
        let day = start.day().min(month.length(year));
        if first + Duration::days(i64::from(day) - 1) > end {
            return count;
        }
        count += 1;
    }
}
