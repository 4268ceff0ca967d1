//! `customer_subscriptions`: one row per Stripe subscription of a known user whose tier is known.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::delete_unreferenced;
use super::preexisting_subscriptions;
use super::tiers::{self, Choice, MembershipTier};
use super::valuation::Valuation;
use crate::project::member::MemberSubscription;
use crate::project::stripe::Subscription;
use crate::store::from_unix_seconds;
use crate::store::parked::{Parked, Reason};
use crate::store::resolve::payments::public_row_id;

/// A subscription with its tier: the input of a row.
#[derive(Debug)]
pub struct SubscriptionWithTier {
    /// The subscription and its value.
    pub valuation: Valuation,
    /// The effective status; `None` if no known one was ever reported.
    pub status: Option<String>,
    /// The price that decided the tier, else the first item's.
    pub price: Option<String>,
    /// The tier; `None` if none is known.
    pub tier: Option<MembershipTier>,
}

impl SubscriptionWithTier {
    /// The input of [`summarise`](crate::project::member::summarise).
    #[must_use]
    pub fn member_subscription(&self) -> MemberSubscription {
        MemberSubscription {
            subscription: self.valuation.subscription.clone(),
            status: self.status.clone(),
            mrr: self.valuation.mrr.minor,
            currency: self.valuation.mrr.currency.clone(),
            tier: self.tier.as_ref().map(|tier| tier.name.clone()),
        }
    }

    /// Why there is no row, or what in it is uncertain.
    pub fn parked(&self) -> impl Iterator<Item = Parked> {
        let Valuation { subscription, mrr, overdue, customer_deleted, .. } = &self.valuation;
        let price = self.price.as_deref().unwrap_or("no price");
        let is_known = subscription.has_known_status();
        let reasons = [
            (
                self.tier.is_none() && !subscription.is_unreported_import,
                Reason::NoTier,
                format!("no row of membership_tiers names {price} or its product"),
            ),
            (!is_known, Reason::UnknownStatus, format!("status {:?}", subscription.status)),
            (
                subscription.is_unreported_import || *customer_deleted,
                Reason::CheckWithStripe,
                self.check_needed(),
            ),
            (
                subscription.items_truncated,
                Reason::ItemsTruncated,
                "its event shows only the first of its items".to_owned(),
            ),
            (
                mrr.unresolved_discount,
                Reason::UnresolvedDiscount,
                "no event has reported the terms of a discount".to_owned(),
            ),
            (mrr.estimated, Reason::EstimatedMrr, format!("{} {} is assumed", mrr.minor, mrr.currency)),
            (
                overdue.is_some(),
                Reason::Overdue,
                overdue.map_or_else(String::new, |it| {
                    let at = from_unix_seconds(it.at).format(&Rfc3339).unwrap_or_default();
                    format!("{} was to end at {at}, and no event has reported it", it.what)
                }),
            ),
        ];
        let subject = &subscription.id;
        reasons.into_iter().filter(|(applies, ..)| *applies).map(move |(_, reason, detail)| Parked {
            subject: subject.clone(),
            reason,
            detail,
        })
    }

    /// Why its state must be checked with Stripe.
    fn check_needed(&self) -> String {
        if self.valuation.subscription.is_unreported_import {
            return "no event has reported this subscription yet".to_owned();
        }
        let customer = &self.valuation.subscription.customer;
        format!("its customer {customer} is deleted, and no event has reported its end")
    }
}

/// Finds each subscription's tier: the one that names its price or product, else that of its pre-existing row.
pub async fn assign_tiers(
    tx: &mut PgConnection,
    subscriptions: Vec<Valuation>,
) -> Result<Vec<SubscriptionWithTier>, sqlx::Error> {
    if subscriptions.is_empty() {
        return Ok(Vec::new());
    }
    let named = tiers::named(tx, &subscriptions).await?;
    let assign = |valuation: Valuation| {
        let subscription = &valuation.subscription;
        let status = subscription.effective_status().map(ToOwned::to_owned);
        let Choice { price, tier } = tiers::choose(subscription, &named);
        SubscriptionWithTier { valuation, status, price, tier }
    };
    let mut with_tiers: Vec<SubscriptionWithTier> = subscriptions.into_iter().map(assign).collect();
    let without = with_tiers.iter().filter(|with_tier| with_tier.tier.is_none());
    let preexisting =
        tiers::of_preexisting(tx, without.map(|with_tier| with_tier.valuation.subscription.id.as_str()))
            .await?;
    for with_tier in with_tiers.iter_mut().filter(|with_tier| with_tier.tier.is_none()) {
        with_tier.tier = preexisting.get(&with_tier.valuation.subscription.id).cloned();
    }
    Ok(with_tiers)
}

/// Writes the rows of subscriptions `with_tiers` whose customer has an existing user (`owners`), and deletes
/// those that no longer apply. Pre-existing rows that no event has reported are only reassigned with their
/// customer. Returns the customers with a new row, so that their payments can reference it.
pub async fn write(
    tx: &mut PgConnection,
    with_tiers: &[SubscriptionWithTier],
    owners: &HashMap<String, Uuid>,
    now: OffsetDateTime,
) -> Result<HashSet<String>, sqlx::Error> {
    let (mut to_upsert, mut to_reassign, mut to_delete) = (Vec::new(), Vec::new(), Vec::new());
    for with_tier in with_tiers {
        match RowAction::of(with_tier, owners) {
            RowAction::Upsert(row) => to_upsert.push(row),
            RowAction::Reassign => to_reassign.push(with_tier),
            RowAction::Delete => to_delete.push(with_tier.valuation.subscription.id.as_str()),
        }
    }
    delete_obsolete(tx, to_delete).await?;
    let without_row = preexisting_subscriptions::reassign(tx, to_reassign, owners).await?;
    to_upsert
        .extend(without_row.into_iter().filter_map(|with_tier| CustomerSubscription::of(with_tier, owners)));
    if to_upsert.is_empty() { Ok(HashSet::new()) } else { upsert(tx, &to_upsert, now).await }
}

/// What happens to the row of a subscription.
enum RowAction<'a> {
    Upsert(CustomerSubscription<'a>),
    /// A pre-existing row that no event has reported changes its user only.
    Reassign,
    Delete,
}

impl<'a> RowAction<'a> {
    fn of(with_tier: &'a SubscriptionWithTier, owners: &HashMap<String, Uuid>) -> Self {
        let subscription = &with_tier.valuation.subscription;
        let is_preexisting = subscription.is_unreported_import;
        if is_preexisting && owners.contains_key(&subscription.customer) {
            Self::Reassign
        } else if is_preexisting {
            Self::Delete
        } else {
            CustomerSubscription::of(with_tier, owners).map_or(Self::Delete, Self::Upsert)
        }
    }
}

/// The input of one row.
struct CustomerSubscription<'a> {
    subscription: &'a Subscription,
    price: Option<&'a str>,
    user: Uuid,
    tier: Uuid,
    status: &'a str,
}

impl<'a> CustomerSubscription<'a> {
    fn of(with_tier: &'a SubscriptionWithTier, owners: &HashMap<String, Uuid>) -> Option<Self> {
        let subscription = &with_tier.valuation.subscription;
        Some(Self {
            subscription,
            price: with_tier.price.as_deref(),
            user: *owners.get(&subscription.customer)?,
            tier: with_tier.tier.as_ref()?.id,
            status: with_tier.status.as_deref()?,
        })
    }
}

/// `found`: an imported row (`Internal::ImportedSubscription`).
const WRITE: &str = "
    insert into customer_subscriptions as s
        (id, user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status,
         current_period_start, current_period_end, cancel_at_period_end, cancel_at, canceled_at,
         cancellation_reason, cancellation_feedback, collection_paused, trial_start, trial_end, created_at,
         updated_at)
    select coalesce(f.id, n.id), n.user_id, tier, customer, subscription, price,
           n.status::public.subscription_status, period_start, period_end, cancels, n.cancel_at, n.canceled_at,
           reason, feedback, paused, n.trial_start, n.trial_end, n.created_at, $19
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::timestamptz[], $9::timestamptz[], $10::bool[], $11::timestamptz[], $12::timestamptz[],
                $13::text[], $14::text[], $15::bool[], $16::timestamptz[], $17::timestamptz[],
                $18::timestamptz[])
        as n (id, user_id, tier, customer, subscription, price, status, period_start, period_end, cancels,
              cancel_at, canceled_at, reason, feedback, paused, trial_start, trial_end, created_at)
    left join customer_subscriptions t on t.stripe_subscription_id = n.subscription
    left join lateral (
        -- The id of a pre-existing row that was deleted with a former user.
        select (convert_from(i.body, 'UTF8')::jsonb ->> 'id')::uuid as id from ingest.events i
        where t.id is null and i.subject = n.subscription and i.source = 'internal' and i.event_type = 'found'
        limit 1
    ) f on true
    on conflict (stripe_subscription_id) do update set
        user_id = excluded.user_id, membership_tier_id = excluded.membership_tier_id,
        stripe_customer_id = excluded.stripe_customer_id, stripe_price_id = excluded.stripe_price_id,
        status = excluded.status, current_period_start = excluded.current_period_start,
        current_period_end = excluded.current_period_end, cancel_at_period_end = excluded.cancel_at_period_end,
        cancel_at = excluded.cancel_at, canceled_at = excluded.canceled_at,
        cancellation_reason = excluded.cancellation_reason,
        cancellation_feedback = excluded.cancellation_feedback,
        collection_paused = excluded.collection_paused, trial_start = excluded.trial_start,
        trial_end = excluded.trial_end, created_at = excluded.created_at, updated_at = excluded.updated_at
    where (s.user_id, s.membership_tier_id, s.stripe_customer_id, s.stripe_price_id, s.status,
           s.current_period_start, s.current_period_end, s.cancel_at_period_end, s.cancel_at, s.canceled_at,
           s.cancellation_reason, s.cancellation_feedback, s.collection_paused, s.trial_start, s.trial_end,
           s.created_at)
        is distinct from
          (excluded.user_id, excluded.membership_tier_id, excluded.stripe_customer_id, excluded.stripe_price_id,
           excluded.status, excluded.current_period_start, excluded.current_period_end,
           excluded.cancel_at_period_end, excluded.cancel_at, excluded.canceled_at,
           excluded.cancellation_reason, excluded.cancellation_feedback, excluded.collection_paused,
           excluded.trial_start, excluded.trial_end, excluded.created_at)
    returning s.stripe_customer_id, s.xmax = 0";

/// Returns the customers with a new row.
async fn upsert(
    tx: &mut PgConnection,
    rows: &[CustomerSubscription<'_>],
    now: OffsetDateTime,
) -> Result<HashSet<String>, sqlx::Error> {
    let subscriptions = || rows.iter().map(|row| row.subscription);
    let time = |pick: fn(&Subscription) -> Option<i64>| {
        subscriptions().map(|it| pick(it).map(from_unix_seconds)).collect::<Vec<_>>()
    };
    let written: Vec<(String, bool)> = sqlx::query_as(WRITE)
        .bind(subscriptions().map(|it| public_row_id(&it.id)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.user).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.tier).collect::<Vec<_>>())
        .bind(subscriptions().map(|it| it.customer.as_str()).collect::<Vec<_>>())
        .bind(subscriptions().map(|it| it.id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.price).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.status).collect::<Vec<_>>())
        .bind(time(|it| it.current_period_start))
        .bind(time(|it| it.current_period_end))
        .bind(subscriptions().map(|it| it.cancel_at_period_end).collect::<Vec<_>>())
        .bind(time(|it| it.cancel_at))
        .bind(time(|it| it.canceled_at))
        .bind(subscriptions().map(|it| it.cancellation_reason.as_deref()).collect::<Vec<_>>())
        .bind(subscriptions().map(|it| it.cancellation_feedback.as_deref()).collect::<Vec<_>>())
        .bind(subscriptions().map(|it| it.pause_behavior.is_some()).collect::<Vec<_>>())
        .bind(time(|it| it.trial_start))
        .bind(time(|it| it.trial_end))
        .bind(time(|it| Some(it.created)))
        .bind(now)
        .fetch_all(tx)
        .await?;
    Ok(written.into_iter().filter_map(|(customer, is_new)| is_new.then_some(customer)).collect())
}

/// Deletes the rows of subscriptions that must not have one: without a user, or reported without a tier or known status.
async fn delete_obsolete(tx: &mut PgConnection, subscriptions: Vec<&str>) -> Result<(), sqlx::Error> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    let rows: Vec<Uuid> =
        sqlx::query_scalar("select id from customer_subscriptions where stripe_subscription_id = any($1)")
            .bind(subscriptions)
            .fetch_all(&mut *tx)
            .await?;
    delete_unreferenced::delete(tx, delete_unreferenced::SUBSCRIPTION, &rows).await
}
