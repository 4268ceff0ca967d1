//! The stored state of Stripe objects, for comparison with the API. Read-only.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::parked::Reason;
use super::{Store, StoreError};
use crate::project::stripe::StripeObject;

/// The parking reasons that the API can resolve.
const RESOLVED_BY_THE_API: [Reason; 7] = [
    Reason::ThinEvent,
    Reason::CheckWithStripe,
    Reason::Overdue,
    Reason::ItemsTruncated,
    Reason::UnresolvedDiscount,
    Reason::UnknownStatus,
    Reason::EstimatedMrr,
];

/// The stored state of one object.
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// Its present state, if any event reported it.
    pub fact: Option<Fact>,
    /// Its parking reasons that the API can resolve.
    pub parked: BTreeSet<String>,
}

/// The present state of an object, and the event that reported it.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The stored part of the object.
    pub state: StripeObject,
    /// When the event that reported it occurred.
    pub occurred_at: OffsetDateTime,
    /// The event.
    pub event_id: String,
    /// The object can never leave this state.
    pub is_final: bool,
    /// The order of the last events could not be determined.
    pub is_tied: bool,
}

/// An object that events alone could not resolve: to check first.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UnresolvedObject {
    /// Its id.
    pub id: String,
    /// The kind of its fact, if any.
    pub kind: Option<String>,
    /// The detail of the parked row; without a fact it begins with the type of a thin event.
    pub detail: String,
}

/// Reads facts in brief.
macro_rules! fact_summaries {
    () => {
        "select id, kind, (state ->> 'created')::bigint as created,
                final and (kind in ('customer', 'price', 'product', 'coupon')
                           or kind = 'invoice' and state ->> 'status' not in ('paid', 'void')) as may_be_unlisted
         from ingest.stripe_facts"
    };
}

/// A fact in brief.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct FactSummary {
    /// Its id.
    pub id: String,
    /// The name of its kind.
    pub kind: String,
    /// Unix seconds, if its kind has it.
    pub created: Option<i64>,
    /// Events have reported its deletion: the API may not list it any more.
    pub may_be_unlisted: bool,
}

impl Store {
    /// The stored state of the objects `ids`, without unknown ones.
    pub async fn stored_objects(&self, ids: &[&str]) -> Result<BTreeMap<String, StoredObject>, StoreError> {
        let objects: Vec<LoadedObject> = sqlx::query_as(
            "select w.id, f.state, f.occurred_at, f.event_id, f.final, f.tied, p.reasons
             from (select distinct id from unnest($1::text[]) as w (id)) w
             left join ingest.stripe_facts f using (id)
             cross join lateral (
                 select coalesce(array_agg(reason), '{}') as reasons from ingest.parked
                 where subject = w.id and reason = any($2)
             ) p
             where f.id is not null or p.reasons <> '{}'",
        )
        .bind(ids)
        .bind(RESOLVED_BY_THE_API.map(Reason::as_str).as_slice())
        .fetch_all(self.pool())
        .await?;
        Ok(objects.into_iter().map(LoadedObject::stored).collect())
    }

    /// The customer-level discounts of these customers that have not ended: the API shows each only within
    /// its customer.
    pub async fn discounts_of(&self, customers: &[&str]) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "select id from ingest.stripe_facts
             where customer_id = any($1) and kind = 'discount' and state ->> 'subscription' is null
               and state ->> 'subscription_item' is null and not coalesce((state ->> 'deleted')::boolean, false)
             order by id",
        )
        .bind(customers)
        .fetch_all(self.pool())
        .await?)
    }

    /// The objects that events alone could not resolve, at most `limit`: parked for a reason that the API can
    /// resolve, or tied.
    pub async fn unresolved_objects(&self, limit: i64) -> Result<Vec<UnresolvedObject>, StoreError> {
        Ok(sqlx::query_as(
            "select w.id, f.kind, min(w.detail) as detail
             from (select id, '' as detail from ingest.stripe_facts where tied
                   union all
                   select subject, detail from ingest.parked where reason = any($1)) w
             left join ingest.stripe_facts f using (id)
             group by w.id, f.kind order by w.id limit $2",
        )
        .bind(RESOLVED_BY_THE_API.map(Reason::as_str).as_slice())
        .bind(limit)
        .fetch_all(self.pool())
        .await?)
    }

    /// The next `limit` facts after the id `after` that were reported before `until`.
    pub async fn fact_page(
        &self,
        after: &str,
        until: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<FactSummary>, StoreError> {
        const PAGE: &str =
            concat!(fact_summaries!(), " where id > $1 and occurred_at < $2 order by id limit $3");
        Ok(sqlx::query_as(PAGE).bind(after).bind(until).bind(limit).fetch_all(self.pool()).await?)
    }

    /// The fact about the object `id`, if any.
    pub async fn fact_summary(&self, id: &str) -> Result<Option<FactSummary>, StoreError> {
        const ONE: &str = concat!(fact_summaries!(), " where id = $1");
        Ok(sqlx::query_as(ONE).bind(id).fetch_optional(self.pool()).await?)
    }
}

#[derive(FromRow)]
struct LoadedObject {
    id: String,
    reasons: Vec<String>,
    /// `None` without a fact, as the following.
    state: Option<Json<StripeObject>>,
    occurred_at: Option<OffsetDateTime>,
    event_id: Option<String>,
    #[sqlx(rename = "final")]
    is_final: Option<bool>,
    tied: Option<bool>,
}

impl LoadedObject {
    fn stored(self) -> (String, StoredObject) {
        let parked = self.reasons.iter().cloned().collect();
        (self.id.clone(), StoredObject { fact: self.fact(), parked })
    }

    fn fact(self) -> Option<Fact> {
        let Json(state) = self.state?;
        Some(Fact {
            state,
            occurred_at: self.occurred_at?,
            event_id: self.event_id?,
            is_final: self.is_final?,
            is_tied: self.tied?,
        })
    }
}
