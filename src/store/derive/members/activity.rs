//! The rows of `user_activity_metrics`.

use std::collections::BTreeMap;

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Context, MemberInputs, MemberSummary};
use crate::project::member::{self, SubscriptionSummary};
use crate::project::supabase::tables::Metric;

/// A member's activity without the counts, which SQL adds.
pub struct MemberActivity {
    /// What the subscriptions say; `None` if they are valued with the member's revenue.
    pub(super) summary: Option<SubscriptionSummary>,
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

/// Writes the rows of activity. `summaries`: of the members whose subscriptions were valued.
pub(super) async fn write(
    tx: &mut PgConnection,
    inputs: &MemberInputs<'_>,
    summaries: &BTreeMap<Uuid, MemberSummary>,
) -> Result<(), sqlx::Error> {
    let MemberInputs { activity: members, context, .. } = inputs;
    if members.is_empty() {
        return Ok(());
    }
    let none = SubscriptionSummary::default();
    let valued = |user| summaries.get(user).map_or(&none, |it| &it.summary);
    let (engagement, health): (Vec<_>, Vec<_>) = members
        .iter()
        .map(|MemberActivity { summary, activity }| {
            let summary = summary.as_ref().unwrap_or_else(|| valued(&activity.user_id));
            engagement_and_health(summary, activity, context)
        })
        .unzip();
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
fn engagement_and_health(
    summary: &SubscriptionSummary,
    activity: &Activity,
    context: &Context<'_>,
) -> (&'static str, &'static str) {
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
