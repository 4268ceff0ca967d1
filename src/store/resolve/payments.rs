//! Payments: from the facts of an invoice, its charges, refunds and disputes to one row each, and the
//! difference that makes to its customer's sums.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::facts::ChangedObject;
use crate::project::payments::{self, Payment};
use crate::project::stripe::{Checkout, StripeObject};

/// The namespace of row ids: "memberflow" in ASCII.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d65_6d62_6572_666c_6f77_0000_0000_0001);

/// The id of the row that memberflow creates for a Stripe object; it never changes.
#[must_use]
pub fn public_row_id(stripe_id: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, stripe_id.as_bytes())
}

/// Sums in one currency, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Monthly recurring revenue.
    pub mrr: i64,
    /// Collected.
    pub collected: i64,
    /// Refunded.
    pub refunded: i64,
    /// Withdrawn by disputes.
    pub disputed: i64,
}

impl Sums {
    /// Adds `other`, which may be negative.
    pub const fn add(&mut self, other: &Self) {
        self.mrr = self.mrr.saturating_add(other.mrr);
        self.collected = self.collected.saturating_add(other.collected);
        self.refunded = self.refunded.saturating_add(other.refunded);
        self.disputed = self.disputed.saturating_add(other.disputed);
    }
}

/// What a batch changed among the payments.
#[derive(Debug, Default)]
pub struct ChangedPayments {
    /// Payments that are new or differ.
    pub written: Vec<Payment>,
    /// Payments that no longer exist (a charge that belongs to an invoice now).
    pub removed: Vec<Payment>,
    /// What to add to each customer's sums.
    pub differences: BTreeMap<(String, String), Sums>,
    /// `payment_history` id by payment id, of those written.
    pub payment_row_ids: HashMap<String, Uuid>,
    /// Payments that are or were larger than a four-byte integer.
    pub exceeding_int4: BTreeSet<String>,
}

impl ChangedPayments {
    /// The customers whose payments changed, including those that lost one.
    pub fn customers(&self) -> impl Iterator<Item = &str> {
        self.differences.keys().map(|(customer, _)| customer.as_str())
    }
}

/// Resolves the payments of the `changed` facts. Their links were stored with the facts.
pub async fn resolve(
    tx: &mut PgConnection,
    changed: &BTreeMap<String, ChangedObject>,
) -> Result<ChangedPayments, sqlx::Error> {
    let touched: BTreeSet<String> = changed
        .iter()
        .filter(|(_, fact)| belongs_to_payment(&fact.after))
        .map(|(id, _)| id.clone())
        .collect();
    if touched.is_empty() {
        return Ok(ChangedPayments::default());
    }
    let ConnectedObjects { objects, payments: stored } = load_connected(tx, &touched).await?;
    let resolved: BTreeMap<String, Payment> = connected(objects)
        .iter()
        .flat_map(|set| payments::resolve(set))
        .map(|payment| (payment.id.clone(), payment))
        .collect();
    let mut changes = compare(resolved, stored);
    write(tx, &mut changes).await?;
    Ok(changes)
}

/// Whether `object` is part of a payment. A subscription is not valued again for it, except by an invoice's amounts
/// (`versions::add_known_terms`).
pub(in crate::store) const fn belongs_to_payment(object: &StripeObject) -> bool {
    matches!(
        object,
        StripeObject::Invoice(_)
            | StripeObject::InvoicePayment(_)
            | StripeObject::Charge(_)
            | StripeObject::Refund(_)
            | StripeObject::Dispute(_)
            | StripeObject::ImportedPayment(_)
            | StripeObject::Checkout(Checkout { invoice: Some(_), payment_intent: Some(_), .. })
    )
}

/// The links of this object to the others of its payment, in both directions.
pub(in crate::store) fn links_both_ways(state: &StripeObject) -> impl Iterator<Item = (String, String)> {
    let id = state.id();
    let others = payments::links(state).into_iter();
    others.flat_map(move |other| [(id.to_owned(), other.clone()), (other, id.to_owned())])
}

/// The objects of some payments, and the payments as stored.
#[derive(Default)]
struct ConnectedObjects {
    objects: BTreeMap<String, StripeObject>,
    payments: BTreeMap<String, Payment>,
}

/// An id with its object or payment.
type ConnectedRow = (String, Option<Json<StripeObject>>, Option<Json<Payment>>);

/// Every id is looked up by index, whatever the table statistics say.
async fn load_connected(
    tx: &mut PgConnection,
    touched: &BTreeSet<String>,
) -> Result<ConnectedObjects, sqlx::Error> {
    let rows: Vec<ConnectedRow> = sqlx::query_as(
        "with recursive connected (id) as (
             select unnest($1::text[])
             union
             select l.other from connected c
             cross join lateral (select l.other from stripe_links l where l.id = c.id offset 0) l
         )
         select c.id, f.state, p.state from connected c
         left join lateral (
             select f.state from stripe_facts f
             where f.id = c.id and f.kind in ('invoice', 'invoice_payment', 'charge', 'refund', 'dispute', 'checkout',
                                              'found_payment')
             offset 0
         ) f on true
         left join lateral (select p.state from payments p where p.id = c.id offset 0) p on true",
    )
    .bind(touched.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut loaded = ConnectedObjects::default();
    for (id, object, payment) in rows {
        loaded.objects.extend(object.map(|Json(object)| (id.clone(), object)));
        loaded.payments.extend(payment.map(|Json(payment)| (id, payment)));
    }
    Ok(loaded)
}

/// The connected components of the objects: one per payment.
fn connected(mut objects: BTreeMap<String, StripeObject>) -> Vec<Vec<StripeObject>> {
    let mut neighbours = HashMap::<String, Vec<String>>::new();
    for (id, object) in &objects {
        for other in payments::links(object) {
            neighbours.entry(id.clone()).or_default().push(other.clone());
            neighbours.entry(other).or_default().push(id.clone());
        }
    }
    let mut sets = Vec::new();
    while let Some((id, object)) = objects.pop_first() {
        let mut set = vec![object];
        let mut pending = neighbours.remove(&id).unwrap_or_default();
        while let Some(id) = pending.pop() {
            set.extend(objects.remove(&id));
            pending.extend(neighbours.remove(&id).unwrap_or_default());
        }
        sets.push(set);
    }
    sets
}

fn compare(resolved: BTreeMap<String, Payment>, mut stored: BTreeMap<String, Payment>) -> ChangedPayments {
    let mut changes = ChangedPayments::default();
    for (id, payment) in resolved {
        let before = stored.remove(&id);
        if before.as_ref() == Some(&payment) {
            continue;
        }
        if let Some(before) = before {
            changes.add_difference(&before, -1);
        }
        changes.add_difference(&payment, 1);
        changes.written.push(payment);
    }
    for payment in stored.into_values() {
        changes.add_difference(&payment, -1);
        changes.removed.push(payment);
    }
    changes
}

impl ChangedPayments {
    fn add_difference(&mut self, payment: &Payment, sign: i64) {
        if payment.exceeds_int4() {
            self.exceeding_int4.insert(payment.id.clone());
        }
        let key = (payment.customer.clone(), payment.currency.clone());
        self.differences.entry(key).or_default().add(&Sums {
            mrr: 0,
            collected: sign * payment.collected,
            refunded: sign * payment.refunded,
            disputed: sign * payment.disputed,
        });
    }
}

async fn write(tx: &mut PgConnection, changes: &mut ChangedPayments) -> Result<(), sqlx::Error> {
    if !changes.removed.is_empty() {
        sqlx::query("delete from payments where id = any($1)")
            .bind(changes.removed.iter().map(|payment| payment.id.as_str()).collect::<Vec<_>>())
            .execute(&mut *tx)
            .await?;
    }
    if changes.written.is_empty() {
        return Ok(());
    }
    let written = || changes.written.iter();
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "insert into payments (id, customer_id, currency, collected, refunded, disputed, history_id, state)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[], $8::jsonb[])
         on conflict (id) do update set
             customer_id = excluded.customer_id, currency = excluded.currency, collected = excluded.collected,
             refunded = excluded.refunded, disputed = excluded.disputed, state = excluded.state
         returning id, history_id",
    )
    .bind(written().map(|p| p.id.as_str()).collect::<Vec<_>>())
    .bind(written().map(|p| p.customer.as_str()).collect::<Vec<_>>())
    .bind(written().map(|p| p.currency.as_str()).collect::<Vec<_>>())
    .bind(written().map(|p| p.collected).collect::<Vec<_>>())
    .bind(written().map(|p| p.refunded).collect::<Vec<_>>())
    .bind(written().map(|p| p.disputed).collect::<Vec<_>>())
    .bind(written().map(|p| public_row_id(&p.id)).collect::<Vec<_>>())
    .bind(written().map(Json).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    changes.payment_row_ids = rows.into_iter().collect();
    Ok(())
}
