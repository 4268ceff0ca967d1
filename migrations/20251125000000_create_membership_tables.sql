-- The tables that the CRM builds on: profiles, tiers, subscriptions, payments, visions, journal.
--
-- They may be there already, with rows. So each is created with the columns that no row can be
-- without, and gets every other column by `add column if not exists`: the same statement completes a
-- new table and an old one, and leaves alone what an old one has (its types and constraints too).

do $$
begin
    create type public.subscription_status as enum (
        'active', 'canceled', 'incomplete', 'incomplete_expired', 'past_due', 'paused', 'trialing', 'unpaid'
    );
exception
    when duplicate_object then null;
end $$;
-- Stripe's newest status. Nothing below may use it: a value can't be used in the transaction that adds it.
alter type public.subscription_status add value if not exists 'paused';

do $$
begin
    create type public.membership_tier_type as enum (
        'free', 'starter', 'pro', 'elite',
        'vision_pro_annual', 'vision_pro_28day',
        'vision_pro_household_annual', 'vision_pro_household_28day',
        'household_addon_28day', 'household_addon_annual',
        'intensive', 'intensive_household', 'intensive_premium', 'intensive_premium_household'
    );
exception
    when duplicate_object then null;
end $$;

create table if not exists public.user_profiles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade
);
alter table public.user_profiles
    add column if not exists first_name text,
    add column if not exists last_name text,
    add column if not exists phone text,
    add column if not exists email text,
    add column if not exists version_number integer not null default 1,
    add column if not exists is_active boolean not null default true,
    add column if not exists is_draft boolean not null default false,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.membership_tiers (
    id uuid primary key default gen_random_uuid(),
    name varchar(100) not null unique
);
alter table public.membership_tiers
    add column if not exists description text,
    add column if not exists tier_type public.membership_tier_type,
    add column if not exists is_active boolean not null default true,
    add column if not exists is_popular boolean not null default false,
    add column if not exists display_order integer not null default 0,
    add column if not exists price_monthly integer check (price_monthly >= 0),
    add column if not exists price_yearly integer check (price_yearly >= 0),
    add column if not exists billing_interval text default 'month',
    add column if not exists plan_category text default 'subscription',
    add column if not exists features jsonb not null default '[]',
    add column if not exists viva_tokens_monthly integer,
    add column if not exists annual_token_grant integer,
    add column if not exists monthly_token_grant integer,
    add column if not exists rollover_max_cycles integer,
    add column if not exists max_visions integer,
    add column if not exists storage_quota_gb integer,
    add column if not exists is_household_plan boolean not null default false,
    add column if not exists included_seats integer,
    add column if not exists max_household_members integer,
    add column if not exists stripe_product_id text unique,
    add column if not exists stripe_price_id text unique,
    add column if not exists product_id uuid,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.customer_subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    membership_tier_id uuid not null references public.membership_tiers (id),
    stripe_customer_id text not null
);
alter table public.customer_subscriptions
    add column if not exists stripe_subscription_id text unique,
    add column if not exists stripe_price_id text,
    add column if not exists status public.subscription_status not null default 'incomplete',
    add column if not exists current_period_start timestamptz,
    add column if not exists current_period_end timestamptz,
    add column if not exists cancel_at_period_end boolean not null default false,
    add column if not exists canceled_at timestamptz,
    add column if not exists trial_start timestamptz,
    add column if not exists trial_end timestamptz,
    add column if not exists promo_code text,
    add column if not exists referral_source text,
    add column if not exists campaign_name text,
    add column if not exists order_id uuid,
    add column if not exists order_item_id uuid,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.payment_history (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    amount bigint not null check (amount >= 0),
    status text not null check (status in ('succeeded', 'failed', 'open', 'void', 'uncollectible'))
);
alter table public.payment_history
    add column if not exists subscription_id uuid
        references public.customer_subscriptions (id) on delete set null,
    add column if not exists stripe_payment_intent_id text unique,
    add column if not exists stripe_invoice_id text,
    add column if not exists amount_refunded bigint not null default 0,
    add column if not exists amount_disputed bigint not null default 0,
    add column if not exists currency text default 'usd',
    add column if not exists description text,
    add column if not exists metadata jsonb,
    add column if not exists paid_at timestamptz,
    add column if not exists created_at timestamptz not null default now();

create table if not exists public.vision_versions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade
);
alter table public.vision_versions
    add column if not exists title text,
    add column if not exists is_draft boolean not null default false,
    add column if not exists is_active boolean not null default false,
    add column if not exists household_id uuid,
    add column if not exists parent_id uuid references public.vision_versions (id) on delete set null,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now();

-- Whole, never completed: nothing reads more of it than the owner, and a journal that is there already
-- has columns of its own for the rest.
create table if not exists public.journal_entries (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    title text,
    content text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
