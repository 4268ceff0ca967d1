-- MEMBERS members of every kind: names that many share and names that few do, all statuses, with and without money.
-- Indexes are rebuilt afterwards, which takes a fraction of the time.
create temp table dropped as
select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i
where i.indrelid in ('auth.users'::regclass, 'public.user_profiles'::regclass, 'public.user_revenue_metrics'::regclass,
                     'public.user_activity_metrics'::regclass, 'public.customer_subscriptions'::regclass)
  and not exists (select from pg_constraint c where c.conindid = i.indexrelid);
do $$ begin
    execute (select string_agg('drop index ' || name, '; ') from dropped);
end $$;

insert into auth.users (id, email, phone, created_at, is_sso_user, instance_id)
select md5('member' || n)::uuid,
       case when n % 20 > 0 then 'mail' || n || (array['@example.com', '@example.org', '@mail.test'])[(1 + n % 3)::int] end,
       case when n % 20 = 0 then '+4930' || (10000000 + n) end,
       timestamptz '2020-01-01' + (n * 7919 % 2190) * interval '1 day' + n * interval '1 second', false,
       '00000000-0000-0000-0000-000000000000'
from generate_series(1::bigint, MEMBERS) n;

insert into public.user_profiles (user_id, first_name, last_name, phone, is_active, is_draft, updated_at)
select md5('member' || n)::uuid,
       (array['Anna', 'Ben', 'Chloé', 'Dao', 'Emre', 'Fatima', 'Günther', 'Hana', 'Ivo', 'Jo'])[(1 + n / 10 % 10)::int],
       (array['Berger', 'Moreau', 'Quinn', 'Ito', 'Okafor', 'Silva', 'Yilmaz'])[(1 + n % 7)::int] || ' ' || (n * 31 % 5000),
       case when n % 3 = 0 then '+1202' || (1000000 + n) end, true, false,
       timestamptz '2026-01-01' + (n % 300) * interval '1 day'
from generate_series(1::bigint, MEMBERS) n
where n % 10 > 0;

insert into public.user_revenue_metrics
    (user_id, mrr, ltv, total_spent, currency, subscription_tier, subscription_status, subscription_start_date)
select md5('member' || n)::uuid, n % 4 * 4900, (n * 31 % 1000) * 100, (n * 31 % 1000) * 110, 'usd', 'Pro', 'active',
       timestamptz '2024-01-01' + (n % 700) * interval '1 day'
from generate_series(1::bigint, MEMBERS) n
where n % 5 > 0;

insert into public.user_activity_metrics
    (user_id, engagement_status, health_status, last_login_at, vision_count, journal_entry_count, custom_tags)
select md5('member' || n)::uuid, (array['active', 'inactive', 'at_risk', 'champion'])[(1 + n % 4)::int],
       case when n % 1001 = 0 then 'needs_attention' when n % 9 = 0 then 'churned' else 'healthy' end,
       case when n % 6 > 0 then timestamptz '2026-11-01' - (n * 7919 % 400000) * interval '1 minute' end,
       n % 12, n % 40, '{}'
from generate_series(1::bigint, MEMBERS) n
where n % 8 > 0;

insert into public.membership_tiers (id, name, tier_type, stripe_price_id)
select md5(name)::uuid, name, 'pro', 'price_' || name from unnest(array['Pro', 'Starter', 'Founder']) name;

insert into public.customer_subscriptions
    (id, user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, status, created_at)
select md5('subscription' || n)::uuid, md5('member' || n)::uuid,
       md5(case when n % 100000 = 1 then 'Founder' when n % 3 = 0 then 'Starter' else 'Pro' end)::uuid,
       'cus_' || n, 'sub_' || n,
       (case when n % 501 = 0 then 'past_due' when n % 9 = 0 then 'canceled' else 'active' end)::public.subscription_status,
       timestamptz '2024-01-01' + (n % 700) * interval '1 day'
from generate_series(1::bigint, MEMBERS) n
where n % 5 > 0;

set maintenance_work_mem = '256MB';
do $$ begin
    execute (select string_agg(definition, '; ') from dropped);
end $$;
reset maintenance_work_mem;
