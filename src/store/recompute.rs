//! Recomputes what is due without an event: something missing has arrived, or the clock has changed a value.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::affected::AffectedRevenue;
use super::derive::derive;
use super::locks;
use super::tables::Tables;
use super::{Store, StoreError, sms};
use crate::database;
use crate::project::identity::Matching;

/// Customers or members that are derived in one transaction.
const PAGE: i64 = 500;

/// Customers whose values the clock has changed.
macro_rules! due_by_clock {
    () => {
        "select id, false as again from ingest.customers
         where recompute_at <= $1 and id > $2 order by id limit $3"
    };
}

impl Store {
    /// Rederives what is due, page by page, in the order of customers. Returns the number of customers, of
    /// phone numbers that were matched to a member, and of members whose urgent ticket became or ceased to be
    /// overdue.
    ///
    /// # Errors
    /// [`StoreError`]; pages derived before it are committed.
    pub async fn recompute_due(&self) -> Result<usize, StoreError> {
        let (mut total, mut after) = (0, String::new());
        while let Some((last, count)) = self.recompute_page(&after).await? {
            total += count;
            after = last;
        }
        Ok(total + sms::match_again(self).await? + self.refresh_urgent_tickets().await?)
    }

    /// Derives the next due customers; returns the last of them and their number.
    async fn recompute_page(&self, after: &str) -> Result<Option<(String, usize)>, StoreError> {
        let now = self.now();
        let mut tx = database::begin(self.pool()).await?;
        locks::lock_upkeep(&mut tx).await?;
        let due = due_customers(&mut tx, now, after, self.settings.matching).await?;
        let Some((last, _)) = due.last().cloned() else { return Ok(None) };
        let affected = AffectedRevenue {
            owners_to_decide: due.iter().map(|(customer, _)| customer.clone()).collect(),
            force_rewrite: due
                .iter()
                .filter(|(_, force_rewrite)| *force_rewrite)
                .map(|(customer, _)| customer.clone())
                .collect(),
            ..AffectedRevenue::default()
        };
        locks::lock_for_batch(&mut tx).await?;
        derive(&mut tx, Tables::Live, affected.into(), &self.settings, now).await?;
        tx.commit().await?;
        Ok(Some((last, due.len())))
    }

    /// Rederives a page of the members that were last derived a day ago, the oldest first: days since the
    /// last login, engagement and months subscribed change with the calendar. Rows that the application
    /// inserted and that were never derived come first. Returns their number; there may be more.
    pub async fn refresh_members(&self) -> Result<usize, StoreError> {
        let now = self.now();
        let mut tx = database::begin(self.pool()).await?;
        locks::lock_upkeep(&mut tx).await?;
        let stale: BTreeSet<Uuid> = sqlx::query_scalar(
            "select user_id from public.user_activity_metrics
             where (last_calculated_at < $1 - interval '1 day' or last_calculated_at is null)
               and exists (select from auth.users u where u.id = user_id)
             order by last_calculated_at nulls first limit $2",
        )
        .bind(now)
        .bind(PAGE)
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        let count = stale.len();
        if count > 0 {
            locks::lock_for_batch(&mut tx).await?;
            let affected = AffectedRevenue { users: stale, ..AffectedRevenue::default() };
            derive(&mut tx, Tables::Live, affected.into(), &self.settings, now).await?;
            tx.commit().await?;
        }
        Ok(count)
    }
}

/// A page of the due customers whose ids follow `after`, each with whether its payment rows are written even if unchanged.
async fn due_customers(
    tx: &mut PgConnection,
    now: OffsetDateTime,
    after: &str,
    matching: Matching,
) -> Result<Vec<(String, bool)>, sqlx::Error> {
    let is_any_parked: bool =
        sqlx::query_scalar("select exists (select from ingest.parked)").fetch_one(&mut *tx).await?;
    // Planning the search of what is parked takes 30 ms on a new connection; a process starts with one.
    if !is_any_parked {
        const BY_CLOCK: &str = due_by_clock!();
        return sqlx::query_as(BY_CLOCK).bind(now).bind(after).bind(PAGE).fetch_all(tx).await;
    }
    sqlx::query_as(DUE)
        .bind(now)
        .bind(after)
        .bind(PAGE)
        .bind(matching.strengths().map(|strength| strength as i16).collect::<Vec<_>>())
        .bind(matching.email)
        .bind(matching.sso_email)
        .fetch_all(tx)
        .await
}

/// What `due_by_clock` finds, and the customers of what is parked for a reason that is gone. Every branch but the first
/// starts from `ingest.parked`: all of them are left out where that is empty.
///
/// The texts in `parked.detail` are a format here, not only for people: they are searched for user ids and addresses, as
/// `OwnerDecisions::note` and `identity::detail_of` write them. Another wording there changes what is found here.
const DUE: &str = concat!(
    "select id, bool_or(again) from (
        (",
    due_by_clock!(),
    ")
        union all
        -- Parked for want of a user, or with a user named who never was, and who is there by now.
        (select distinct c.customer_id, false from ingest.parked p
         join ingest.claims c on c.customer_id = p.subject and c.strength = any($4)
         cross join unnest(c.claimed_users) as named (id)
         join auth.users u
           on u.id = case when named.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then named.id::uuid end
         where p.subject > $2 and (
               p.reason = 'unknown_user'
            or p.reason = 'user_gone' and p.detail like '%' || named.id || '%'
            or p.reason = 'disputed_user' and not exists (select from ingest.users s where s.id = u.id))
         order by 1 limit $3)
        union all
        -- The earliest address that anybody has is another's than when the customer was parked.
        (select p.subject, false from ingest.parked p
         left join lateral ingest.earliest_email_with_users(p.subject, $6) e on true
         where $5 and p.subject > $2 and (
               p.reason = 'unknown_user' and e.email is not null
            or p.reason = 'ambiguous_email'
               and (e.email is null or cardinality(e.users) = 1 or not p.detail like '% ' || e.email)
            -- Matched by e-mail address alone, and the person is back under another id.
            or p.reason = 'user_gone' and e.email is not null and not exists (
                select from ingest.claims stronger
                join ingest.users seen on seen.id::text = any(stronger.claimed_users)
                where stronger.customer_id = p.subject and stronger.strength = any($4))
            or p.reason = 'user_gone' and exists (
                select from ingest.customer_emails matched join auth.users u on u.id = matched.user_id
                where matched.customer_id = p.subject and matched.role = 'matched'
                  and p.detail like '%' || u.id || '%'))
         order by 1 limit $3)
        union all
        -- An address no longer leads to a user who contradicted.
        (select distinct p.subject, false from ingest.parked p
         cross join lateral regexp_matches(p.detail, 'email ([0-9a-f-]{36})', 'g') as named (id)
         left join lateral ingest.earliest_email_with_users(p.subject, $6) e on true
         where $5 and p.reason = 'disputed_user' and p.subject > $2
           and named.id[1]::uuid <> all(coalesce(e.users, '{}'))
           and not exists (
               select from ingest.customer_emails typed
               cross join lateral ingest.users_with_email(array[typed.email], $6) u
               where typed.customer_id = p.subject and typed.role = 'checkout' and u.user_id = named.id[1]::uuid)
         order by 1 limit $3)
        union all
        -- Parked for want of a tier that names the price or the product by now.
        (select distinct f.customer_id, false from ingest.parked p
         join ingest.stripe_facts f on f.id = p.subject
         where p.reason = 'no_tier' and f.customer_id > $2 and exists (
             select from jsonb_array_elements(f.state -> 'items') item
             join public.membership_tiers t
               on t.stripe_price_id = item -> 'price' ->> 'id'
               or t.stripe_product_id = item -> 'price' ->> 'product')
         order by 1 limit $3)
        union all
        -- Payments that were too large for their column, once that has been widened.
        (select distinct p.customer_id, true from ingest.parked w join ingest.payments p on p.id = w.subject
         where w.reason = 'amount_out_of_range' and p.customer_id > $2 and not exists (
             select from information_schema.columns
             where table_schema = 'public' and table_name = 'payment_history'
               and column_name = 'amount' and data_type = 'integer')
         order by 1 limit $3)
    ) as due (id, again)
    group by id order by id limit $3"
);
