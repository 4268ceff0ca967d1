-- The CRM: what each member does and pays, campaigns and leads, support, text messages.
--
-- Written like the file before: columns no row can be without, then all others where missing. Rows about a member go with
-- the member; the CRM's own records stay and only lose the link.
--
-- Categories, types and statuses of messages are the application's words, and are not checked: the next word would be
-- refused. Where it has no list it writes null, so that lists may be null.
--
-- A deployment may have applied its own file of this number, so that the Supabase CLI passes over this one. What
-- memberflow adds to these tables, the columns of the revenue metrics too, is therefore in files of its own.

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

-- Its columns are in create_facts_and_ledger.
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
    add column if not exists creative_urls text[] default '{}',
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
    add column if not exists type text not null default 'contact',
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
    add column if not exists pages_visited text[] default '{}',
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
    add column if not exists category text default 'other',
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
    add column if not exists attachments text[] default '{}',
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
    add column if not exists media_urls text[] default '{}',
    add column if not exists status text default 'queued',
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

-- What each table is for, and each column that its name doesn't explain. Only where nothing is written yet: a deployment's
-- own words stay.

do $$
declare
    entry record;
    target regclass;
begin
    for entry in
        select * from (values
            ('user_activity_metrics', null, 'What each member does, one row per user, kept by memberflow. The member may read the whole row.'),
            ('user_activity_metrics', 'profile_completion_percent', 'Share of the profile''s columns that the active profile has filled, 0 to 100.'),
            ('user_activity_metrics', 'vision_count', 'Rows of vision_versions that are not drafts.'),
            ('user_activity_metrics', 'journal_entry_count', 'Rows of journal_entries.'),
            ('user_activity_metrics', 'last_login_at', 'Latest login: a new session, not a refreshed token.'),
            ('user_activity_metrics', 'total_logins', 'Sessions ever seen, those since deleted included.'),
            ('user_activity_metrics', 'days_since_last_login', 'Full 24-hour days, brought up to date daily; null: never logged in.'),
            ('user_activity_metrics', 's3_file_count', 'Files in Supabase storage that the user owns.'),
            ('user_activity_metrics', 'total_storage_mb', 'Their size in MB of 1,048,576 bytes, rounded half up.'),
            ('user_activity_metrics', 'engagement_status', 'active (login within 7 days), at_risk (8 to 30), inactive (longer or never), champion (active, with a live subscription and 6 months subscribed). Thresholds are settings.'),
            ('user_activity_metrics', 'health_status', 'churned (had a subscription, none lives), needs_attention (a subscription past_due or unpaid, or engagement at_risk), else healthy.'),
            ('user_activity_metrics', 'admin_notes', 'The CRM''s notes, for admins alone: members read own_activity_metrics.'),
            ('user_activity_metrics', 'last_calculated_at', 'When the metrics last changed or were checked.'),
            ('marketing_campaigns', null, 'Marketing campaigns and what came of them.'),
            ('marketing_campaigns', 'slug', 'The campaign''s name in links.'),
            ('marketing_campaigns', 'currency', 'Of this row''s amounts.'),
            ('marketing_campaigns', 'budget', 'In minor units of currency (a column that stood here before as a decimal holds major units).'),
            ('marketing_campaigns', 'cost_per_lead_target', 'In the unit of budget.'),
            ('marketing_campaigns', 'total_spent', 'In the unit of budget.'),
            ('marketing_campaigns', 'calculated_cpl', 'Cost per lead, in the unit of budget.'),
            ('marketing_campaigns', 'calculated_roi', 'Return on investment as a ratio: 1 is all of it back again on top.'),
            ('marketing_campaigns', 'revenue_generated', 'In the unit of budget.'),
            ('leads', null, 'People who have shown interest and are not members yet.'),
            ('leads', 'type', 'The form it came by, in the application''s words: contact, demo, intensive_intake, assessment, …'),
            ('leads', 'session_id', 'The visit it came from: the session of lead_tracking_events.'),
            ('leads', 'converted_to_user_id', 'The member that the lead became.'),
            ('leads', 'currency', 'Of conversion_value.'),
            ('leads', 'conversion_value', 'In minor units of currency (a column that stood here before as a decimal holds major units).'),
            ('leads', 'time_on_site', 'Seconds.'),
            ('leads', 'sms_consent_date', 'When the person agreed to text messages: the proof of sms_opt_in.'),
            ('leads', 'sms_opt_out_date', 'When the person revoked it; from then on nothing may be sent.'),
            ('support_tickets', null, 'Requests for help, from members (user_id) and guests (guest_email). Members read their own.'),
            ('support_tickets', 'ticket_number', 'What people quote: SUPP- and at least four digits, from a sequence.'),
            ('support_tickets', 'user_id', 'Null for a guest, and once the member is gone.'),
            ('support_tickets', 'assigned_to', 'The colleague who sees to it.'),
            ('support_tickets', 'category', 'What it is about, in the application''s words: technical, billing, account, feature, bug, guide, coaching, other, …'),
            ('support_ticket_replies', null, 'The conversation of a ticket. Members read what stands under their own tickets.'),
            ('support_ticket_replies', 'is_staff', 'Written by the team and not by the member.'),
            ('support_ticket_replies', 'attachments', 'Where the files are.'),
            ('sms_messages', null, 'Text messages sent and received, about a lead, a ticket or a member.'),
            ('sms_messages', 'twilio_sid', 'Twilio''s id of the message.'),
            ('sms_messages', 'media_urls', 'Pictures sent along.'),
            ('sms_messages', 'status', 'How far it got: queued, sent, delivered, failed, received, or another of Twilio''s words (accepted, scheduled, sending, undelivered, canceled, read, …).'),
            ('lead_tracking_events', null, 'What visitors did on the site, by session, before and after they became leads.'),
            ('lead_tracking_events', 'session_id', 'One visit.'),
            ('lead_tracking_events', 'event_data', 'What the kind of event says beyond its type.')
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
    if obj_description('public.support_ticket_numbers'::regclass, 'pg_class') is null then
        comment on sequence public.support_ticket_numbers is 'Numbers of support tickets: two tickets made at once never get the same one.';
    end if;
end $$;
