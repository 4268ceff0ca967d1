//! The second step: everything that is derived from the facts, for every customer, then for every user who
//! has none.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::catch_up::whole_customers;
use super::{Rebuild, RebuildError, begin_shadow, shadow};
use crate::store::StoreSettings;
use crate::store::affected::AffectedRevenue;
use crate::store::derive;
use crate::store::tables::Tables;

/// Customers or users in a page.
const PAGE: i64 = 500;

impl Rebuild {
    /// Finds the customers; returns how many there are.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn find_customers(&mut self) -> Result<u64, RebuildError> {
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let found = find_customers_in(&mut tx).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Derives the next page of customers, with their users; returns how many, 0 at the end.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn derive_customers(&mut self) -> Result<usize, RebuildError> {
        let now = self.clock().now();
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let count =
            derive_customers_after(&mut tx, &mut self.last_customer, &self.store.settings, now).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Finds the users without a customer; returns how many there are.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn find_users(&mut self) -> Result<u64, RebuildError> {
        shadow::analyze(&mut self.connection).await?;
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let found = find_users_in(&mut tx).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Derives the next page of users; returns how many, 0 at the end.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn derive_users(&mut self) -> Result<usize, RebuildError> {
        let now = self.clock().now();
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let count = derive_users_after(&mut tx, &mut self.last_user, &self.store.settings, now).await?;
        tx.commit().await?;
        Ok(count)
    }
}

pub(super) async fn find_customers_in(tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let found = sqlx::query(
        "insert into found_customers (id)
         select customer_id from claims
         union
         select customer_id from customer_emails
         union
         select customer_id from stripe_facts where customer_id is not null
         union
         select customer_id from payments",
    )
    .execute(&mut *tx)
    .await?;
    copy_unreported_subscriptions(tx).await?;
    Ok(found.rows_affected())
}

/// Derives the next page of the customers found, after the `last` one; returns how many.
pub(super) async fn derive_customers_after(
    tx: &mut PgConnection,
    last: &mut String,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let page: Vec<String> =
        sqlx::query_scalar("select id from found_customers where id > $1 order by id limit $2")
            .bind(&*last)
            .bind(PAGE)
            .fetch_all(&mut *tx)
            .await?;
    let Some(end) = page.last() else { return Ok(0) };
    last.clone_from(end);
    derive::derive(tx, Tables::Shadow, whole_customers(&page), settings, now).await?;
    Ok(page.len())
}

pub(super) async fn find_users_in(tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let found = sqlx::query(
        "insert into found_users (id)
         select id from (
             select id from seen_users
             union
             select user_id from logins
             union
             select user_id from row_facts where user_id is not null
             union
             -- Users whose customers are known only from events that no longer count: their rows lose what those reported.
             select user_id from ingest.customers
             where user_id is not null and exists (select from flags)
               and (not exists (select from scope) or user_id in (select id from scope))
         ) as u
         where not exists (select from user_activity_metrics m where m.user_id = u.id)",
    )
    .execute(tx)
    .await?;
    Ok(found.rows_affected())
}

/// Derives the next page of the users found, after the `last` one; returns how many.
pub(super) async fn derive_users_after(
    tx: &mut PgConnection,
    last: &mut Uuid,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let page: Vec<Uuid> = sqlx::query_scalar("select id from found_users where id > $1 order by id limit $2")
        .bind(*last)
        .bind(PAGE)
        .fetch_all(&mut *tx)
        .await?;
    let Some(end) = page.last() else { return Ok(0) };
    *last = *end;
    let count = page.len();
    let affected = AffectedRevenue { users: page.into_iter().collect(), ..AffectedRevenue::default() };
    derive::derive(tx, Tables::Shadow, affected.into(), settings, now).await?;
    Ok(count)
}

/// Copies subscriptions that are known only from a pre-existing row: payments reference it, so the shadow tables
/// need it too.
async fn copy_unreported_subscriptions(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into customer_subscriptions
             (id, user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id)
         select l.id, l.user_id, l.membership_tier_id, l.stripe_customer_id, l.stripe_subscription_id
         from public.customer_subscriptions l join stripe_facts f on f.id = l.stripe_subscription_id
         where f.kind = 'subscription' and (f.state ->> 'needs_stripe')::boolean",
    )
    .execute(tx)
    .await?;
    Ok(())
}
