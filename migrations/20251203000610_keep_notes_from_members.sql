-- What staff write about a member is not the member's to read.
--
-- Protection is by row, and admins and members are one role of Postgres, so whoever may read the own row of
-- user_activity_metrics reads admin_notes and custom_tags in it. They stay where the application's admins read and write
-- them. Members read their metrics in a view without them, and the rows only as far as staff have written nothing.

-- Not a schema that PostgREST exposes: what is in it serves views alone.
create schema if not exists memberflow;
revoke all on schema memberflow from public, anon;
grant usage on schema memberflow to authenticated, service_role;
comment on schema memberflow is 'Functions behind memberflow''s views. Not for PostgREST.';

create or replace function memberflow.own_activity_metrics() returns table (
    user_id uuid, profile_completion_percent integer, vision_count integer, vision_refinement_count integer,
    audio_generated_count integer, journal_entry_count integer, vision_board_image_count integer,
    last_login_at timestamptz, total_logins integer, days_since_last_login integer, s3_file_count integer,
    total_storage_mb numeric, tokens_used bigint, tokens_remaining bigint, engagement_status text, health_status text,
    last_calculated_at timestamptz, updated_at timestamptz
)
language sql stable security definer set search_path = '' as $$
    select m.user_id, m.profile_completion_percent::integer, m.vision_count::integer, m.vision_refinement_count::integer,
           m.audio_generated_count::integer, m.journal_entry_count::integer, m.vision_board_image_count::integer,
           m.last_login_at::timestamptz, m.total_logins::integer, m.days_since_last_login::integer,
           m.s3_file_count::integer, m.total_storage_mb::numeric, m.tokens_used::bigint, m.tokens_remaining::bigint,
           m.engagement_status::text, m.health_status::text, m.last_calculated_at::timestamptz, m.updated_at::timestamptz
    from public.user_activity_metrics m where m.user_id = (select auth.uid())
$$;
revoke all on function memberflow.own_activity_metrics() from public, anon;
grant execute on function memberflow.own_activity_metrics() to authenticated, service_role;
comment on function memberflow.own_activity_metrics() is
    'The row of whoever asks, without admin_notes and custom_tags. Reads past row level security, which hides the row.';

create or replace view public.own_activity_metrics with (security_invoker = true) as
    select * from memberflow.own_activity_metrics();
revoke all on public.own_activity_metrics from public, anon, authenticated;
grant select on public.own_activity_metrics to authenticated, service_role;
comment on view public.own_activity_metrics is
    'A member''s own metrics: user_activity_metrics without what staff write.';

do $$
declare
    is_admin constant text := '((select auth.jwt()) -> ''app_metadata'' ->> ''role'') = ''admin''';
begin
    -- Ours is for admins alone. A deployment's own policies stay, and grant what they granted less the own row, once
    -- there is something in it that was not written for the member.
    if exists (
        select from pg_catalog.pg_policies
        where schemaname = 'public' and tablename = 'user_activity_metrics' and policyname = 'memberflow: read'
    ) then
        execute format('alter policy "memberflow: read" on public.user_activity_metrics using (%s)', is_admin);
    end if;
    drop policy if exists "memberflow: notes" on public.user_activity_metrics;
    execute format('create policy "memberflow: notes" on public.user_activity_metrics as restrictive for select
        to authenticated using (
            user_id is distinct from (select auth.uid())
            or coalesce(admin_notes, '''') = '''' and coalesce(custom_tags, ''{}'') = ''{}''
            or %s)', is_admin);
end $$;

do $$
declare
    said constant text := 'The CRM''s notes. Protection is by row, so the member can read them.';
begin
    if exists (
        select from pg_catalog.pg_attribute a
        where a.attrelid = 'public.user_activity_metrics'::regclass and a.attname = 'admin_notes'
            and col_description(a.attrelid, a.attnum) = said
    ) then
        comment on column public.user_activity_metrics.admin_notes is
            'The CRM''s notes, for admins alone: members read own_activity_metrics.';
    end if;
end $$;
