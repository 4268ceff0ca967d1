//! Versions: the states of each subscription, customer and discount over time, and from which second a
//! customer's ledger must be recomputed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::facts::{ChangedObject, Resolvable as _, Winner};
use super::{catalogue, preexisting};
use crate::project::movements::{BEGINNING, Version, versioned_state};
use crate::project::mrr::{self, Catalogue};
use crate::project::stripe::{Discount, KNOWN_STATUSES, StripeObject, Subscription};
use crate::store::from_unix_seconds;

/// By customer: the second from which its ledger must be computed again.
pub type LedgerFrom = BTreeMap<String, i64>;

fn add(ledger_from: &mut LedgerFrom, customer: &str, at: i64) {
    ledger_from.entry(customer.to_owned()).and_modify(|earliest| *earliest = at.min(*earliest)).or_insert(at);
}

/// The winner of a position in an object's history, as it is stored.
pub(in crate::store) struct NewVersion {
    pub id: String,
    pub occurred_at: OffsetDateTime,
    pub is_final: bool,
    pub event_id: String,
    /// The value needs the lines of an invoice: the subscription itself does not show what an item costs.
    pub wants_lines: bool,
    pub state: StripeObject,
}

/// The versions among the `winners`.
pub(in crate::store) fn of_winners(winners: &[Winner<StripeObject>]) -> Vec<NewVersion> {
    let version = |Winner { reported, .. }: &Winner<StripeObject>| {
        let state = versioned_state(&reported.report.state)?;
        Some(NewVersion {
            id: reported.report.subject.clone(),
            occurred_at: reported.report.occurred_at,
            is_final: reported.report.is_final,
            event_id: reported.event_id.clone(),
            wants_lines: wants_lines(&state),
            state,
        })
    };
    winners.iter().filter_map(version).collect()
}

/// A version that is new or has changed.
#[derive(FromRow)]
pub(in crate::store) struct Revised {
    id: String,
    occurred_at: OffsetDateTime,
    is_first_of_discount: bool,
}

impl Revised {
    /// The second from which it changes the ledger. An earliest version of a discount matters from the beginning: its terms
    /// apply from its start, which may be long before, and to everything that names it by id.
    const fn since(&self) -> i64 {
        if self.is_first_of_discount { BEGINNING } else { self.occurred_at.unix_timestamp() }
    }
}

fn wants_lines(state: &StripeObject) -> bool {
    matches!(state, StripeObject::Subscription(it) if mrr::needs_lines(it, &Catalogue::default()))
}

/// From which second `revised` versions change their customers' ledgers.
pub(in crate::store) fn ledger_from_revised<'a>(
    revised: &[Revised],
    customer_of: impl Fn(&str) -> Option<&'a str>,
) -> LedgerFrom {
    let mut ledger_from = LedgerFrom::new();
    for version in revised {
        if let Some(customer) = customer_of(&version.id) {
            add(&mut ledger_from, customer, version.since());
        }
    }
    ledger_from
}

/// Adds the customers that an object named before and names now, if they differ: it belongs to the latter with all of
/// its history.
pub(in crate::store) fn add_changed_customers(
    ledger_from: &mut LedgerFrom,
    changed: &BTreeMap<String, ChangedObject>,
) {
    for fact in changed.values() {
        let Some(before) = fact.before.as_ref().filter(|before| before.has_history()) else {
            continue;
        };
        let customers = [before.customer_id(), fact.after.customer_id()];
        if customers[0] != customers[1] {
            customers.into_iter().flatten().for_each(|customer| add(ledger_from, customer, BEGINNING));
        }
    }
}

/// Adds the customers whose history changes in value because terms became known: from the beginning for a
/// price, a coupon or a discount; from an invoice on if only that has the amount of an item or a discount. `need_invoice_lines`:
/// customers with such an item, at least those of the changed invoices.
pub(in crate::store) async fn add_known_terms(
    tx: &mut PgConnection,
    ledger_from: &mut LedgerFrom,
    changed: &BTreeMap<String, ChangedObject>,
    need_invoice_lines: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    for customer in catalogue::dependents(tx, changed).await? {
        add(ledger_from, &customer, BEGINNING);
    }
    for (customer, at) in invoiced(changed) {
        if need_invoice_lines.contains(customer) {
            add(ledger_from, customer, at);
        }
    }
    for (customer, at) in discounted_in_other_currencies(tx, changed).await? {
        add(ledger_from, &customer, at);
    }
    Ok(())
}

/// By customer: the earliest of the `changed` invoices with lines. Each counts from its creation, and its last event
/// is the cause of the movement: so the ledger is recomputed even if the lines stayed the same.
fn invoiced(changed: &BTreeMap<String, ChangedObject>) -> BTreeMap<&str, i64> {
    let created_with_lines = |state: &StripeObject| match state {
        StripeObject::Invoice(it) if !it.recurring_lines.is_empty() => Some(it.created),
        _ => None,
    };
    let mut earliest = BTreeMap::<&str, i64>::new();
    for fact in changed.values() {
        let states = fact.before.iter().chain([&fact.after]);
        let (Some(customer), Some(at)) =
            (fact.after.customer_id(), states.filter_map(created_with_lines).min())
        else {
            continue;
        };
        earliest.entry(customer).and_modify(|it| *it = at.min(*it)).or_insert(at);
    }
    earliest
}

/// The customers of `changed` invoices that show the amount of a discount in another currency, each with the second
/// from which that matters: the beginning for a new amount, else the invoice's creation, as in [`invoiced`].
async fn discounted_in_other_currencies(
    tx: &mut PgConnection,
    changed: &BTreeMap<String, ChangedObject>,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let amounts = |state: &StripeObject| match state {
        StripeObject::Invoice(it) => it.discount_amounts.clone(),
        _ => BTreeMap::new(),
    };
    let mut taken = Vec::new();
    for fact in changed.values() {
        let (before, after) = (fact.before.as_ref().map(amounts).unwrap_or_default(), amounts(&fact.after));
        let StripeObject::Invoice(invoice) = &fact.after else { continue };
        let Some(customer) = invoice.customer.as_deref() else { continue };
        let since = if before == after { invoice.created } else { BEGINNING };
        let discounts: BTreeSet<String> = before.into_keys().chain(after.into_keys()).collect();
        taken.extend(
            discounts.into_iter().map(|discount| (customer, discount, invoice.currency.as_str(), since)),
        );
    }
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    // A discount is shown by its own event or by the object it is on, with its coupon or the coupon's id.
    sqlx::query_as(
        "select f.customer_id, min(t.since)
         from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as t (customer, discount, currency, since)
         join stripe_facts f
           on f.customer_id = t.customer and f.kind in ('subscription', 'customer', 'discount')
         join stripe_versions v on v.id = f.id
         cross join lateral jsonb_path_query(
             v.state, '$.** ? (@.id == $id)', jsonb_build_object('id', t.discount)) as d (shown)
         left join stripe_facts c on c.id = d.shown ->> 'coupon_id' and c.kind = 'coupon'
         where coalesce(nullif(d.shown -> 'coupon', 'null'), c.state) ->> 'currency' <> t.currency
         group by f.customer_id",
    )
    .bind(taken.iter().map(|(customer, ..)| *customer).collect::<Vec<_>>())
    .bind(taken.iter().map(|(_, discount, ..)| discount.as_str()).collect::<Vec<_>>())
    .bind(taken.iter().map(|(.., currency, _)| *currency).collect::<Vec<_>>())
    .bind(taken.iter().map(|(.., since)| *since).collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}

/// Adds those of `customers` whose value the clock has changed by now, according to their `next_changes`. A ledger is
/// recomputed from that time at the latest.
pub(in crate::store) fn add_due(
    ledger_from: &mut LedgerFrom,
    next_changes: &HashMap<String, OffsetDateTime>,
    customers: &BTreeSet<String>,
    now: OffsetDateTime,
) {
    for (customer, at) in next_changes.iter().filter(|(customer, _)| customers.contains(*customer)) {
        if *at <= now || ledger_from.contains_key(customer) {
            add(ledger_from, customer, at.unix_timestamp());
        }
    }
}

#[derive(FromRow)]
struct LoadedVersion {
    customer_id: String,
    occurred_at: OffsetDateTime,
    #[sqlx(rename = "final")]
    is_final: bool,
    event_id: String,
    state: Json<StripeObject>,
    #[sqlx(default)]
    wants_lines: bool,
}

impl From<LoadedVersion> for Version {
    fn from(it: LoadedVersion) -> Self {
        let LoadedVersion { occurred_at, is_final, event_id, state: Json(state), .. } = it;
        Self { at: occurred_at.unix_timestamp(), is_final, event_id, state }
    }
}

/// Loads the history of each customer, and the catalogue it depends on, of which some is `loaded`.
pub async fn load(
    tx: &mut PgConnection,
    ledger_from: &LedgerFrom,
    loaded: Catalogue,
) -> Result<(BTreeMap<String, Vec<Version>>, Catalogue), sqlx::Error> {
    let mut histories = BTreeMap::<String, Vec<Version>>::new();
    let mut need_invoices = BTreeSet::new();
    // For each object: the final version before the customer's second, else the last one with a known status, and
    // all later ones.
    let versions: Vec<LoadedVersion> = sqlx::query_as(
        "select w.customer_id, v.occurred_at, v.final, v.event_id, v.state, v.wants_lines
         from unnest($1::text[], $2::timestamptz[]) as w (customer_id, since)
         cross join lateral (
             select f.id from stripe_facts f
             where f.customer_id = w.customer_id and f.kind in ('subscription', 'customer', 'discount') offset 0
         ) f
         cross join lateral (
             select coalesce(
                 (select min(e.occurred_at) from stripe_versions e
                  where e.id = f.id and e.final and e.occurred_at < w.since),
                 (select b.occurred_at from stripe_versions b
                  where b.id = f.id and b.occurred_at < w.since
                    and (b.kind <> 'subscription' or b.state ->> 'status' = any($3))
                  order by b.occurred_at desc limit 1),
                 '-infinity') as first offset 0
         ) base
         cross join lateral (
             select * from stripe_versions v where v.id = f.id and v.occurred_at >= base.first offset 0
         ) v",
    )
    .bind(ledger_from.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(ledger_from.values().map(|at| from_unix_seconds(*at)).collect::<Vec<_>>())
    .bind(KNOWN_STATUSES.as_slice())
    .fetch_all(&mut *tx)
    .await?;
    for version in versions {
        if version.wants_lines {
            need_invoices.insert(version.customer_id.clone());
        }
        histories.entry(version.customer_id.clone()).or_default().push(version.into());
    }
    add_preexisting_statuses(tx, &mut histories).await?;
    let states = || histories.values().flatten().map(|version| &version.state);
    let subscriptions: Vec<&Subscription> = states().filter_map(subscription).collect();
    let discounts: Vec<&Discount> = states().filter_map(discount).collect();
    let catalogue = catalogue::load(tx, loaded, &subscriptions, &discounts).await?;
    let discounted = catalogue::customers_needing_discount_amounts(&subscriptions, &discounts, &catalogue);
    need_invoices.extend(discounted.into_iter().map(ToOwned::to_owned));
    add_invoices(tx, &mut histories, &need_invoices).await?;
    Ok((histories, catalogue))
}

const fn subscription(state: &StripeObject) -> Option<&Subscription> {
    if let StripeObject::Subscription(subscription) = state { Some(subscription) } else { None }
}

const fn discount(state: &StripeObject) -> Option<&Discount> {
    match state {
        StripeObject::Discount(discount) => Some(discount),
        StripeObject::Customer(customer) => customer.discount.as_ref(),
        _ => None,
    }
}

/// A subscription whose events have only unknown statuses has the status of its pre-existing row.
async fn add_preexisting_statuses(
    tx: &mut PgConnection,
    histories: &mut BTreeMap<String, Vec<Version>>,
) -> Result<(), sqlx::Error> {
    let mut first = BTreeMap::<String, (i64, &mut Subscription)>::new();
    for version in histories.values_mut().flatten() {
        let StripeObject::Subscription(subscription) = &mut version.state else { continue };
        if first.get(&subscription.id).is_none_or(|(at, _)| version.at < *at) {
            first.insert(subscription.id.clone(), (version.at, subscription));
        }
    }
    first.retain(|_, (_, subscription)| subscription.effective_status().is_none());
    let ids: Vec<&str> = first.keys().map(String::as_str).collect();
    let mut statuses = preexisting::statuses(tx, &ids).await?;
    for (id, (_, subscription)) in first {
        subscription.known_status = statuses.remove(&id);
    }
    Ok(())
}

/// The invoices of customers with a price or discount without known amounts: each counts from its creation.
async fn add_invoices(
    tx: &mut PgConnection,
    histories: &mut BTreeMap<String, Vec<Version>>,
    customers: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    if customers.is_empty() {
        return Ok(());
    }
    let invoices: Vec<LoadedVersion> = sqlx::query_as(
        "select customer_id, to_timestamp((state ->> 'created')::bigint) as occurred_at, false as final, event_id, state
         from stripe_facts
         where customer_id = any($1) and kind = 'invoice' and state ->> 'subscription' is not null
           and (jsonb_array_length(state -> 'last_lines') > 0 or state ? 'discount_amounts')",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for invoice in invoices {
        histories.entry(invoice.customer_id.clone()).or_default().push(invoice.into());
    }
    Ok(())
}
