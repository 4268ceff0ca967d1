//! The e-mail addresses of customers, each with its earliest moment, and the users who have them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::identity_claims::ChangedEvidence;
use crate::project::identity::{Address, AddressRole, MAX_ADDRESSES};

/// An address, and the event that reported it.
#[derive(Clone, Debug)]
pub struct AddressReport {
    /// The address.
    pub address: Address,
    /// The event that reported it.
    pub event_id: String,
}

impl AddressReport {
    fn key(&self) -> (&str, &str) {
        (&self.address.object_id, &self.address.email)
    }

    /// The order of reports of one address; the earliest counts.
    fn sort_key(&self) -> (OffsetDateTime, i16, &str) {
        (self.address.reported_at, self.address.order_in_second, &self.event_id)
    }
}

/// An address that was stored.
#[derive(FromRow)]
struct WrittenAddress {
    customer_id: String,
    /// Whose it was by the same object until now.
    customer_before: Option<String>,
    is_new: bool,
    /// The customer has it from another checkout already.
    is_repeated: bool,
}

/// Stores addresses, each as the earliest event reported it, and only a customer's earliest ones. The result
/// depends on the set of events only: an address dropped as too late is reported again by any event that
/// makes it earlier.
pub async fn write(
    tx: &mut PgConnection,
    reports: Vec<AddressReport>,
) -> Result<ChangedEvidence, sqlx::Error> {
    let mut earliest = BTreeMap::<(String, String), AddressReport>::new();
    for one in reports {
        let key = (one.key().0.to_owned(), one.key().1.to_owned());
        if earliest.get(&key).is_none_or(|other| one.sort_key() < other.sort_key()) {
            earliest.insert(key, one);
        }
    }
    if earliest.is_empty() {
        return Ok(ChangedEvidence::default());
    }
    let all = || earliest.values().map(|report| &report.address);
    // The column `place` is the order in the second.
    let written: Vec<WrittenAddress> = sqlx::query_as(
        "with reported as (
             select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[],
                                  $7::smallint[], $8::text[])
                 as t (object_id, email, customer_id, role, user_id, reported_at, place, event_id)
         ), before as (
             select e.object_id, e.email, e.customer_id from reported t join customer_emails e using (object_id, email)
         ), written as (
             insert into customer_emails as e
                 (object_id, email, customer_id, role, user_id, reported_at, place, event_id)
             select object_id, email, customer_id, role, user_id, reported_at, place, event_id from reported
             on conflict (object_id, email) do update set
                 customer_id = excluded.customer_id, role = excluded.role, user_id = excluded.user_id,
                 reported_at = excluded.reported_at, place = excluded.place, event_id = excluded.event_id
             where (excluded.reported_at, excluded.place, excluded.event_id) < (e.reported_at, e.place, e.event_id)
             returning e.object_id, e.email
         )
         select t.customer_id, b.customer_id as customer_before, b.email is null as is_new,
                -- Typed at one checkout more: it contradicts what it contradicted before.
                b.email is null and t.role = $9 and exists (
                    select from customer_emails o
                    where o.customer_id = t.customer_id and o.role = t.role and o.email = t.email) as is_repeated
         from reported t left join before b using (object_id, email) join written w using (object_id, email)",
    )
    .bind(all().map(|it| it.object_id.as_str()).collect::<Vec<_>>())
    .bind(all().map(|it| it.email.as_str()).collect::<Vec<_>>())
    .bind(all().map(|it| it.customer.as_str()).collect::<Vec<_>>())
    .bind(all().map(|it| it.role.as_str()).collect::<Vec<_>>())
    .bind(all().map(|it| it.user_id).collect::<Vec<_>>())
    .bind(all().map(|it| it.reported_at).collect::<Vec<_>>())
    .bind(all().map(|it| it.order_in_second).collect::<Vec<_>>())
    .bind(earliest.values().map(|report| report.event_id.as_str()).collect::<Vec<_>>())
    .bind(AddressRole::Checkout.as_str())
    .fetch_all(&mut *tx)
    .await?;
    let (mut evidence, mut grown) = (ChangedEvidence::default(), BTreeSet::new());
    for address in written {
        evidence.new.extend(address.customer_before);
        if address.is_new {
            grown.insert(address.customer_id.clone());
        }
        if address.is_repeated { &mut evidence.repeated } else { &mut evidence.new }
            .insert(address.customer_id);
    }
    keep_earliest(tx, &grown).await?;
    Ok(evidence)
}

/// Bounds the number of addresses per customer.
async fn keep_earliest(tx: &mut PgConnection, customers: &BTreeSet<String>) -> Result<(), sqlx::Error> {
    if customers.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "delete from customer_emails e using (
             select object_id, email,
                    row_number() over (partition by customer_id, role
                                       order by reported_at, place, email, object_id) as position
             from customer_emails where customer_id = any($1)
         ) r
         where r.position > $2 and e.object_id = r.object_id and e.email = r.email",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .bind(i64::try_from(MAX_ADDRESSES).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(())
}

/// The addresses of each of `customers`.
pub async fn load(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
) -> Result<HashMap<String, Vec<Address>>, sqlx::Error> {
    #[derive(FromRow)]
    struct LoadedAddress {
        customer_id: String,
        object_id: String,
        email: String,
        role: String,
        user_id: Option<Uuid>,
        reported_at: OffsetDateTime,
        place: i16,
    }
    let loaded: Vec<LoadedAddress> = sqlx::query_as(
        "select customer_id, object_id, email, role, user_id, reported_at, place
         from customer_emails where customer_id = any($1)",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut addresses = HashMap::<String, Vec<Address>>::new();
    for address in loaded {
        let Some(role) = AddressRole::ALL.into_iter().find(|role| role.as_str() == address.role) else {
            continue;
        };
        addresses.entry(address.customer_id.clone()).or_default().push(Address {
            customer: address.customer_id,
            object_id: address.object_id,
            email: address.email,
            role,
            user_id: address.user_id,
            reported_at: address.reported_at,
            order_in_second: address.place,
        });
    }
    Ok(addresses)
}

/// The confirmed users who have these addresses. Uses the database function that the periodic recompute and
/// the leads' triggers use too.
pub async fn confirmed_users_by_email(
    tx: &mut PgConnection,
    emails: &BTreeSet<String>,
    with_sso: bool,
) -> Result<HashMap<String, Vec<Uuid>>, sqlx::Error> {
    if emails.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, Uuid)> =
        sqlx::query_as("select email, user_id from ingest.users_with_email($1, $2)")
            .bind(emails.iter().map(String::as_str).collect::<Vec<_>>())
            .bind(with_sso)
            .fetch_all(tx)
            .await?;
    let mut users = HashMap::<String, Vec<Uuid>>::new();
    for (email, user) in rows {
        users.entry(email).or_default().push(user);
    }
    Ok(users)
}
