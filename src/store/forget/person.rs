//! What belongs to the person only: their customers, and the objects of those.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::address::{AddressHandling, ListedAddress, PersonIdentity};

/// A person, as known to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub user_id: Option<Uuid>,
    /// Every address of theirs, with what happens to it.
    pub addresses: Vec<ListedAddress>,
    /// Stripe's customers.
    pub customers: BTreeSet<String>,
    /// The objects of those customers, and of their payments.
    pub objects: BTreeSet<String>,
}

/// Each customer with its user, existing or deleted.
const OWNERS: &str =
    "select c.id, coalesce(c.user_id, substring(g.detail from '[0-9a-f]{8}-[0-9a-f-]{27}')::uuid) as user_id
     from ingest.customers c left join ingest.parked g on g.subject = c.id and g.reason = 'user_gone'";

impl Person {
    pub async fn of(tx: &mut PgConnection, identity: &PersonIdentity) -> Result<Self, sqlx::Error> {
        let mut person = Self { user_id: identity.user_id, ..Self::default() };
        let shared = person.shared(tx, &identity.own).await?;
        for address in &identity.own {
            let (handling, because) = match shared.get(address) {
                Some(others) => (AddressHandling::LeftAlone, format!("{others} has it, too")),
                None => (AddressHandling::Followed, "confirmed or named".to_owned()),
            };
            person.add_address(address, handling, because);
        }
        person.customers = person.find_customers(tx).await?;
        person.objects = person.find_objects(tx).await?;
        for address in &identity.unconfirmed {
            person.add_address(address, AddressHandling::OwnRows, "never confirmed".to_owned());
        }
        for address in person.typed(tx).await? {
            person.add_address(&address, AddressHandling::OwnRows, "given at Stripe".to_owned());
        }
        person.addresses.sort();
        Ok(person)
    }

    fn add_address(&mut self, address: &str, handling: AddressHandling, because: String) {
        if !self.addresses.iter().any(|listed| listed.address == address) {
            self.addresses.push(ListedAddress { address: address.to_owned(), handling, because });
        }
    }

    /// The addresses that are followed.
    pub fn followed(&self) -> Vec<&str> {
        let followed = self.addresses.iter().filter(|listed| listed.handling == AddressHandling::Followed);
        followed.map(|listed| listed.address.as_str()).collect()
    }

    pub fn customer_ids(&self) -> Vec<&str> {
        self.customers.iter().map(String::as_str).collect()
    }

    pub fn object_ids(&self) -> Vec<&str> {
        self.objects.iter().map(String::as_str).collect()
    }

    /// Which of the addresses another user or another user's customer has, and who that is.
    async fn shared(
        &self,
        tx: &mut PgConnection,
        addresses: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, sqlx::Error> {
        let statement = format!(
            "with owners as ({OWNERS}), named (email) as (select unnest($1::text[]))
             select n.email, 'user ' || u.id from named n
             join auth.users u on lower(u.email) = lower(n.email) and ingest.folded_email(u.email) = n.email
             where u.id is distinct from $2
             union all
             select n.email, 'customer ' || o.id || ' of user ' || o.user_id from named n
             join ingest.customer_emails e on e.email = n.email join owners o on o.id = e.customer_id
             where o.user_id <> $2 or $2 is null and o.user_id is not null"
        );
        let others: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(statement))
            .bind(addresses.iter().map(String::as_str).collect::<Vec<_>>())
            .bind(self.user_id)
            .fetch_all(tx)
            .await?;
        Ok(others.into_iter().collect())
    }

    /// The user's customers; and unowned ones that gave a followed address or name the user, if nothing names
    /// anybody else.
    async fn find_customers(&self, tx: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
        let statement = format!(
            "with owners as ({OWNERS}), nobodys as (
                 select e.customer_id as id from ingest.customer_emails e
                 where e.role = 'given' and e.email = any ($2)
                 union
                 select k.customer_id from ingest.claims k
                 where k.claimed_users && array[$1::uuid::text] and k.claimed_users <> '{{}}'
             )
             select id from owners where user_id = $1
             union
             select n.id from nobodys n left join owners o using (id)
             where o.user_id is null and not exists (
                 select from ingest.claims k cross join unnest(k.claimed_users) as named (id)
                 where k.customer_id = n.id and named.id ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
                   and named.id is distinct from $1::text)
               and not exists (
                 select from ingest.customer_emails m
                 where m.customer_id = n.id and m.user_id is distinct from $1 and m.user_id is not null)"
        );
        let customers: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(self.user_id)
            .bind(self.followed())
            .fetch_all(tx)
            .await?;
        Ok(customers.into_iter().collect())
    }

    /// What belongs to the customers, and what belongs to one payment with it. Links of subscriptions to
    /// catalogue entries are not followed: those are shared.
    async fn find_objects(&self, tx: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
        let objects: Vec<String> = sqlx::query_scalar(
            "with recursive reach (id) as (
                 (select unnest($1::text[])
                  union select id from ingest.stripe_facts where customer_id = any ($1)
                  union select object_id from ingest.claims where customer_id = any ($1)
                  union select object_id from ingest.customer_emails where customer_id = any ($1))
                 union
                 select l.other from reach r
                 left join ingest.stripe_facts f on f.id = r.id
                 join ingest.stripe_links l on l.id = r.id
                 left join ingest.stripe_facts o on o.id = l.other
                 left join ingest.customers c on c.id = l.other
                 where coalesce(f.kind, 'payment') not in ('customer', 'subscription', 'discount', 'price', 'product', 'coupon')
                   and coalesce(o.customer_id, c.id, $1[1]) = any ($1)
                   and coalesce(o.kind, 'payment') not in ('subscription', 'discount', 'price', 'product', 'coupon')
             )
             select id from reach",
        )
        .bind(self.customer_ids())
        .fetch_all(tx)
        .await?;
        Ok(objects.into_iter().collect())
    }

    /// The addresses on the objects.
    async fn typed(&self, tx: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(
            "select email from ingest.customer_emails where customer_id = any ($1) and email <> ''
             union
             select ingest.folded_email(state ->> 'email') from ingest.stripe_facts
             where id = any ($2) and state ->> 'email' <> ''",
        )
        .bind(self.customer_ids())
        .bind(self.object_ids())
        .fetch_all(tx)
        .await
    }
}
