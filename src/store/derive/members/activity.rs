//! The rows of `user_activity_metrics`.

use std::collections::BTreeSet;

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Context;
use crate::project::member::{self, MemberSubscription, SubscriptionSummary};
use crate::project::stripe::StripeObject;
use crate::project::supabase::tables::Metric;

/// A member's activity without the counts, which SQL adds.
pub struct MemberActivity {
    pub(super) summary: SubscriptionSummary,
    pub(super) activity: Activity,
}

#[derive(FromRow)]
pub(super) struct Activity {
    pub(super) user_id: Uuid,
    last_login_at: Option<OffsetDateTime>,
    /// The engagement, if set by hand.
    manual_engagement: Option<String>,
    /// An urgent ticket is overdue.
    has_overdue_urgent_ticket: bool,
}

#[derive(FromRow)]
struct LoadedMember {
    #[sqlx(flatten)]
    activity: Activity,
    /// As shown in the row of revenue, if any.
    months_subscribed: Option<i32>,
    last_calculated_at: Option<OffsetDateTime>,
    /// The subscriptions.
    states: Option<Vec<Json<StripeObject>>>,
}

/// Members of whom only activity can have changed.
#[derive(Default)]
pub struct ActivityOnly {
    /// Those whose rows of activity suffice.
    pub members: Vec<MemberActivity>,
    /// Those without a row, or whose revenue was not derived today.
    pub to_derive_completely: BTreeSet<Uuid>,
}

/// Loads the activity of those of `users` that exist, and tells those apart that must be derived completely.
pub async fn load_activity_only(
    tx: &mut PgConnection,
    users: &BTreeSet<Uuid>,
    context: &Context<'_>,
) -> Result<ActivityOnly, sqlx::Error> {
    if users.is_empty() {
        return Ok(ActivityOnly::default());
    }
    let loaded: Vec<LoadedMember> = sqlx::query_as(
        "select u.id as user_id, l.last_login_at,
                case when m.engagement_status_is_manual then m.engagement_status end as manual_engagement,
                r.months_subscribed, m.last_calculated_at, s.states,
                exists (select from ingest.urgent_waits w where w.user_id = u.id) as has_overdue_urgent_ticket
         from auth.users u
         left join lateral (
             select max(logged_in_at) as last_login_at from logins where user_id = u.id and counted
         ) l on true
         left join lateral (
             select m.* from public.user_activity_metrics m where m.user_id = u.id limit 1
         ) m on true
         left join lateral (
             select r.months_subscribed from user_revenue_metrics r where r.user_id = u.id limit 1
         ) r on true
         left join lateral (
             select array_agg(f.state) as states from customers c
             cross join lateral (
                 select f.state from stripe_facts f
                 where f.customer_id = c.id and f.kind = 'subscription' offset 0
             ) f
             where c.user_id = u.id
         ) s on true
         where u.id = any($1)",
    )
    .bind(users.iter().copied().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut grouped = ActivityOnly::default();
    for LoadedMember { activity, months_subscribed, last_calculated_at, states } in loaded {
        let summary =
            member::summarise(&without_mrr(states.unwrap_or_default()), context.as_of(activity.user_id));
        let is_current = months_subscribed.is_none_or(|months| {
            months == summary.months_subscribed.unwrap_or(0)
                && last_calculated_at.map(OffsetDateTime::date) == Some(context.now.date())
        });
        if last_calculated_at.is_some() && is_current {
            grouped.members.push(MemberActivity { summary, activity });
        } else {
            grouped.to_derive_completely.insert(activity.user_id);
        }
    }
    Ok(grouped)
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
pub(super) async fn load(tx: &mut PgConnection, users: &[Uuid]) -> Result<Vec<Activity>, sqlx::Error> {
    sqlx::query_as(
        "select u.id as user_id, l.last_login_at,
                case when m.engagement_status_is_manual then m.engagement_status end as manual_engagement,
                exists (select from ingest.urgent_waits w where w.user_id = u.id) as has_overdue_urgent_ticket
         from unnest($1::uuid[]) as u (id)
         left join lateral (
             select max(logged_in_at) as last_login_at from logins where user_id = u.id and counted
         ) l on true
         left join public.user_activity_metrics m on m.user_id = u.id",
    )
    .bind(users)
    .fetch_all(tx)
    .await
}

/// Writes the rows of activity of `members`.
pub async fn write(
    tx: &mut PgConnection,
    members: &[MemberActivity],
    context: &Context<'_>,
) -> Result<(), sqlx::Error> {
    if members.is_empty() {
        return Ok(());
    }
    let (engagement, health): (Vec<_>, Vec<_>) =
        members.iter().map(|one| engagement_and_health(one, context)).unzip();
    let tables = &context.settings.decoding.tables;
    let activity = || members.iter().map(|member| &member.activity);
    let days = |one: &Activity| one.last_login_at.map(|at| whole_days(at, context.as_of(one.user_id)));
    sqlx::query(WRITE_ACTIVITY)
        .bind(activity().map(|one| one.user_id).collect::<Vec<_>>())
        .bind(activity().map(|one| one.last_login_at).collect::<Vec<_>>())
        .bind(activity().map(days).collect::<Vec<_>>())
        .bind(engagement)
        .bind(health)
        .bind(context.now)
        .bind(tables.feed(Metric::Visions))
        .bind(tables.feed(Metric::JournalEntries))
        .bind(tables.feed(Metric::Refinements))
        .bind(tables.feed(Metric::AudioTracks))
        .bind(tables.feed(Metric::BoardImages))
        .execute(tx)
        .await?;
    Ok(())
}

/// The computed engagement, and the health that follows from the engagement shown, manual or not.
fn engagement_and_health(member: &MemberActivity, context: &Context<'_>) -> (&'static str, &'static str) {
    let MemberActivity { summary, activity } = member;
    let at = context.as_of(activity.user_id);
    let computed = member::engagement(activity.last_login_at, summary, context.settings.thresholds, at);
    let shown = activity.manual_engagement.as_deref().unwrap_or(computed);
    (computed, member::health(summary, shown, activity.has_overdue_urgent_ticket))
}

/// A megabyte is 1,048,576 bytes; numeric's round rounds halves up. A size that the column cannot hold must not
/// fail the row. A count that no table feeds belongs to the application and is kept.
const WRITE_ACTIVITY: &str = "
    insert into user_activity_metrics as m
        (user_id, last_login_at, days_since_last_login, engagement_status, health_status, total_logins,
         s3_file_count, total_storage_mb, vision_count, journal_entry_count, profile_completion_percent,
         vision_refinement_count, audio_generated_count, vision_board_image_count,
         last_calculated_at, updated_at)
    select n.user_id, n.last_login_at, n.days, n.engagement, n.health, coalesce(a.logins, 0),
           coalesce(a.files, 0), least(round(coalesce(a.file_bytes, 0) / 1048576.0, 2), 99999999.99),
           case when $7 then coalesce(a.visions, 0) else 0 end,
           case when $8 then coalesce(a.journal_entries, 0) else 0 end, coalesce(p.amount, 0),
           case when $9 then coalesce(a.refinements, 0) else 0 end,
           case when $10 then coalesce(a.audio_tracks, 0) else 0 end,
           case when $11 then coalesce(a.board_images, 0) else 0 end, $6, $6
    from unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::text[], $5::text[])
        as n (user_id, last_login_at, days, engagement, health)
    left join activity a on a.user_id = n.user_id
    left join lateral (
        select amount from row_facts
        where relation = 'public.user_profiles' and counted and user_id = n.user_id
        order by occurred_at desc, row_id desc limit 1
    ) p on true
    on conflict (user_id) do update set
        last_login_at = excluded.last_login_at, days_since_last_login = excluded.days_since_last_login,
        engagement_status = case when m.engagement_status_is_manual then m.engagement_status
                                 else excluded.engagement_status end,
        health_status = case when m.health_status_is_manual then m.health_status else excluded.health_status end,
        total_logins = excluded.total_logins, s3_file_count = excluded.s3_file_count,
        total_storage_mb = excluded.total_storage_mb,
        profile_completion_percent = excluded.profile_completion_percent,
        vision_count = case when $7 then excluded.vision_count else m.vision_count end,
        journal_entry_count = case when $8 then excluded.journal_entry_count else m.journal_entry_count end,
        vision_refinement_count = case when $9 then excluded.vision_refinement_count
                                       else m.vision_refinement_count end,
        audio_generated_count = case when $10 then excluded.audio_generated_count
                                     else m.audio_generated_count end,
        vision_board_image_count = case when $11 then excluded.vision_board_image_count
                                        else m.vision_board_image_count end,
        last_calculated_at = excluded.last_calculated_at, updated_at = excluded.updated_at";

fn whole_days(since: OffsetDateTime, now: OffsetDateTime) -> i32 {
    i32::try_from(member::full_days(since, now)).unwrap_or(i32::MAX)
}
