//! The expected tables, computed naively from the final state of the simulation, without any event. Each row
//! is a line of text, to compare with the database.

mod desk;
mod movements;
pub mod mrr;
mod owner;
mod payments;

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::state::{Found, NOW, Simulation, Tier, moment};
use super::stripe_sim::objects::Subscription;
use super::supabase_sim::TABLES;
use mrr::Worth;
use owner::Owner;
use payments::Payment;

/// By table: its rows. A row may be one of several, where what came first decides.
pub type Tables = BTreeMap<&'static str, Vec<Row>>;

/// The texts that a row may have, usually one.
pub type Row = Vec<String>;

const LEADING: [&str; 8] =
    ["active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"];

/// One subscription of a member, emitted of or found.
struct Held<'a> {
    id: &'a str,
    status: Option<String>,
    start: i64,
    ended: i64,
    mrr: i64,
    currency: Option<String>,
    tier: Option<&'a Tier>,
}

struct Model<'a> {
    simulation: &'a Simulation,
    owners: BTreeMap<String, Owner>,
    payments: Vec<Payment>,
    worth: BTreeMap<&'a str, Worth>,
}

pub fn tables(simulation: &Simulation) -> Tables {
    let payments = payments::all(&simulation.stripe);
    let mut customers: BTreeSet<String> = simulation.stripe.customers.keys().cloned().collect();
    customers.extend(payments.iter().map(|payment| payment.customer.clone()));
    customers.extend(simulation.stripe.addresses.keys().cloned());
    // Guests, too, whose payment came to nothing: an object says whose they are.
    customers.extend(simulation.stripe.named.values().map(|named| named.customer.clone()));
    let checkouts = simulation.stripe.checkouts.values().filter(|it| it.reference.is_some() && !it.abandoned);
    customers.extend(checkouts.filter_map(|it| it.customer.clone().or(it.intent.clone())));
    let subscriptions = simulation.stripe.subscriptions.values();
    let model = Model {
        simulation,
        owners: customers.iter().map(|id| (id.clone(), owner::owner(simulation, id))).collect(),
        payments,
        worth: subscriptions.map(|it| (it.id.as_str(), movements::worth_at(simulation, it, NOW))).collect(),
    };
    BTreeMap::from([
        ("customer_subscriptions", model.subscriptions()),
        ("payment_history", model.payment_history()),
        ("user_revenue_metrics", model.revenue()),
        ("user_revenue_by_currency", model.by_currency()),
        ("user_activity_metrics", model.activity()),
        ("parked", model.parked()),
        ("mrr_movements", model.movements()),
        ("sms_messages", desk::messages(simulation)),
        ("sms_consents", desk::consents(simulation)),
        ("support_tickets", desk::tickets(simulation)),
    ])
}

fn said<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl<'a> Model<'a> {
    fn user(&self, customer: &str) -> Option<Uuid> {
        match self.owners[customer] {
            Owner::User { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The first item whose price a tier names, else whose product a tier names.
    fn tier(&self, it: &Subscription) -> (String, Option<&'a Tier>) {
        let items = &it.items[..it.items.len().min(10)];
        let tiers = &self.simulation.tiers;
        for item in items {
            if let Some(tier) = tiers.iter().find(|tier| tier.price.as_ref() == Some(&item.price.id)) {
                return (item.price.id.clone(), Some(tier));
            }
        }
        for item in items {
            if let Some(tier) = tiers.iter().find(|tier| tier.product.as_ref() == Some(&item.price.product)) {
                return (item.price.id.clone(), Some(tier));
            }
        }
        // The row that stood there before had one, which no price or product need name any more.
        let found = self.simulation.found.iter().find(|found| found.subscription == it.id);
        (items[0].price.id.clone(), found.map(|found| self.found_tier(found)))
    }

    fn unreported(&self) -> impl Iterator<Item = &'a Found> {
        self.simulation
            .found
            .iter()
            .filter(|found| !self.simulation.stripe.subscriptions.contains_key(&found.subscription))
    }

    fn subscriptions(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for it in self.simulation.stripe.subscriptions.values() {
            let (price, tier) = self.tier(it);
            let (Some(user), Some(tier), Some(status)) = (self.user(&it.customer), tier, &it.known_status)
            else {
                continue;
            };
            rows.push(vec![format!(
                "user={user} tier={} customer={} subscription={} price={price} status={status} period={}..{} \
                 cancels={} cancel_at={} canceled={} reason={} feedback={} paused={} trial={}..{} created={}",
                tier.id,
                it.customer,
                it.id,
                it.period.0,
                it.period.1,
                it.cancel_at_period_end,
                said(it.cancel_at),
                said(it.canceled_at),
                said(it.reason),
                said(it.feedback),
                it.pause.is_some(),
                said(it.trial.map(|trial| trial.0)),
                said(it.trial.map(|trial| trial.1)),
                it.created,
            )]);
        }
        for it in self.unreported() {
            let Some(user) = self.user(&it.customer) else { continue };
            let tier = self.found_tier(it);
            let canceled = (it.status == "canceled").then_some(it.created + 86_400);
            rows.push(vec![format!(
                "user={user} tier={} customer={} subscription={} price={} status={} period=.. cancels=false \
                 cancel_at= canceled={} reason= feedback= paused=false trial=.. created={}",
                tier.id,
                it.customer,
                it.subscription,
                it.price,
                it.status,
                said(canceled),
                it.created,
            )]);
        }
        rows
    }

    /// It can never leave the state that it is in, whatever a thin event says.
    fn is_over(&self, object: &str) -> bool {
        let stripe = &self.simulation.stripe;
        stripe.subscriptions.get(object).is_some_and(|it| it.ended_at.is_some())
            || stripe.invoices.get(object).is_some_and(|it| ["paid", "void"].contains(&it.status))
            || self.simulation.deleted.contains(object)
    }

    /// Its customer is deleted, and nobody has emitted of its end.
    fn has_lost_customer(&self, it: &Subscription) -> bool {
        let is_over = ["canceled", "incomplete_expired"].contains(&it.status.as_str());
        self.simulation.stripe.customers[&it.customer].deleted && !is_over
    }

    fn found_tier(&self, it: &Found) -> &'a Tier {
        self.simulation
            .tiers
            .iter()
            .find(|tier| tier.price.as_ref() == Some(&it.price))
            .expect("a named price")
    }

    fn payment_history(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for it in &self.payments {
            let Some(user) = self.user(&it.customer) else { continue };
            let subscription = it.subscription.as_ref().filter(|id| {
                let subscription = &self.simulation.stripe.subscriptions[*id];
                self.tier(subscription).1.is_some() && subscription.known_status.is_some()
            });
            rows.push(vec![format!(
                "user={user} subscription={} intent={} invoice={} amount={} refunded={} disputed={} currency={} \
                 status={} paid={} created={}",
                said(subscription), said(it.intent.as_ref()), said(it.invoice.as_ref()), it.amount, it.refunded,
                it.disputed, it.currency, it.status, said(it.paid_at), it.created,
            )]);
        }
        rows
    }

    fn held(&self, user: Uuid) -> Vec<Held<'a>> {
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
                    tier: Some(self.found_tier(it)),
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

    fn members(&self) -> BTreeSet<Uuid> {
        self.owners.keys().filter_map(|customer| self.user(customer)).collect()
    }

    fn revenue(&self) -> Vec<Row> {
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
        let standing = standing(&held);
        format!(
            "user={user} tier={} status={} start={} months={} mrr={mrr} ltv={ltv} spent={spent} currency={}",
            said(leading.and_then(|it| it.tier).map(|tier| &tier.name)),
            said(leading.and_then(|it| it.status.as_ref())),
            said(standing.start),
            standing.months,
            said(currency),
        )
    }

    fn by_currency(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for user in self.members() {
            for (currency, (mrr, spent, ltv)) in self.money(user) {
                rows.push(vec![format!("user={user} currency={currency} mrr={mrr} ltv={ltv} spent={spent}")]);
            }
        }
        rows
    }

    /// Members of whom anything was ever said.
    fn activity(&self) -> Vec<Row> {
        let mut users = self.members();
        users.extend(self.owners.keys().flat_map(|customer| owner::named(self.simulation, customer)));
        users.extend(self.simulation.supabase.users.values().filter(|user| user.emitted).map(|user| user.id));
        users.extend(
            self.simulation.stripe.ever_named.iter().filter_map(|id| owner::user(self.simulation, id)),
        );
        users.extend(self.simulation.by_hand.keys());
        users.retain(|id| self.simulation.supabase.users[id].present);
        users.into_iter().map(|user| vec![self.activity_of(user)]).collect()
    }

    fn activity_of(&self, user: Uuid) -> String {
        let supabase = &self.simulation.supabase;
        let logins: Vec<OffsetDateTime> =
            supabase.logins.values().filter(|(whose, _)| *whose == user).map(|(_, at)| *at).collect();
        let last = logins.iter().max().copied();
        let days = last.map(|at| (moment(NOW) - at).whole_days());
        let standing = standing(&self.held(user));
        let computed = match days {
            Some(0..=7) if standing.live && standing.months >= 6 => "champion",
            Some(0..=7) => "active",
            Some(8..=30) => "at_risk",
            _ => "inactive",
        };
        let engagement = self.simulation.by_hand.get(&user).copied().unwrap_or(computed);
        let health = match () {
            () if standing.churned => "churned",
            () if standing.behind || engagement == "at_risk" => "needs_attention",
            () => "healthy",
        };
        let rows = |table: &str| {
            let of_user = move |row: &&serde_json::Value| {
                let owner = row.get("owner_id").or(row.get("user_id")).and_then(|id| id.as_str());
                owner == Some(user.to_string().as_str())
            };
            let of_table = supabase.rows.iter().filter(move |((of, _), _)| *of == table);
            of_table.map(|(_, row)| row).filter(of_user).collect::<Vec<_>>()
        };
        let is = |row: &serde_json::Value, key: &str| row[key].as_bool() == Some(true);
        let files = rows(TABLES[0]);
        let bytes: i64 = files.iter().map(|row| row["metadata"]["size"].as_i64().unwrap()).sum();
        let visions = rows(TABLES[1]).into_iter().filter(|row| !is(row, "is_draft")).count();
        let journal = rows(TABLES[2]).len();
        let profiles = rows(TABLES[3]).into_iter().filter(|row| is(row, "is_active") && !is(row, "is_draft"));
        let newest = profiles.max_by_key(|row| (row["updated_at"].to_string(), row["id"].to_string()));
        let filled = newest.map_or(0, |row| {
            ["first_name", "last_name", "email", "phone"]
                .into_iter()
                .filter(|key| row[*key] != "")
                .filter(|key| !row[*key].is_null())
                .count()
                * 25
        });
        // Hundredths of a megabyte, half up.
        let hundredths = (bytes * 200 + 1_048_576) / (2 * 1_048_576);
        format!(
            "user={user} last={} days={} engagement={engagement} health={health} logins={} files={} mb={}.{:02} \
             visions={visions} journal={journal} profile={filled}",
            said(last.map(|at| (at - OffsetDateTime::UNIX_EPOCH).whole_microseconds())),
            said(days),
            logins.len(),
            files.len(),
            hundredths / 100,
            hundredths % 100,
        )
    }

    fn movements(&self) -> Vec<Row> {
        let customers = self.simulation.stripe.customers.keys();
        let of_customer = |customer: &String| {
            let user = said(self.user(customer));
            let lines = movements::all(self.simulation, customer).into_iter();
            lines.map(move |line| vec![format!("customer={customer} user={user} {line}")]).collect::<Vec<_>>()
        };
        customers.flat_map(of_customer).collect()
    }

    fn parked(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut park = |subject: &str, reasons: &[&str]| {
            rows.push(reasons.iter().map(|reason| format!("subject={subject} reason={reason}")).collect());
        };
        for (customer, owner) in &self.owners {
            match owner {
                Owner::User { flagged: false, .. } => {}
                Owner::User { .. } => park(customer, &["disputed_user"]),
                Owner::Gone => park(customer, &["user_gone"]),
                Owner::Ambiguous => park(customer, &["ambiguous_email"]),
                Owner::Unknown { perhaps_gone: true } => park(customer, &["unknown_user", "user_gone"]),
                Owner::Unknown { .. } => park(customer, &["unknown_user"]),
            }
        }
        for it in self.simulation.stripe.subscriptions.values() {
            let worth = &self.worth[it.id.as_str()];
            let reasons = [
                (self.tier(it).1.is_none(), "no_tier"),
                (it.status == "dormant", "unknown_status"),
                (it.items.len() > 10, "items_truncated"),
                (worth.unresolved, "unresolved_discount"),
                (worth.estimated, "estimated_mrr"),
                (is_overdue(it), "overdue"),
                (self.has_lost_customer(it), "needs_stripe"),
            ];
            reasons.iter().filter(|(applies, _)| *applies).for_each(|(_, reason)| park(&it.id, &[reason]));
        }
        self.unreported().for_each(|it| park(&it.subscription, &["needs_stripe"]));
        let thin: BTreeSet<&String> = self
            .simulation
            .thin
            .iter()
            .filter(|(object, at)| {
                self.simulation.last_emitted.get(object).is_none_or(|emitted| emitted < at)
            })
            .filter(|(object, _)| !self.is_over(object))
            .map(|(object, _)| object)
            .collect();
        thin.into_iter().for_each(|object| park(object, &["thin_event"]));
        rows
    }
}

/// Whether a trial or a cancellation lies more than an hour back, and the subscription goes on as it was.
fn is_overdue(it: &Subscription) -> bool {
    let trial = it.trial.filter(|_| it.status == "trialing").map(|(_, end)| end);
    let cancellation = it.cancel_at_period_end.then_some(it.period.1).into_iter().chain(it.cancel_at);
    let is_over = ["canceled", "incomplete_expired"].contains(&it.status.as_str());
    !is_over && trial.into_iter().chain(cancellation).any(|end| end + 3600 <= NOW)
}

/// What a member's subscriptions say together.
struct Standing {
    start: Option<i64>,
    months: i64,
    live: bool,
    churned: bool,
    behind: bool,
}

fn standing(held: &[Held<'_>]) -> Standing {
    let is = |it: &Held<'_>, statuses: &[&str]| it.status.as_deref().is_some_and(|it| statuses.contains(&it));
    let begun: Vec<&Held<'_>> = held
        .iter()
        .filter(|it| it.status.is_some() && !is(it, &["incomplete", "incomplete_expired"]))
        .collect();
    let lives = begun.iter().any(|it| !is(it, &["canceled"]));
    let start = begun.iter().map(|it| it.start).min();
    let end = if lives { Some(NOW) } else { begun.iter().map(|it| it.ended).max() };
    Standing {
        start,
        months: start.zip(end).map_or(0, |(start, end)| months(start, end.min(NOW))),
        live: held.iter().any(|it| is(it, &["active", "trialing"])),
        churned: !begun.is_empty() && !lives,
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
