//! Compares the campaigns' sums with their leads, and the ratios with the sums. Only of campaigns that have or had leads:
//! the values of others are the application's own.

use super::{About, Check};
use crate::ops::reconcile::supabase::FixedBy;

/// What each campaign's leads amount to, as the triggers of `leads` count: a member once in a campaign, and one who
/// is gone as the one it was, a lead without `campaign_id` in the campaign that its UTM fields name.
macro_rules! sums {
    () => {
        "with counts as (
             select m.id as campaign_id,
                    case when l.converted_to_user_id is not null then l.converted_to_user_id
                         when l.status = 'converted' then coalesce(c.member, l.id) end as member,
                    case when lower(l.currency) = lower(m.currency) then
                        coalesce(l.conversion_value, 0)
                            * ingest.minor_units_in(m.currency, pg_typeof(l.conversion_value))
                    else 0 end as value
             from public.leads l
             cross join lateral ingest.campaign_of(l.campaign_id, l.utm_campaign, l.utm_source, l.utm_medium)
                 as p (campaign_id)
             join public.marketing_campaigns m on m.id = p.campaign_id
             left join ingest.counted_leads c on c.lead_id = l.id
         ), members as (
             select campaign_id, member, count(*) as leads, max(value) as value from counts group by 1, 2
         ), sums as (
             select campaign_id, sum(leads) as leads, count(member) as conversions,
                    coalesce(sum(value) filter (where member is not null), 0) as value
             from members group by 1
         ), campaigns as (
             select m.* from public.marketing_campaigns m
             where m.id in (select campaign_id from counts union select campaign_id from ingest.counted_leads)
         ) "
    };
}

/// The check of the campaigns. The two ratios follow from the sums beside them, and end where their columns do.
pub(in crate::ops::reconcile::supabase) fn check() -> Check {
    Check::new(
        FixedBy::Reconcile,
        concat!(
            sums!(),
            "select id, trim_scale(total_leads::numeric) as total_leads,
                    trim_scale(total_conversions::numeric) as total_conversions,
                    trim_scale(revenue_generated::numeric) as revenue_generated,
                    trim_scale(calculated_cpl::numeric) as calculated_cpl,
                    trim_scale(calculated_roi::numeric) as calculated_roi
             from campaigns"
        ),
        concat!(
            sums!(),
            "select m.id, coalesce(s.leads, 0)::numeric as total_leads,
                    coalesce(s.conversions, 0)::numeric as total_conversions,
                    trim_scale((coalesce(s.value, 0)
                        / ingest.minor_units_in(m.currency, pg_typeof(m.revenue_generated)))::numeric)
                        as revenue_generated,
                    trim_scale(case when m.total_leads > 0 then round(
                        m.total_spent * ingest.minor_units_in(m.currency, pg_typeof(m.total_spent))
                            / m.total_leads / ingest.minor_units_in(m.currency, pg_typeof(m.calculated_cpl)),
                        coalesce(scale(m.calculated_cpl::numeric), 2)) end::numeric) as calculated_cpl,
                    trim_scale(case when m.total_spent > 0 then least(round(
                        (m.revenue_generated * ingest.minor_units_in(m.currency, pg_typeof(m.revenue_generated))
                            - m.total_spent * ingest.minor_units_in(m.currency, pg_typeof(m.total_spent)))
                            / (m.total_spent * ingest.minor_units_in(m.currency, pg_typeof(m.total_spent))),
                        coalesce(scale(m.calculated_roi::numeric), 4)), 99999999.9999) end::numeric) as calculated_roi
             from campaigns m left join sums s on s.campaign_id = m.id"
        ),
    )
    .about(About::Campaigns, "public.marketing_campaigns")
    .columns(
        "public.marketing_campaigns",
        "null",
        ["total_leads", "total_conversions", "revenue_generated", "calculated_cpl", "calculated_roi"],
    )
}

/// Counts the leads of `$1` again and sets the campaigns to what they say; the ratios follow by their trigger.
pub(in crate::ops::reconcile::supabase) const COUNT_AGAIN: &str = "
    select ingest.count_leads(array(select id from public.leads
                                    where ingest.campaign_of(campaign_id, utm_campaign, utm_source, utm_medium) = any ($1)
                                    union select lead_id from ingest.counted_leads where campaign_id = any ($1)))";
pub(in crate::ops::reconcile::supabase) const SET: &str = concat!(
    sums!(),
    "update public.marketing_campaigns m set
         total_leads = coalesce(s.leads, 0), total_conversions = coalesce(s.conversions, 0),
         revenue_generated =
             coalesce(s.value, 0) / ingest.minor_units_in(m.currency, pg_typeof(m.revenue_generated))
     from campaigns c left join sums s on s.campaign_id = c.id
     where m.id = c.id and m.id = any ($1)"
);
