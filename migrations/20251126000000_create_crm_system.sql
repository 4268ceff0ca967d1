-- The CRM: what each member does and pays, campaigns and leads, support, text messages.
--
-- Written like the file before: columns no row can be without, then all others where missing.
-- Rows about a member go with the member; the CRM's own records stay and only lose the link.

create table if not exists public.user_activity_metrics (
    user_id uuid primary key references auth.users (id) on delete cascade
);
alter table public.user_activity_metrics
    add column if not exists profile_completion_percent integer not null default 0
        check (profile_completion_percent between 0 and 100),
    add column if not exists vision_count integer not null default 0,
    add column if not exists vision_refinement_count integer not null default 0,
    add column if not exists audio_generated_count integer not null default 0,
    add column if not exists journal_entry_count integer not null default 0,
    add column if not exists vision_board_image_count integer not null default 0,
    add column if not exists last_login_at timestamptz,
    add column if not exists total_logins integer not null default 0,
    add column if not exists days_since_last_login integer,
    add column if not exists s3_file_count integer not null default 0,
    add column if not exists total_storage_mb numeric(10, 2) not null default 0,
    add column if not exists tokens_used bigint not null default 0,
    add column if not exists tokens_remaining bigint not null default 0,
    add column if not exists engagement_status text not null default 'inactive'
        check (engagement_status in ('active', 'at_risk', 'inactive', 'champion')),
    add column if not exists health_status text not null default 'healthy'
        check (health_status in ('healthy', 'needs_attention', 'churned')),
    add column if not exists custom_tags text[] not null default '{}',
    add column if not exists admin_notes text,
    add column if not exists last_calculated_at timestamptz,
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.user_revenue_metrics (
    user_id uuid primary key references auth.users (id) on delete cascade
);

create table if not exists public.marketing_campaigns (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    slug text not null unique
);
alter table public.marketing_campaigns
    add column if not exists status text not null default 'draft'
        check (status in ('draft', 'active', 'paused', 'completed', 'archived')),
    add column if not exists campaign_type text not null default 'other'
        check (campaign_type in ('paid_ad', 'email', 'social_organic', 'video', 'partnership', 'other')),
    add column if not exists utm_source text,
    add column if not exists utm_medium text,
    add column if not exists utm_campaign text,
    add column if not exists utm_content text,
    add column if not exists utm_term text,
    add column if not exists objective text,
    add column if not exists target_audience text,
    add column if not exists start_date timestamptz,
    add column if not exists end_date timestamptz,
    add column if not exists currency text not null default 'usd',
    add column if not exists budget bigint check (budget >= 0),
    add column if not exists cost_per_lead_target bigint check (cost_per_lead_target >= 0),
    add column if not exists notes text,
    add column if not exists creative_urls text[] not null default '{}',
    add column if not exists landing_page_url text,
    add column if not exists tracking_url text,
    add column if not exists total_clicks integer not null default 0,
    add column if not exists total_leads integer not null default 0,
    add column if not exists total_conversions integer not null default 0,
    add column if not exists total_spent bigint not null default 0,
    add column if not exists calculated_cpl bigint,
    add column if not exists calculated_roi numeric(12, 4),
    add column if not exists revenue_generated bigint not null default 0,
    add column if not exists created_by uuid references auth.users (id) on delete set null,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.leads (
    id uuid primary key default gen_random_uuid(),
    email text not null
);
alter table public.leads
    add column if not exists type text not null default 'contact'
        check (type in ('contact', 'demo', 'intensive_intake')),
    add column if not exists status text not null default 'new'
        check (status in ('new', 'contacted', 'qualified', 'converted', 'lost')),
    add column if not exists first_name text,
    add column if not exists last_name text,
    add column if not exists phone text,
    add column if not exists company text,
    add column if not exists message text,
    add column if not exists source text,
    add column if not exists metadata jsonb not null default '{}',
    add column if not exists campaign_id uuid
        references public.marketing_campaigns (id) on delete set null,
    add column if not exists utm_source text,
    add column if not exists utm_medium text,
    add column if not exists utm_campaign text,
    add column if not exists utm_content text,
    add column if not exists utm_term text,
    add column if not exists referrer text,
    add column if not exists landing_page text,
    add column if not exists session_id text,
    add column if not exists video_engagement jsonb,
    add column if not exists pages_visited text[] not null default '{}',
    add column if not exists time_on_site integer check (time_on_site >= 0),
    add column if not exists assigned_to uuid references auth.users (id) on delete set null,
    add column if not exists converted_to_user_id uuid references auth.users (id) on delete set null,
    add column if not exists currency text not null default 'usd',
    add column if not exists conversion_value bigint,
    add column if not exists notes text,
    add column if not exists sms_opt_in boolean not null default false,
    add column if not exists sms_consent_date timestamptz,
    add column if not exists sms_opt_out_date timestamptz,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.support_tickets (
    id uuid primary key default gen_random_uuid(),
    ticket_number text not null unique,
    subject text not null,
    description text not null
);
alter table public.support_tickets
    add column if not exists user_id uuid references auth.users (id) on delete set null,
    add column if not exists guest_email text,
    add column if not exists status text not null default 'open'
        check (status in ('open', 'in_progress', 'waiting_reply', 'resolved', 'closed')),
    add column if not exists priority text not null default 'normal'
        check (priority in ('low', 'normal', 'high', 'urgent')),
    add column if not exists category text not null default 'other'
        check (category in ('technical', 'billing', 'account', 'feature', 'other')),
    add column if not exists assigned_to uuid references auth.users (id) on delete set null,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now(),
    add column if not exists resolved_at timestamptz,
    add column if not exists closed_at timestamptz;

-- Ticket numbers: from a sequence, for two tickets made at once never get the same one from it. Where
-- the table already numbers its tickets (a default, or a trigger that names the column) that stays.
do $$
declare
    numbered boolean;
    highest bigint;
begin
    if to_regclass('public.support_ticket_numbers') is not null then
        return;
    end if;
    -- Held to the end: no ticket may slip in between reading the highest number and the new default.
    lock table public.support_tickets in share row exclusive mode;
    -- 17 digits: a longer "number" was never ours and would not fit a bigint.
    select coalesce(max(substring(ticket_number from '^SUPP-(\d{1,17})$')::bigint), 0)
        into highest from public.support_tickets;
    create sequence public.support_ticket_numbers owned by public.support_tickets.ticket_number;
    perform setval('public.support_ticket_numbers', greatest(highest, 1), highest > 0);

    select exists (
        select from pg_catalog.pg_attrdef d
        join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
        where d.adrelid = 'public.support_tickets'::regclass and a.attname = 'ticket_number'
    ) or exists (
        select from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = 'public.support_tickets'::regclass and not t.tgisinternal
            and p.prosrc like '%ticket_number%'
    ) into numbered;
    if not numbered then
        -- The zeros of the format are the digits always shown, the nines those shown when needed.
        alter table public.support_tickets alter column ticket_number set default
            'SUPP-' || to_char(nextval('public.support_ticket_numbers'), 'FM999999999999990000');
    end if;
end $$;

create table if not exists public.support_ticket_replies (
    id uuid primary key default gen_random_uuid(),
    ticket_id uuid not null references public.support_tickets (id) on delete cascade,
    message text not null
);
alter table public.support_ticket_replies
    add column if not exists user_id uuid references auth.users (id) on delete set null,
    add column if not exists is_staff boolean not null default false,
    add column if not exists attachments text[] not null default '{}',
    add column if not exists created_at timestamptz not null default now();

create table if not exists public.sms_messages (
    id uuid primary key default gen_random_uuid(),
    direction text not null check (direction in ('inbound', 'outbound')),
    from_number text not null,
    to_number text not null,
    body text not null
);
alter table public.sms_messages
    add column if not exists lead_id uuid references public.leads (id) on delete set null,
    add column if not exists ticket_id uuid references public.support_tickets (id) on delete set null,
    add column if not exists user_id uuid references auth.users (id) on delete set null,
    add column if not exists media_urls text[] not null default '{}',
    add column if not exists status text not null default 'queued'
        check (status in ('queued', 'sent', 'delivered', 'failed', 'received')),
    add column if not exists error_message text,
    add column if not exists twilio_sid text unique,
    add column if not exists created_at timestamptz not null default now();

create table if not exists public.lead_tracking_events (
    id uuid primary key default gen_random_uuid(),
    session_id text not null,
    event_type text not null
);
alter table public.lead_tracking_events
    add column if not exists lead_id uuid references public.leads (id) on delete set null,
    add column if not exists user_id uuid references auth.users (id) on delete set null,
    add column if not exists event_data jsonb not null default '{}',
    add column if not exists page_url text,
    add column if not exists created_at timestamptz not null default now();
