-- Statuses that stood in user_activity_metrics before memberflow count as set by hand; from then on the two flags
-- alone decide.
--
-- The file that adds the flags is older than this rule, and on a database that has been migrated before a value found
-- then looks like one written since. So this flags values
--   - only where memberflow has never started consuming: its first start used to do it, and what is derived is ours;
--   - not in a column that memberflow made itself: nothing stood there before (its default is known, and
--     atthasmissing tells a column that was added to a table from one that was made with it);
--   - not in a row that has a flag already: whoever wrote it knows the flags and means the other one to be false;
--   - once. The comment on the flag is the mark, so that the file can be applied again without effect.

do $$
declare
    flags constant regclass := 'public.user_activity_metrics';
    words constant text := 'Set by hand: stays as it is. What stood before memberflow was flagged when it was migrated; since then the writer of a row says so.';
    ours text[];
    engagement_is_ours boolean;
    health_is_ours boolean;
begin
    if exists (
        select from pg_catalog.pg_attribute a
        where a.attrelid = flags and a.attname = 'engagement_status_is_manual' and col_description(flags, a.attnum) = words
    ) then
        return;
    end if;
    if not exists (select from ingest.switched_on) then
        select coalesce(array_agg(a.attname::text), '{}') into ours
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = flags and a.attnotnull and a.atthasmissing
            and (a.attname, pg_get_expr(d.adbin, d.adrelid)) in (
                ('engagement_status', '''inactive''::text'), ('health_status', '''healthy''::text'));
        engagement_is_ours := 'engagement_status' = any (ours);
        health_is_ours := 'health_status' = any (ours);
        update public.user_activity_metrics set
            engagement_status_is_manual = engagement_status is not null and not engagement_is_ours,
            health_status_is_manual = health_status is not null and not health_is_ours
        where not engagement_status_is_manual and not health_status_is_manual
            and (engagement_status is not null and not engagement_is_ours
                 or health_status is not null and not health_is_ours);
    end if;
    execute format('comment on column public.user_activity_metrics.engagement_status_is_manual is %L', words);
    execute format('comment on column public.user_activity_metrics.health_status_is_manual is %L', words);
end $$;
