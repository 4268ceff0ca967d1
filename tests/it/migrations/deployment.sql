-- The database of a deployment before memberflow: its types, its ways and a row in every table.
-- Among its ways: money as int4, text as varchar, no `paused`, ticket numbers by max()+1, admins by
-- user_metadata, no row level security on some tables, no user_revenue_metrics.

insert into auth.users (id, email, raw_user_meta_data) values
    ('00000000-0000-0000-0000-00000000000a', 'ann@example.org', '{"is_admin": true}'),
    ('00000000-0000-0000-0000-00000000000b', 'bob@example.org', '{}');

create type subscription_status as enum
    ('active', 'canceled', 'incomplete', 'incomplete_expired', 'past_due', 'trialing', 'unpaid');
create type membership_tier_type as enum
    ('free', 'starter', 'pro', 'elite', 'vision_pro_annual', 'vision_pro_28day', 'intensive');

create table user_profiles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    first_name varchar(100), last_name varchar(100), phone varchar(20), email varchar(255),
    version_number int default 1, is_active boolean default true, is_draft boolean default false,
    favourite_colour text,
    created_at timestamptz default now(), updated_at timestamptz default now()
);
comment on table user_profiles is 'The deployment''s own words.';
create index idx_user_profiles_user_id on user_profiles (user_id);
insert into user_profiles (user_id, first_name, favourite_colour) values
    ('00000000-0000-0000-0000-00000000000a', 'Ann', 'green'),
    ('00000000-0000-0000-0000-00000000000a', 'Anna', null);

create table membership_tiers (
    id uuid primary key default gen_random_uuid(),
    name varchar(100) not null unique, description text, is_active boolean default true,
    created_at timestamptz default now(), updated_at timestamptz default now(),
    tier_type membership_tier_type, price_monthly int, price_yearly int, features jsonb,
    viva_tokens_monthly int, max_visions int, is_popular boolean, display_order int,
    stripe_product_id text unique, stripe_price_id text unique,
    annual_token_grant int, monthly_token_grant int, billing_interval text default 'month',
    storage_quota_gb int, included_seats int, max_household_members int, rollover_max_cycles int,
    plan_category text default 'subscription', is_household_plan boolean, product_id uuid
);
insert into membership_tiers (id, name, tier_type, price_monthly) values
    ('00000000-0000-0000-0000-0000000000f1', 'Vision Pro', 'vision_pro_28day', 9900);

create table customer_subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    membership_tier_id uuid not null references membership_tiers (id),
    stripe_customer_id text not null, stripe_subscription_id text unique, stripe_price_id text,
    status subscription_status not null default 'incomplete',
    current_period_start timestamptz, current_period_end timestamptz, cancel_at_period_end boolean,
    canceled_at timestamptz, trial_start timestamptz, trial_end timestamptz,
    created_at timestamptz default now(), updated_at timestamptz default now(),
    promo_code text, referral_source text, campaign_name text, order_id uuid, order_item_id uuid
);
insert into customer_subscriptions (id, user_id, membership_tier_id, stripe_customer_id, status) values
    ('00000000-0000-0000-0000-0000000000c1', '00000000-0000-0000-0000-00000000000a',
     '00000000-0000-0000-0000-0000000000f1', 'cus_1', 'active');

create table payment_history (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    subscription_id uuid references customer_subscriptions (id),
    stripe_payment_intent_id text unique, stripe_invoice_id text,
    amount int not null, currency text default 'usd', status text not null,
    description text, metadata jsonb, paid_at timestamptz, created_at timestamptz default now()
);
-- A status and a doubled invoice that no constraint of ours would let pass.
insert into payment_history (user_id, stripe_invoice_id, amount, status) values
    ('00000000-0000-0000-0000-00000000000a', 'in_1', 9900, 'refunded'),
    ('00000000-0000-0000-0000-00000000000a', 'in_1', -9900, 'succeeded');

create table vision_versions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    title text, is_draft boolean default false, is_active boolean default false,
    household_id uuid, parent_id uuid, created_at timestamptz default now(), updated_at timestamptz default now()
);
insert into vision_versions (user_id, title) values ('00000000-0000-0000-0000-00000000000a', 'A house');

create table journal_entries (
    id uuid primary key default gen_random_uuid(), user_id uuid not null, entry text
);
insert into journal_entries (user_id, entry) values ('00000000-0000-0000-0000-0000000000ff', 'of nobody');
grant all on journal_entries to anon, authenticated;

create table user_activity_metrics (
    user_id uuid primary key references auth.users (id) on delete cascade,
    profile_completion_percent int default 0, vision_count int default 0,
    vision_refinement_count int default 0, audio_generated_count int default 0,
    journal_entry_count int default 0, vision_board_image_count int default 0,
    last_login_at timestamptz, total_logins int default 0, days_since_last_login int,
    s3_file_count int default 0, total_storage_mb numeric(10, 2) default 0,
    tokens_used int default 0, tokens_remaining int default 0,
    engagement_status varchar(20) default 'active', health_status varchar(20) default 'healthy',
    custom_tags text[] default '{}', admin_notes text, last_calculated_at timestamptz, updated_at timestamptz
);
insert into user_activity_metrics (user_id, engagement_status, profile_completion_percent) values
    ('00000000-0000-0000-0000-00000000000a', 'vip', 120);

create table marketing_campaigns (
    id uuid primary key default gen_random_uuid(),
    name text not null, slug text unique not null, status text default 'draft', campaign_type text,
    utm_source text, utm_medium text, utm_campaign text, utm_content text, utm_term text,
    objective text, target_audience text, start_date date, end_date date,
    budget numeric(10, 2), cost_per_lead_target numeric(10, 2), notes text, creative_urls text[],
    landing_page_url text, tracking_url text, total_clicks int default 0, total_leads int default 0,
    total_conversions int default 0, total_spent numeric(10, 2) default 0, calculated_cpl numeric(10, 2),
    calculated_roi numeric(10, 2), revenue_generated numeric(10, 2) default 0, created_by uuid,
    created_at timestamptz default now(), updated_at timestamptz default now()
);
insert into marketing_campaigns (id, name, slug, budget) values
    ('00000000-0000-0000-0000-0000000000d1', 'Spring', 'spring', 1234.56);
-- The same hole, behind a function.
create function is_admin() returns boolean language sql stable security definer as $$
    select coalesce((raw_user_meta_data ->> 'is_admin')::boolean, false) from auth.users where id = auth.uid()
$$;
create policy "Admins manage campaigns" on marketing_campaigns for all to authenticated using (is_admin());

create table leads (
    id uuid primary key default gen_random_uuid(),
    type text not null, status text default 'new', first_name text, last_name text, email text not null,
    phone text, company text, message text, source text, metadata jsonb default '{}',
    campaign_id uuid references marketing_campaigns (id),
    utm_source text, utm_medium text, utm_campaign text, utm_content text, utm_term text,
    referrer text, landing_page text, session_id text, video_engagement jsonb, pages_visited text[],
    time_on_site int, assigned_to uuid, converted_to_user_id uuid, conversion_value numeric(10, 2),
    notes text, sms_opt_in boolean default false, sms_consent_date timestamptz, sms_opt_out_date timestamptz,
    created_at timestamptz default now(), updated_at timestamptz default now()
);
insert into leads (id, type, email, campaign_id, conversion_value) values
    ('00000000-0000-0000-0000-0000000000e1', 'demo', 'lead@example.org',
     '00000000-0000-0000-0000-0000000000d1', 12.50);
-- The hole that app_metadata closes: anybody can write is_admin into the own user_metadata.
alter table leads enable row level security;
grant select, insert, update, delete on leads to authenticated;
create policy "Admins can do anything with leads" on leads for all to authenticated using (
    (auth.jwt() -> 'user_metadata' ->> 'is_admin')::boolean
);

create table support_tickets (
    id uuid primary key default gen_random_uuid(),
    ticket_number varchar(50) unique not null, user_id uuid references auth.users (id), guest_email text,
    subject text not null, description text not null, status text default 'open',
    priority text default 'normal', category text, assigned_to uuid,
    created_at timestamptz default now(), updated_at timestamptz default now(),
    resolved_at timestamptz, closed_at timestamptz
);
create function generate_ticket_number() returns trigger language plpgsql as $$
begin
    if new.ticket_number is null then
        select 'SUPP-' || lpad((coalesce(max(substring(ticket_number from 6)::int), 0) + 1)::text, 4, '0')
            into new.ticket_number from public.support_tickets where ticket_number ~ '^SUPP-\d+$';
    end if;
    return new;
end $$;
create trigger set_ticket_number before insert on support_tickets
    for each row execute function generate_ticket_number();
insert into support_tickets (id, ticket_number, subject, description) values
    ('00000000-0000-0000-0000-0000000000b1', 'SUPP-0041', 'Help', 'It is broken.'),
    ('00000000-0000-0000-0000-0000000000b2', 'LEGACY-9', 'Help', 'It is broken.');
alter table support_tickets enable row level security;
grant select on support_tickets to authenticated;
create policy "Users see their own tickets" on support_tickets for select to authenticated
    using ((select auth.uid()) = user_id);

create table support_ticket_replies (
    id uuid primary key default gen_random_uuid(),
    ticket_id uuid not null references support_tickets (id) on delete cascade, user_id uuid,
    is_staff boolean default false, message text not null, attachments text[], created_at timestamptz default now()
);
insert into support_ticket_replies (ticket_id, message) values
    ('00000000-0000-0000-0000-0000000000b1', 'Is it?');

create table sms_messages (
    id uuid primary key default gen_random_uuid(), lead_id uuid references leads (id), ticket_id uuid,
    user_id uuid, direction text, from_number text, to_number text, body text, media_urls text[],
    status text, error_message text, twilio_sid text, created_at timestamptz default now()
);
insert into sms_messages (direction, status) values ('sideways', 'unknown');

create table lead_tracking_events (
    id uuid primary key default gen_random_uuid(), session_id text, lead_id uuid, user_id uuid,
    event_type text, event_data jsonb, page_url text, created_at timestamptz default now()
);
insert into lead_tracking_events (session_id, event_type) values ('s1', 'page_view');
