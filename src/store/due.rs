//! What is due without an event: a missing piece has arrived, or the clock has changed a value.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::apply::Touched;
use super::{Store, StoreError};

/// Customers that one round takes at most; the next round takes the rest.
const ROUND: i64 = 500;

impl Store {
    /// Derives anew what is due; returns how many customers that were.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn recompute_due(&self) -> Result<usize, StoreError> {
        let (pool, now) = self.parts();
        let due: Vec<String> = sqlx::query_scalar(
            "(select id from ingest.customers where recompute_at <= $1 order by recompute_at limit $2)
             union
             -- Parked for want of a user, or with a user named who never was, and who is there by now.
             (select c.customer_id from ingest.parked p
              join ingest.claims c on c.customer_id = p.subject
              cross join unnest(c.claimed_users) as named (id)
              join auth.users u
                on u.id = case when named.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then named.id::uuid end
              where p.reason = 'unknown_user'
                 or p.reason = 'user_gone' and p.detail like '%' || named.id || '%'
                 or p.reason = 'disputed_user' and not exists (select from ingest.users s where s.id = u.id)
              limit $2)
             union
             (select c.customer_id from ingest.parked p
              join ingest.claims c on c.customer_id = p.subject and c.email is not null
              join lateral (
                  select from auth.users u
                  where u.instance_id = '00000000-0000-0000-0000-000000000000' and lower(u.email) = c.email
                    and u.email_confirmed_at is not null
                  having count(*) = 1
              ) u on true
              where p.reason in ('unknown_user', 'ambiguous_email')
                 -- Kept by e-mail address alone, and the person is back under another id.
                 or p.reason = 'user_gone' and not exists (
                     select from ingest.claims stronger
                     where stronger.customer_id = p.subject and stronger.strength < 4 and stronger.claimed_users <> '{}')
              limit $2)
             union
             -- Parked for want of a tier that names the price or the product by now.
             (select f.customer_id from ingest.parked p
              join ingest.stripe_facts f on f.id = p.subject
              where p.reason = 'no_tier' and exists (
                  select from jsonb_array_elements(f.state -> 'items') item
                  join public.membership_tiers t
                    on t.stripe_price_id = item -> 'price' ->> 'id'
                    or t.stripe_product_id = item -> 'price' ->> 'product')
              limit $2)",
        )
        .bind(now)
        .bind(ROUND)
        .fetch_all(pool)
        .await?;
        let anew = self.payments_that_fit().await?;
        let customers: BTreeSet<String> = due.into_iter().chain(anew.iter().cloned()).collect();
        let count = customers.len();
        if count > 0 {
            self.derive_anew(Touched { customers, anew, ..Touched::default() }).await?;
        }
        Ok(count)
    }

    /// The customers of payments that were too large for their column, once that has been widened.
    async fn payments_that_fit(&self) -> Result<BTreeSet<String>, StoreError> {
        let customers: Vec<String> = sqlx::query_scalar(
            "select p.customer_id from ingest.parked w join ingest.payments p on p.id = w.subject
             where w.reason = 'amount_out_of_range' and not exists (
                 select from information_schema.columns
                 where table_schema = 'public' and table_name = 'payment_history'
                   and column_name = 'amount' and data_type = 'integer')
             limit $1",
        )
        .bind(ROUND)
        .fetch_all(self.pool())
        .await?;
        Ok(customers.into_iter().collect())
    }

    /// Derives the members anew who were last derived a day ago, the oldest first: days since the last
    /// login, engagement and months subscribed change with the calendar alone. Returns how many those were;
    /// there may be more.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn refresh_members(&self) -> Result<usize, StoreError> {
        let (pool, now) = self.parts();
        let stale: Vec<Uuid> = sqlx::query_scalar(
            "select user_id from public.user_activity_metrics
             where last_calculated_at < $1 - interval '1 day' order by last_calculated_at limit $2",
        )
        .bind(now)
        .bind(ROUND)
        .fetch_all(pool)
        .await?;
        let count = stale.len();
        if count > 0 {
            self.recompute(BTreeSet::new(), stale.into_iter().collect()).await?;
        }
        Ok(count)
    }
}
