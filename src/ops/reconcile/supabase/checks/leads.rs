//! Compares the leads: whom they converted to, and their value.

use super::super::FixedBy;
use super::Check;

/// The checks of the leads, by the members that they are of.
pub(in crate::ops::reconcile::supabase) fn checks() -> [Check; 3] {
    let nobody = "select null::uuid as id, 0::bigint as value where false";
    let to_convert = Check::new(
        FixedBy::Reconcile,
        nobody,
        "select u.id, count(*) as value from public.leads l join auth.users u on lower(u.email) = lower(l.email)
         where l.converted_to_user_id is null and ingest.member_with_address(u.email) = u.id
           and ingest.lead_came_first(l.created_at, u.id)
         group by u.id",
    )
    .field("public.leads.converted_to_user_id (leads to convert)", "0");
    let of_members_already = Check::new(
        FixedBy::Reconcile,
        "select c.user_id as id, count(*) as value from ingest.lead_conversions c
         join public.leads l on l.id = c.lead_id and l.converted_to_user_id = c.user_id
         where not ingest.lead_came_first(l.created_at, c.user_id) group by c.user_id",
        nobody,
    )
    .field("public.leads.converted_to_user_id (leads of members already)", "0");
    let value = Check::new(
        FixedBy::Reconcile,
        "select converted_to_user_id as id, jsonb_object_agg(id, conversion_value) as value from public.leads
         where converted_to_user_id is not null group by 1",
        "select l.converted_to_user_id as id,
                jsonb_object_agg(l.id, trim_scale(ingest.lead_value(
                    l.converted_to_user_id, c.currency, pg_typeof(l.conversion_value), l.created_at))) as value
         from public.leads l
         cross join lateral ingest.lead_currency(
             ingest.campaign_of(l.campaign_id, l.utm_campaign, l.utm_source, l.utm_medium),
             l.converted_to_user_id, l.currency) as c (currency)
         where l.converted_to_user_id is not null group by 1",
    )
    .field("public.leads.conversion_value", "'{}'");
    [to_convert, of_members_already, value].map(|check| Check { source: Some("public.leads"), ..check })
}
