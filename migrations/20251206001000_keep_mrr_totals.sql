-- How the MRR moved is read from sums that are kept while the ledger changes: by currency, day (UTC) and kind. They hold what
-- is believed now. Whoever writes the ledger keeps them, the version before included, for triggers do.

create table if not exists ingest.mrr_totals (
    currency text not null,
    day date not null,
    kind text not null,
    movements bigint not null,
    amount bigint not null,
    primary key (currency, day, kind)
) with (fillfactor = 50); -- Room in each block: a sum that moves leaves the index alone.
comment on table ingest.mrr_totals is
    'What mrr_movements believes, summed by currency, day and kind. A row whose movements are all superseded stays, with 0.';
comment on column ingest.mrr_totals.day is 'Of effective_at, in UTC.';
comment on column ingest.mrr_totals.amount is 'The sum of the deltas, in minor units per month.';
alter table ingest.mrr_totals enable row level security;
revoke all on ingest.mrr_totals from public, anon, authenticated;

-- The rows are moved in one order, so that two who write the ledger cannot wait for each other in a circle.
create or replace function ingest.total_movements() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    case tg_op
    when 'INSERT' then
        insert into ingest.mrr_totals as t (currency, day, kind, movements, amount)
        select currency, (effective_at at time zone 'UTC')::date, kind, count(*), sum(delta)
        from new_rows where superseded_at is null
        group by 1, 2, 3 order by 1, 2, 3
        on conflict (currency, day, kind) do update
        set movements = t.movements + excluded.movements, amount = t.amount + excluded.amount;
    when 'UPDATE' then
        insert into ingest.mrr_totals as t (currency, day, kind, movements, amount)
        select currency, day, kind, sum(movements), sum(amount)
        from (
            select currency, (effective_at at time zone 'UTC')::date as day, kind, 1 as movements, delta as amount
            from new_rows where superseded_at is null
            union all
            select currency, (effective_at at time zone 'UTC')::date, kind, -1, -delta
            from old_rows where superseded_at is null
        ) changes
        group by 1, 2, 3 having (sum(movements), sum(amount)) <> (0, 0) order by 1, 2, 3
        on conflict (currency, day, kind) do update
        set movements = t.movements + excluded.movements, amount = t.amount + excluded.amount;
    when 'DELETE' then
        insert into ingest.mrr_totals as t (currency, day, kind, movements, amount)
        select currency, (effective_at at time zone 'UTC')::date, kind, -count(*), -sum(delta)
        from old_rows where superseded_at is null
        group by 1, 2, 3 order by 1, 2, 3
        on conflict (currency, day, kind) do update
        set movements = t.movements + excluded.movements, amount = t.amount + excluded.amount;
    else
        delete from ingest.mrr_totals;
    end case;
    return null;
end
$$;
comment on function ingest.total_movements() is 'Moves mrr_totals by what a statement changed in mrr_movements.';
revoke all on function ingest.total_movements() from public, anon, authenticated;

-- Nobody writes the ledger between the sum and the triggers.
do $$ begin
    lock table public.mrr_movements in share row exclusive mode;
end $$;
create or replace trigger memberflow_total_inserted after insert on public.mrr_movements
    referencing new table as new_rows for each statement execute function ingest.total_movements();
create or replace trigger memberflow_total_updated after update on public.mrr_movements
    referencing old table as old_rows new table as new_rows
    for each statement execute function ingest.total_movements();
create or replace trigger memberflow_total_deleted after delete on public.mrr_movements
    referencing old table as old_rows for each statement execute function ingest.total_movements();
create or replace trigger memberflow_total_truncated after truncate on public.mrr_movements
    for each statement execute function ingest.total_movements();

delete from ingest.mrr_totals;
insert into ingest.mrr_totals (currency, day, kind, movements, amount)
select currency, (effective_at at time zone 'UTC')::date, kind, count(*) filter (where superseded_at is null),
       coalesce(sum(delta) filter (where superseded_at is null), 0)
from public.mrr_movements group by 1, 2, 3;
