-- The tables that the CRM builds on: profiles, tiers, subscriptions, payments, visions, journal.
--
-- They may be there already, with rows. So each is created with the columns that no row can be without, and gets every
-- other column by `add column if not exists`: the same statement completes a new table and an old one, and leaves alone
-- what an old one has (its types and constraints too).

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
    add column if not exists updated_at timestamptz not null default now(),
    add column if not exists cancel_at timestamptz,
    add column if not exists cancellation_reason text,
    add column if not exists cancellation_feedback text,
    add column if not exists collection_paused boolean not null default false;

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

-- What each table is for, and each column that its name doesn't explain. Only where nothing is written yet: a deployment's
-- own words stay.

do $$
declare
    entry record;
    target regclass;
begin
    for entry in
        select * from (values
            ('user_profiles', null, 'Iterations of a member''s profile: several rows per user. The current name and phone are in the row with is_active.'),
            ('user_profiles', 'version_number', 'Counts the iterations of one user''s profile.'),
            ('user_profiles', 'is_active', 'The iteration that speaks for the member now.'),
            ('user_profiles', 'is_draft', 'Being written; not shown.'),
            ('membership_tiers', null, 'The plans on sale. Belongs to the application: memberflow reads it to find the tier of a Stripe price or product and never writes it.'),
            ('membership_tiers', 'price_monthly', 'List price in cents, for display. MRR comes from what is really billed, never from here.'),
            ('membership_tiers', 'price_yearly', 'List price in cents, for display.'),
            ('membership_tiers', 'billing_interval', 'How often the plan bills: month, year, or 28day.'),
            ('membership_tiers', 'stripe_price_id', 'A subscription to this price is of this tier.'),
            ('membership_tiers', 'stripe_product_id', 'A subscription to any price of this product is of this tier, unless another tier names the price.'),
            ('membership_tiers', 'product_id', 'The application''s own product row, if it has one.'),
            ('membership_tiers', 'rollover_max_cycles', 'For how many billing cycles unused tokens are kept.'),
            ('customer_subscriptions', null, 'One row per Stripe subscription of a known user, kept by memberflow.'),
            ('customer_subscriptions', 'membership_tier_id', 'The tier of the first item, in Stripe''s order, whose price a tier names; else whose product one names.'),
            ('customer_subscriptions', 'stripe_price_id', 'The price of the item that decided the tier.'),
            ('customer_subscriptions', 'status', 'Stripe''s status. One that the type does not know is not shown: the last known one stays.'),
            ('customer_subscriptions', 'cancel_at_period_end', 'Canceled, but running until current_period_end.'),
            ('customer_subscriptions', 'created_at', 'When Stripe created the subscription.'),
            ('customer_subscriptions', 'order_id', 'The application''s order that led to it.'),
            ('customer_subscriptions', 'order_item_id', 'The application''s order item that led to it.'),
            ('customer_subscriptions', 'cancel_at', 'When it is to end, where a day was set; in flexible billing mode so is the end of the period, and cancel_at_period_end stays false.'),
            ('customer_subscriptions', 'cancellation_reason', 'Stripe''s word for who or what canceled it: cancellation_requested, payment_failed, payment_disputed.'),
            ('customer_subscriptions', 'cancellation_feedback', 'Stripe''s word for what the member said of it: too_expensive, missing_features, unused and others.'),
            ('customer_subscriptions', 'collection_paused', 'Payments are not collected for now (pause_collection); the status stays as it is.'),
            ('payment_history', null, 'One row per finalized Stripe invoice and one per one-off payment, of known users. Goes with the user; the books stay in schema ingest.'),
            ('payment_history', 'amount', 'Money collected, gross, tax included, in minor units of currency; 0 unless succeeded or part-paid. Refunds and disputes never change it.'),
            ('payment_history', 'amount_refunded', 'Money given back, in minor units; pending refunds count at once, failed and canceled ones never.'),
            ('payment_history', 'amount_disputed', 'Money withdrawn by disputes at present, in minor units, without fees; 0 again once won.'),
            ('payment_history', 'status', 'succeeded (paid), failed (last attempt failed, still open), open, void or uncollectible.'),
            ('payment_history', 'stripe_payment_intent_id', 'Of the last successful payment; null where nothing was paid or it was paid outside of Stripe.'),
            ('payment_history', 'stripe_invoice_id', 'Null for a one-off payment.'),
            ('payment_history', 'paid_at', 'When the invoice was paid or the one-off payment charged.'),
            ('vision_versions', null, 'Versions of members'' visions; those that are not drafts count in user_activity_metrics.vision_count.'),
            ('vision_versions', 'parent_id', 'The version that this one refines.'),
            ('vision_versions', 'household_id', 'The household that shares the vision; null for a member''s own.'),
            ('vision_versions', 'is_draft', 'Being written; not counted.'),
            ('journal_entries', null, 'Members'' journals, readable by the member alone. memberflow only counts the rows.')
        ) as listed (relation, column_name, words)
    loop
        target := format('public.%I', entry.relation)::regclass;
        if entry.column_name is null and obj_description(target, 'pg_class') is null then
            execute format('comment on table %s is %L', target, entry.words);
        end if;
        if exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = target and a.attname = entry.column_name
                and col_description(target, a.attnum) is null
        ) then
            execute format('comment on column %s.%I is %L', target, entry.column_name, entry.words);
        end if;
    end loop;
end $$;

do $$
begin
    if obj_description('public.subscription_status'::regtype, 'pg_type') is null then
        comment on type public.subscription_status is 'Stripe''s subscription statuses.';
    end if;
    if obj_description('public.membership_tier_type'::regtype, 'pg_type') is null then
        comment on type public.membership_tier_type is 'The plans of the application, which bill yearly and every 28 days.';
    end if;
end $$;
