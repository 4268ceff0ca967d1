//! The events that an operator selects to apply again.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::envelope::Source;
use crate::store::StoreSettings;
use crate::store::decoded_batch::{Decoded, DecodedBatch, decode_all};
use crate::store::events::{self, EventKey};
use crate::store::tables::Tables;

/// Which events of the inbox: those that meet all conditions.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Selection {
    /// These ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// About this Stripe customer or an object of its.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// About this user, a customer of theirs, or what belongs to either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Uuid>,
    /// Applied since then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Applied before then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
}

/// An event that was selected.
#[derive(Debug, FromRow)]
pub(super) struct SelectedEvent {
    #[sqlx(flatten)]
    pub key: EventKey,
    /// The object that it is about.
    pub subject: Option<String>,
}

/// The conditions of a selection that need only the stored events, in SQL; binds $1 to $4, and all sources as $5.
macro_rules! selected {
    () => {
        "i.state = 'applied'
         and ($1::text[] = '{}' or i.source = any ($5) and i.event_id = any ($1))
         and ($2::text is null or i.event_type = $2)
         and ($3::timestamptz is null or i.applied_at >= $3) and ($4::timestamptz is null or i.applied_at < $4)"
    };
}

impl Selection {
    /// Whether it has no condition.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.ids.is_empty()
            && self.event_type.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && !self.is_of_one_owner()
    }

    /// Whether it is about one customer or member: these have few events, however many there are.
    #[must_use]
    pub const fn is_of_one_owner(&self) -> bool {
        self.customer.is_some() || self.member.is_some()
    }

    /// How many events there are of these ids, this type and this time, at most `limit`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn count(&self, pool: &PgPool, limit: i64) -> Result<i64, sqlx::Error> {
        let count = concat!(
            "select count(*) from (select from ingest.events i where ",
            selected!(),
            " limit $6) as i"
        );
        sqlx::query_scalar(count)
            .bind(&self.ids)
            .bind(&self.event_type)
            .bind(self.since)
            .bind(self.until)
            .bind(Source::ALL.map(Source::as_str).as_slice())
            .bind(limit)
            .fetch_one(pool)
            .await
    }

    /// The ids of the customer and of the member that it is about.
    pub(super) fn owner_ids(&self) -> impl Iterator<Item = String> {
        self.customer.iter().cloned().chain(self.member.map(|id| id.to_string()))
    }

    /// Finds the events; the live tables say who owns each object.
    pub(super) async fn find(&self, tx: &mut PgConnection) -> Result<Vec<SelectedEvent>, sqlx::Error> {
        Tables::Live.set_search_path(&mut *tx).await?;
        let statement = if self.is_of_one_owner() { OF_ONE_OWNER } else { SELECTED };
        let sources = Source::ALL.map(Source::as_str);
        let mut query = sqlx::query_as(statement)
            .bind(&self.ids)
            .bind(&self.event_type)
            .bind(self.since)
            .bind(self.until)
            .bind(sources.as_slice());
        if self.is_of_one_owner() {
            query = query.bind(&self.customer).bind(self.member);
        }
        query.fetch_all(tx).await
    }
}

const SELECTED: &str =
    concat!("select i.source, i.event_id, i.subject from ingest.events i where ", selected!());

/// An object has the owner that any table names: one of them may have lost it.
const OF_ONE_OWNER: &str = concat!(
    "with owned (id) as (
         select $6 where $6 is not null
         union select id from customers where user_id = $7
         union select customer_id from customer_emails where user_id = $7
         union select customer_id from claims where claimed_users && array[$7::text] and claimed_users <> '{}'
     ), subjects (id) as (
         select id from owned
         union select f.id from owned o join stripe_facts f on f.customer_id = o.id
         union select c.object_id from owned o join claims c on c.customer_id = o.id
         union select e.object_id from owned o join customer_emails e on e.customer_id = o.id
         union select p.id from owned o join payments p on p.customer_id = o.id
         union select s.stripe_subscription_id from owned o
               join customer_subscriptions s on s.stripe_customer_id = o.id
         union select relation || '/' || row_id from row_facts where user_id = $7
     ), events as (
         select i.* from subjects s
         cross join lateral (select * from ingest.events i where i.subject = s.id offset 0) i
         union all
         select * from ingest.events i
         where i.subject is null and i.state = 'applied' and $7 is not null
           and position(convert_to($7::text, 'UTF8') in i.body) > 0
     )
     select i.source, i.event_id, i.subject from events i where ",
    selected!()
);

/// The ids of the objects, customers, users and rows that these events are about.
pub(super) async fn ids_in(
    tx: &mut PgConnection,
    selected: &[SelectedEvent],
    settings: &StoreSettings,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut ids: BTreeSet<String> = selected.iter().filter_map(|event| event.subject.clone()).collect();
    let keys: Vec<EventKey> = selected.iter().map(|event| event.key.clone()).collect();
    let events = events::by_keys(tx, &keys).await?;
    let Decoded { events, .. } = decode_all(&events, settings);
    ids.extend(DecodedBatch::group(events).ids());
    Ok(ids)
}
