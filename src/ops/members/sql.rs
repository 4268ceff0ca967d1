//! The constant pieces of SQL that every list and view of members is put together from.

/// A profile's name as people read it. An index in `migrations/` has this very expression.
macro_rules! full_name {
    ($profile:literal) => {
        concat!(
            "nullif(btrim(coalesce(",
            $profile,
            ".first_name, '') || ' ' || coalesce(",
            $profile,
            ".last_name, '')), '')"
        )
    };
}

/// The columns of a [`super::Member`], less those that depend on the moment of reading.
///
/// Where nothing has computed a status yet: an account that never logged in is inactive, one that
/// never had a subscription is healthy.
pub(super) const COLUMNS: &str = "\
select u.id as user_id, u.email::text as email, coalesce(p.phone, nullif(u.phone::text, '')) as phone,
       p.full_name, p.name_key, s.tier as subscription_tier, s.status as subscription_status,
       s.stripe_customer_id, u.created_at, u.last_sign_in_at,
       coalesce(a.engagement_status, case when a.last_login_at is null then 'inactive' end)
           as engagement_status,
       coalesce(a.health_status, case when s.status is null then 'healthy' end) as health_status,
       coalesce(a.custom_tags, '{}'::text[]) as custom_tags,
       coalesce(a.vision_count, 0)::bigint as vision_count,
       coalesce(a.journal_entry_count, 0)::bigint as journal_entry_count,
       a.last_login_at, coalesce(r.mrr, 0)::bigint as mrr, coalesce(r.ltv, 0)::bigint as ltv,
       coalesce(r.total_spent, 0)::bigint as total_spent, r.currency::text as currency,
       r.subscription_start_date";

/// The accounts.
pub(super) const FROM_ACCOUNTS: &str = "
from auth.users u";

/// The same, of which a query between the pieces gives the `id`s: looked up one by one, whatever the order.
pub(super) const FROM_GIVEN_ACCOUNTS: [&str; 2] = [
    "
from (",
    ") given
cross join lateral (select * from auth.users u where u.id = given.id offset 0) u",
];

/// The newest active profile of each.
pub(super) const PROFILE: &str = concat!(
    "
left join lateral (
    select q.user_id, ",
    full_name!("q"),
    " as full_name, lower(",
    full_name!("q"),
    ") as name_key,
           nullif(q.phone, '') as phone
    from public.user_profiles q
    where q.user_id = u.id and q.is_active
    order by coalesce(q.updated_at, '-infinity') desc, q.id desc
    limit 1
) p on true"
);

/// Both, but only accounts with an active profile, in a shape that can be read in the order of the index on names.
pub(super) const FROM_PROFILES: &str = concat!(
    "
from (
    select q.user_id, ",
    full_name!("q"),
    " as full_name, lower(",
    full_name!("q"),
    ") as name_key,
           nullif(q.phone, '') as phone
    from public.user_profiles q
    where q.is_active and not exists (
        select from public.user_profiles newer
        where newer.user_id = q.user_id and newer.is_active
          and (coalesce(newer.updated_at, '-infinity'), newer.id) > (coalesce(q.updated_at, '-infinity'), q.id)
    )
) p
join auth.users u on u.id = p.user_id"
);

/// What was computed of each account.
pub(super) const METRICS: &str = "
left join public.user_revenue_metrics r on r.user_id = u.id
left join public.user_activity_metrics a on a.user_id = u.id";

/// The leading subscription: an active one, then a trialing one, then the others; of several the one whose tier leads in the
/// revenue metrics, then the oldest.
pub(super) const LEADING: &str = "
left join lateral (
    select c.status::text as status, t.name::text as tier, c.stripe_customer_id
    from public.customer_subscriptions c
    join public.membership_tiers t on t.id = c.membership_tier_id
    where c.user_id = u.id
    order by array_position(array['active', 'trialing', 'past_due', 'unpaid', 'paused', 'incomplete',
                                  'canceled', 'incomplete_expired'], c.status::text),
             (t.name = r.subscription_tier) desc nulls last, c.created_at, c.id
    limit 1
) s on true";

/// Whether an account has a subscription, whichever leads. Conditions on it and on its tier follow.
pub(super) const ANY_SUBSCRIPTION: &str = "
and (select true from public.customer_subscriptions x
     join public.membership_tiers y on y.id = x.membership_tier_id
     where x.user_id = u.id";

/// Accounts that are there. Conditions follow.
pub(super) const PRESENT: &str = "
where u.deleted_at is null";

/// Accounts with a subscription, whichever leads. A condition on its status follows the first piece, one on the tier the
/// second.
pub(super) const SUBSCRIBERS: [&str; 2] = [
    "
select c.user_id as id
from public.membership_tiers t
cross join lateral (
    select c.user_id from public.customer_subscriptions c
    where c.membership_tier_id = t.id",
    ") c
where true",
];

/// In the order of an index, so that a tier that few have is not looked for among all subscriptions.
pub(super) const FIRST_SUBSCRIBERS: &str = " order by c.status, c.user_id limit ";

/// Accounts by when they were made: conditions on `m.created_at` follow.
pub(super) const MADE_THEN: &str = "select m.id from auth.users m where m.created_at is not null";

/// Accounts with a text in one of the places where it is looked for. A `like` pattern goes after each.
pub(super) const BEARERS_OF_TEXT: [&str; 3] = [
    "select id from auth.users where email ilike ",
    "select user_id from public.user_profiles c where is_active and c.phone ilike ",
    concat!("select user_id from public.user_profiles c where is_active and ", full_name!("c"), " ilike "),
];

/// The same for digits alone: that is what Supabase keeps of an account's number, and no index of its finds a part of it.
pub(super) const BEARERS_OF_NUMBER: &str =
    "select id from auth.users where phone is not null and phone like ";

/// The text in what is shown of a member. A `like` pattern goes after each. In a `case`, of which Postgres assumes that it
/// is often true: this is asked along an order, where few are checked, or of few candidates.
pub(super) const SHOWN_TEXT: [&str; 3] =
    [" and case when u.email ilike ", " or p.full_name ilike ", " or coalesce(p.phone, u.phone) ilike "];
pub(super) const SHOWN_TEXT_END: &str = " then true else false end";
