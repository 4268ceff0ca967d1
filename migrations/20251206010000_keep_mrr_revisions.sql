-- What the ledger believed at an earlier moment is what it believes now, less what it has begun to believe and plus what it has
-- ceased to believe since. That is summed by the day on which it did, while the ledger changes: a moment of long ago costs no
-- more than yesterday. Whoever writes the ledger keeps the sums, the version before included, for triggers do.

create table if not exists ingest.mrr_revisions (
    known_on date not null,
    currency text not null,
    day date not null,
    kind text not null,
    movements bigint not null,
    amount bigint not null,
    primary key (known_on, currency, day, kind)
) with (fillfactor = 50); -- Room in each block: a sum that moves leaves the index alone.
comment on table ingest.mrr_revisions is
    'By how much each sum of mrr_totals changed on a day: what mrr_movements recorded less what it superseded then.';
comment on column ingest.mrr_revisions.known_on is 'The day (UTC) of recorded_at, of what was superseded that of superseded_at.';
comment on column ingest.mrr_revisions.day is 'Of effective_at, in UTC.';
comment on column ingest.mrr_revisions.movements is 'By how many more movements are believed after the day than before.';
comment on column ingest.mrr_revisions.amount is 'The sum of their deltas, in minor units per month.';
alter table ingest.mrr_revisions enable row level security;
revoke all on ingest.mrr_revisions from public, anon, authenticated;

-- One body, for what a statement inserted, updated or deleted. The rows are moved in one order, so that two who write the
-- ledger cannot wait for each other in a circle.
do $$
declare
    body constant text := $body$
create or replace function ingest.revise_%1$s() returns trigger
language plpgsql security definer set search_path = '' as $function$
begin
    insert into ingest.mrr_revisions as r (known_on, currency, day, kind, movements, amount)
    select (known_at at time zone 'UTC')::date, currency, (effective_at at time zone 'UTC')::date, kind,
           sum(sign * step), sum(sign * step * delta)
    from (%2$s) changes
    cross join lateral (values (recorded_at, 1), (superseded_at, -1)) known (known_at, step)
    where known_at is not null
    group by 1, 2, 3, 4 having (sum(sign * step), sum(sign * step * delta)) <> (0, 0) order by 1, 2, 3, 4
    on conflict (known_on, currency, day, kind) do update
    set movements = r.movements + excluded.movements, amount = r.amount + excluded.amount;
    return null;
end
$function$;
create or replace trigger memberflow_revise_%1$s after %3$s on public.mrr_movements
    referencing %4$s for each statement execute function ingest.revise_%1$s()
    $body$;
    columns constant text := 'select recorded_at, superseded_at, currency, effective_at, kind, delta, ';
    new_rows constant text := columns || '1 as sign from new_rows';
    old_rows constant text := columns || '-1 as sign from old_rows';
begin
    -- Nobody writes the ledger between the sum and the triggers.
    lock table public.mrr_movements in share row exclusive mode;
    execute format(body, 'inserted', new_rows, 'insert', 'new table as new_rows');
    execute format(body, 'updated', new_rows || ' union all ' || old_rows, 'update',
                   'old table as old_rows new table as new_rows');
    execute format(body, 'deleted', old_rows, 'delete', 'old table as old_rows');
end $$;

create or replace function ingest.revise_truncated() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from ingest.mrr_revisions;
    return null;
end
$$;
create or replace trigger memberflow_revise_truncated after truncate on public.mrr_movements
    for each statement execute function ingest.revise_truncated();
revoke all on all functions in schema ingest from public, anon, authenticated;

create or replace view ingest.summed_revisions with (security_invoker = true) as
select (known_at at time zone 'UTC')::date as known_on, currency, (effective_at at time zone 'UTC')::date as day, kind,
       sum(step)::bigint as movements, sum(step * delta)::bigint as amount
from public.mrr_movements
cross join lateral (values (recorded_at, 1), (superseded_at, -1)) known (known_at, step)
where known_at is not null
group by 1, 2, 3, 4 having (sum(step), sum(step * delta)) <> (0, 0);
comment on view ingest.summed_revisions is 'What mrr_revisions must say, summed from the whole ledger.';
revoke all on ingest.summed_revisions from public, anon, authenticated;

delete from ingest.mrr_revisions;
insert into ingest.mrr_revisions select * from ingest.summed_revisions;
