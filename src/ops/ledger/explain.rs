//! Explains a member's MRR: its subscriptions and movements.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::DEFINITION;
use crate::project::internal::IMPORT_PREFIX;
use crate::project::mrr::Explanation;
use crate::store;
use crate::store::derive::{owners, valuation};

/// The most movements shown: the newest.
const MAX_MOVEMENTS: i64 = 200;

/// Whose MRR is to be explained.
#[derive(Clone, Debug)]
pub enum About {
    /// A member's, of all its Stripe customers.
    User(Uuid),
    /// A Stripe customer's, whose user need not be known.
    Customer(String),
}

/// Where an MRR comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = MrrExplained)]
pub struct Explained {
    /// What MRR means here.
    pub definition: &'static str,
    /// The moment that this is about.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The member, if there is one.
    pub user_id: Option<Uuid>,
    /// Their Stripe customers.
    pub customers: Vec<String>,
    /// By currency, in minor units: the sum over the subscriptions.
    pub mrr: BTreeMap<String, i64>,
    /// Their subscriptions, each with its value.
    pub subscriptions: Vec<Explanation>,
    /// Up to then, as known now, newest first, at most 200.
    pub movements: Vec<Movement>,
}

/// One movement of the ledger. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = MrrMovement)]
pub struct Movement {
    /// The Stripe customer.
    pub customer_id: String,
    /// Lower case.
    pub currency: String,
    /// When the MRR changed.
    #[serde(with = "time::serde::rfc3339")]
    pub effective_at: OffsetDateTime,
    /// When memberflow learnt of it.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    /// new, expansion, contraction, churn or reactivation.
    pub kind: String,
    /// The change, minor units.
    pub delta: i64,
    /// The MRR until then, minor units.
    pub mrr_before: i64,
    /// The MRR from then on, minor units.
    pub mrr_after: i64,
    /// None where the clock alone made it.
    pub cause_event_id: Option<String>,
}

/// Explains the MRR `about` somebody at `now`; `None` if there is no such account or customer.
pub async fn explain(
    pool: &PgPool,
    about: &About,
    now: OffsetDateTime,
) -> Result<Option<Explained>, sqlx::Error> {
    explain_at(pool, about, None, now).await
}

/// The same at `at`, if given. Whose a customer is, and which states it had, are as known now.
///
/// # Errors
/// The database does not answer.
pub async fn explain_at(
    pool: &PgPool,
    about: &About,
    at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Option<Explained>, sqlx::Error> {
    let mut reading = store::begin_read_only(pool).await?;
    let (user_id, customers): (Option<Uuid>, BTreeSet<String>) = match about {
        About::User(user_id) => {
            let is_there: bool = sqlx::query_scalar("select exists (select from auth.users where id = $1)")
                .bind(user_id)
                .fetch_one(&mut *reading)
                .await?;
            if !is_there {
                return Ok(None);
            }
            let of_user = owners::of_users(&mut reading, &BTreeSet::from([*user_id])).await?;
            // The stand-in for imported payments is not a Stripe customer.
            let of_stripe = of_user.into_keys().filter(|customer| !customer.starts_with(IMPORT_PREFIX));
            (Some(*user_id), of_stripe.collect())
        }
        About::Customer(customer) => {
            let owner: Option<Option<Uuid>> =
                sqlx::query_scalar("select user_id from customers where id = $1")
                    .bind(customer)
                    .fetch_optional(&mut *reading)
                    .await?;
            let Some(owner) = owner else { return Ok(None) };
            (owner, BTreeSet::from([customer.clone()]))
        }
    };
    let subscriptions = match at {
        Some(at) => valuation::explain_at(&mut reading, &customers, at).await?,
        None => valuation::explain(&mut reading, &customers, now).await?,
    };
    let movements = sqlx::query_as(MOVEMENTS)
        .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
        .bind(MAX_MOVEMENTS)
        .bind(at)
        .fetch_all(&mut *reading)
        .await?;
    let mut mrr = BTreeMap::<String, i64>::new();
    for subscription in subscriptions.iter().filter(|it| it.mrr != 0) {
        *mrr.entry(subscription.currency.clone()).or_default() += subscription.mrr;
    }
    let (customers, at) = (customers.into_iter().collect(), at.unwrap_or(now));
    Ok(Some(Explained { definition: DEFINITION, at, user_id, customers, mrr, subscriptions, movements }))
}

const MOVEMENTS: &str = "
select customer_id, currency, effective_at, recorded_at, kind, delta, mrr_before, mrr_after, cause_event_id
from mrr_movements
where customer_id = any($1) and superseded_at is null and ($3::timestamptz is null or effective_at <= $3)
order by effective_at desc, customer_id, currency
limit $2";
