//! The stored owners of customers about whom no new evidence was reported, which are not decided again, and the customers'
//! sums.

use std::collections::{BTreeSet, HashMap};

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::customer_revenue::SumsByCustomer;
use crate::store::parked::Reason;
use crate::store::resolve::payments::Sums;

/// The parking reasons for which a customer's owner is decided again with every event.
const UNDECIDED: [Reason; 4] =
    [Reason::UnknownUser, Reason::UserDeleted, Reason::AmbiguousEmail, Reason::ConflictingUsers];

/// Some customers and the other customers of their users.
#[derive(Debug, Default)]
pub(in crate::store) struct StoredOwners {
    /// One for each currency of a customer.
    customers: Vec<Customer>,
}

#[derive(Debug, FromRow)]
struct Customer {
    id: String,
    /// Its user, who exists.
    user_id: Option<Uuid>,
    /// Its owner must be decided with every event.
    must_be_decided: bool,
    recompute_at: Option<OffsetDateTime>,
    has_revenue_row: bool,
    has_unassigned_movements: bool,
    has_leads: bool,
    /// `None` without any sum, as the following.
    currency: Option<String>,
    mrr: Option<i64>,
    collected: Option<i64>,
    refunded: Option<i64>,
    disputed: Option<i64>,
}

impl Customer {
    fn sums(&self) -> Option<((String, String), Sums)> {
        let sums = Sums {
            mrr: self.mrr?,
            collected: self.collected?,
            refunded: self.refunded?,
            disputed: self.disputed?,
        };
        Some(((self.id.clone(), self.currency.clone()?), sums))
    }
}

impl StoredOwners {
    /// Loads `customers`.
    pub(in crate::store) async fn load(
        tx: &mut PgConnection,
        customers: &BTreeSet<String>,
    ) -> Result<Self, sqlx::Error> {
        if customers.is_empty() {
            return Ok(Self::default());
        }
        let customers = sqlx::query_as(STORED)
            .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
            .bind(UNDECIDED.map(Reason::as_str).as_slice())
            .fetch_all(tx)
            .await?;
        Ok(Self { customers })
    }

    /// Those of `customers` whose owner must be decided.
    pub(in crate::store) fn undecided(&self, customers: &BTreeSet<String>) -> BTreeSet<String> {
        let decided = self.customers.iter().filter(|it| it.user_id.is_some() && !it.must_be_decided);
        let decided: BTreeSet<&String> = decided.map(|it| &it.id).collect();
        customers.iter().filter(|id| !decided.contains(id)).cloned().collect()
    }

    /// Each customer that has a user, with it.
    pub(in crate::store) fn by_customer(&self) -> HashMap<String, Uuid> {
        self.customers.iter().filter_map(|it| Some((it.id.clone(), it.user_id?))).collect()
    }

    /// The users who have a revenue row, by a customer whose owner need not be decided again.
    pub(in crate::store) fn users_with_revenue_row(&self) -> BTreeSet<Uuid> {
        let decided = self.customers.iter().filter(|it| it.has_revenue_row && !it.must_be_decided);
        decided.filter_map(|it| it.user_id).collect()
    }

    /// The users whose subscriptions must be valued: those with one of `customers_to_value`, one whose
    /// value the clock has changed, or no row yet.
    pub(in crate::store) fn users_to_value(
        &self,
        customers_to_value: &BTreeSet<String>,
        now: OffsetDateTime,
    ) -> BTreeSet<Uuid> {
        let is_due = |it: &&Customer| {
            customers_to_value.contains(&it.id)
                || !it.has_revenue_row
                || it.recompute_at.is_some_and(|at| at <= now)
        };
        self.customers.iter().filter(is_due).filter_map(|it| it.user_id).collect()
    }

    /// When the clock next changes the customers' values.
    pub(in crate::store) fn next_changes(&self) -> HashMap<String, OffsetDateTime> {
        self.customers.iter().filter_map(|it| Some((it.id.clone(), it.recompute_at?))).collect()
    }

    /// The customers that have a user, and movements without one.
    pub(in crate::store) fn with_unassigned_movements(&self) -> HashMap<String, Uuid> {
        let unassigned = self.customers.iter().filter(|it| it.has_unassigned_movements);
        unassigned.filter_map(|it| Some((it.id.clone(), it.user_id?))).collect()
    }

    /// The customers' sums.
    pub(in crate::store) fn sums(&self) -> SumsByCustomer {
        self.customers.iter().filter_map(Customer::sums).collect()
    }

    /// Whether there may be leads that a payment could affect. Every row has the same answer: whether `leads` has any row.
    pub(in crate::store) fn has_leads(&self) -> bool {
        self.customers.first().is_none_or(|it| it.has_leads)
    }
}

/// Everything is looked up by index: subqueries that cannot be flattened (`offset 0`, scalar) force that,
/// whatever the table statistics say.
const STORED: &str = "
    with wanted as materialized (
        select c.id, c.user_id from unnest($1::text[]) as w (id)
        cross join lateral (select c.id, c.user_id from customers c where c.id = w.id offset 0) c
    ), connected as (
        select id from wanted
        union
        select s.id from (select distinct user_id from wanted where user_id is not null) u
        cross join lateral (select s.id from customers s where s.user_id = u.user_id offset 0) s
    )
    select c.id, u.id as user_id,
           (select true from parked p where p.subject = c.id and p.reason = any($2) limit 1) is not null as must_be_decided,
           c.recompute_at,
           (select true from user_revenue_metrics m where m.user_id = c.user_id limit 1) is not null as has_revenue_row,
           (select true from mrr_movements m where m.customer_id = c.id and m.user_id is null limit 1) is not null
               as has_unassigned_movements,
           exists (select from public.leads) as has_leads, r.currency, r.mrr, r.collected, r.refunded, r.disputed
    from connected n
    cross join lateral (select * from customers c where c.id = n.id offset 0) c
    left join lateral (select u.id from auth.users u where u.id = c.user_id offset 0) u on true
    left join lateral (select r.* from customer_revenue r where r.customer_id = c.id offset 0) r on true";
