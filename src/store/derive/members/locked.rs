//! Locks the members whose rows are derived, and loads their activity.

use std::collections::BTreeSet;

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Context;
use super::activity::{Activity, MemberActivity};
use crate::project::member::{self, MemberSubscription};
use crate::project::stripe::StripeObject;
use crate::store::tables::Tables;

/// Existing members whose activity is derived.
pub struct LockedMembers {
    members: Vec<LockedMember>,
}

#[derive(FromRow)]
struct LockedMember {
    #[sqlx(flatten)]
    activity: Activity,
    /// As shown in the row of revenue, if any.
    months_subscribed: Option<i32>,
    last_calculated_at: Option<OffsetDateTime>,
    /// The subscriptions, if only activity may have changed.
    states: Option<Vec<Json<StripeObject>>>,
}

impl LockedMembers {
    /// Drops users who are not in `auth.users`. For live rows the others are locked, in the order of their ids: a concurrent
    /// deletion waits for this transaction, or this one waits here, before it has written any row that the deletion needs.
    /// Loads the activity of those in `complete` and in `activity_only`, of whom only that may have changed.
    pub async fn lock(
        tx: &mut PgConnection,
        tables: Tables,
        [complete, payment_only]: [&mut BTreeSet<Uuid>; 2],
        activity_only: &BTreeSet<Uuid>,
    ) -> Result<Self, sqlx::Error> {
        let users: BTreeSet<Uuid> =
            complete.iter().chain(&*payment_only).chain(activity_only).copied().collect();
        if users.is_empty() {
            return Ok(Self { members: Vec::new() });
        }
        let with_subscriptions = |user: &Uuid| activity_only.contains(user) && !complete.contains(user);
        let with_activity = |user: &Uuid| activity_only.contains(user) || complete.contains(user);
        let mut members: Vec<LockedMember> = sqlx::query_as(LOCK)
            .bind(users.iter().copied().collect::<Vec<_>>())
            .bind(users.iter().map(with_activity).collect::<Vec<_>>())
            .bind(users.iter().map(with_subscriptions).collect::<Vec<_>>())
            .bind(tables == Tables::Live)
            .fetch_all(tx)
            .await?;
        let existing: BTreeSet<Uuid> = members.iter().map(|member| member.activity.user_id).collect();
        members.retain(|member| with_activity(&member.activity.user_id));
        complete.retain(|user| existing.contains(user));
        payment_only.retain(|user| existing.contains(user));
        Ok(Self { members })
    }

    /// Their users.
    #[must_use]
    pub fn users(&self) -> BTreeSet<Uuid> {
        self.members.iter().map(|member| member.activity.user_id).collect()
    }

    /// Their activity. Then those who must be derived completely although only their activity may have changed: without a
    /// row, or with revenue that was not derived today.
    #[must_use]
    pub fn activity(
        self,
        complete: &BTreeSet<Uuid>,
        context: &Context<'_>,
    ) -> (Vec<MemberActivity>, BTreeSet<Uuid>) {
        let mut to_derive_completely = BTreeSet::new();
        let of_member = |LockedMember { activity, months_subscribed, last_calculated_at, states }| {
            if complete.contains(&activity.user_id) {
                return MemberActivity { summary: None, activity };
            }
            let subscriptions = without_mrr(states.unwrap_or_default());
            let summary = member::summarise(&subscriptions, context.as_of(activity.user_id));
            let is_current = months_subscribed.is_none_or(|months| {
                months == summary.months_subscribed.unwrap_or(0)
                    && last_calculated_at.map(OffsetDateTime::date) == Some(context.now.date())
            });
            if last_calculated_at.is_some() && is_current {
                return MemberActivity { summary: Some(summary), activity };
            }
            to_derive_completely.insert(activity.user_id);
            MemberActivity { summary: None, activity }
        };
        (self.members.into_iter().map(of_member).collect(), to_derive_completely)
    }
}

/// Subscriptions without their MRR, which activity does not need.
fn without_mrr(states: Vec<Json<StripeObject>>) -> Vec<MemberSubscription> {
    let subscriptions = states.into_iter().filter_map(|Json(state)| match state {
        StripeObject::Subscription(subscription) => Some(subscription),
        _ => None,
    });
    subscriptions
        .map(|subscription| MemberSubscription {
            status: subscription.effective_status().map(ToOwned::to_owned),
            subscription,
            mrr: 0,
            currency: String::new(),
            tier: None,
        })
        .collect()
}

/// Manual values are read from the live table, also when the shadow is being derived.
const LOCK: &str = "
    select w.id as user_id, l.last_login_at,
           case when m.engagement_status_is_manual then m.engagement_status end as manual_engagement,
           w.with_activity and exists (select from ingest.urgent_waits t where t.user_id = w.id) as has_overdue_urgent_ticket,
           r.months_subscribed, m.last_calculated_at, s.states
    from unnest($1::uuid[], $2::bool[], $3::bool[]) as w (id, with_activity, with_subscriptions)
    join (
        select ingest.hold_users($1) as id where $4
        union all
        select id from auth.users where id = any($1) and not $4
    ) u on u.id = w.id
    left join lateral (
        select max(logged_in_at) as last_login_at from logins where user_id = w.id and counted and w.with_activity
    ) l on true
    left join lateral (
        select m.* from public.user_activity_metrics m where m.user_id = w.id and w.with_activity limit 1
    ) m on true
    left join lateral (
        select r.months_subscribed from user_revenue_metrics r where r.user_id = w.id and w.with_subscriptions limit 1
    ) r on true
    left join lateral (
        select array_agg(f.state) as states from customers c
        cross join lateral (
            select f.state from stripe_facts f
            where f.customer_id = c.id and f.kind = 'subscription' offset 0
        ) f
        where c.user_id = w.id and w.with_subscriptions
    ) s on true";
