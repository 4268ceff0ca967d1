-- What memberflow adds to the metrics: revenue in exact minor units, and whether a status was set by hand.
--
-- A file of its own, and not part of the CRM's: a deployment may have run its own version of that one,
-- so that the Supabase CLI passes over ours. For the same reason the revenue table is asked for again,
-- for it may have been dropped since.

create table if not exists public.user_revenue_metrics (
    user_id uuid primary key references auth.users (id) on delete cascade
);
alter table public.user_revenue_metrics
    add column if not exists user_id uuid references auth.users (id) on delete cascade,
    add column if not exists subscription_tier text,
    add column if not exists subscription_status text,
    add column if not exists mrr bigint not null default 0,
    add column if not exists ltv bigint not null default 0,
    add column if not exists total_spent bigint not null default 0,
    add column if not exists currency text,
    add column if not exists subscription_start_date timestamptz,
    add column if not exists months_subscribed integer not null default 0,
    add column if not exists last_calculated_at timestamptz,
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.user_revenue_by_currency (
    user_id uuid not null references auth.users (id) on delete cascade,
    currency text not null,
    mrr bigint not null default 0,
    ltv bigint not null default 0,
    total_spent bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (user_id, currency)
);

alter table public.user_activity_metrics
    add column if not exists engagement_status_is_manual boolean not null default false,
    add column if not exists health_status_is_manual boolean not null default false;

-- An older revenue table may have had another key. Metrics are written by user, so the user must be
-- unique; where rows stand against that, they are kept and the operator is told.
do $$
begin
    if not exists (
        select from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = 'public.user_revenue_metrics'::regclass and a.attname = 'user_id'
            and i.indisunique and i.indnkeyatts = 1 and i.indpred is null
    ) then
        create unique index user_revenue_metrics_user_id_key on public.user_revenue_metrics (user_id);
    end if;
exception
    when unique_violation then
        raise warning 'public.user_revenue_metrics holds several rows of one user: keep one of each, '
            'then create a unique index on (user_id); until then revenue metrics can''t be written';
end $$;
