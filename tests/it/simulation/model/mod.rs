//! The expected tables, computed naively from the final state of the simulation, without any event. Each row
//! is a line of text, to compare with the database.

mod desk;
mod movements;
pub mod mrr;
mod owner;
mod payments;
mod revenue;

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use uuid::Uuid;

use super::state::{NOW, PreexistingRow, Simulation, Tier, moment};
use super::stripe_sim::objects::Subscription;
use super::supabase_sim::TABLES;
use mrr::Worth;
use owner::Owner;
use payments::Payment;
use revenue::summarise;

/// By table: its rows. A row may be one of several, where what came first decides.
pub type Tables = BTreeMap<&'static str, Vec<Row>>;

/// The texts that a row may have, usually one.
pub type Row = Vec<String>;

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
        let row = self.simulation.preexisting.iter().find(|row| row.subscription == it.id);
        (items[0].price.id.clone(), row.map(|row| self.preexisting_tier(row)))
    }

    fn unreported(&self) -> impl Iterator<Item = &'a PreexistingRow> {
        self.simulation
            .preexisting
            .iter()
            .filter(|row| !self.simulation.stripe.subscriptions.contains_key(&row.subscription))
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
            let tier = self.preexisting_tier(it);
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

    fn preexisting_tier(&self, it: &PreexistingRow) -> &'a Tier {
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
        let summary = summarise(&self.held(user));
        let computed = match days {
            Some(0..=7) if summary.live && summary.months >= 6 => "champion",
            Some(0..=7) => "active",
            Some(8..=30) => "at_risk",
            _ => "inactive",
        };
        let engagement = self.simulation.by_hand.get(&user).copied().unwrap_or(computed);
        let health = match () {
            () if summary.churned => "churned",
            () if summary.behind || engagement == "at_risk" => "needs_attention",
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
                Owner::Deleted => park(customer, &["user_gone"]),
                Owner::Ambiguous => park(customer, &["ambiguous_email"]),
                Owner::Unknown { perhaps_deleted: true } => park(customer, &["unknown_user", "user_gone"]),
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

/// Whether a trial or a cancellation lies more than an hour back, and the subscription continues as it was.
fn is_overdue(it: &Subscription) -> bool {
    let trial = it.trial.filter(|_| it.status == "trialing").map(|(_, end)| end);
    let cancellation = it.cancel_at_period_end.then_some(it.period.1).into_iter().chain(it.cancel_at);
    let is_over = ["canceled", "incomplete_expired"].contains(&it.status.as_str());
    !is_over && trial.into_iter().chain(cancellation).any(|end| end + 3600 <= NOW)
}
