-- How the MRR moved is read from sums that are kept while the ledger changes. Whoever writes the ledger keeps them, the version
-- before included, for triggers do: a function each, which moves the sums by what a statement changed. The rows are moved in
-- one order, so that two who write the ledger cannot wait for each other in a circle.

-- Nobody writes the ledger between the sums and the triggers; whoever wants to waits until this file is applied.
do $$ begin
    lock table public.mrr_movements in share row exclusive mode;
end $$;

-- ----------------------------------------------------------------------------------------- indexes

-- The movements of a sum are listed a page at a time; the sums of a day are cut at a moment.
create index if not exists mrr_movements_kind_at on public.mrr_movements (currency, kind, effective_at, id);
-- What was believed at an earlier moment is what is believed now but for what was recorded or superseded since.
create index if not exists mrr_movements_recorded_at on public.mrr_movements (recorded_at);
create index if not exists mrr_movements_superseded_at on public.mrr_movements (superseded_at)
    where superseded_at is not null;

-- ------------------------------------------------------------------------------------------ totals

-- By currency, day (UTC) and kind: what is believed now.
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

-- --------------------------------------------------------------------------------------- revisions

-- What the ledger believed at an earlier moment is what it believes now, less what it has begun to believe and plus what it has
-- ceased to believe since. That is summed by the day on which it did: a moment of long ago costs no more than yesterday.
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

-- One body, for what a statement inserted, updated or deleted.
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

-- ----------------------------------------------------------------------------------------- cohorts

-- How many of those who began in a month are still there, and what they bring: by currency, the month in which a customer
-- began, and the month of the movement.
create table if not exists ingest.mrr_cohorts (
    currency text not null,
    cohort date not null,
    month date not null,
    customers bigint not null,
    amount bigint not null,
    primary key (currency, cohort, month)
) with (fillfactor = 50); -- Room in each block: a sum that moves leaves the index alone.
comment on table ingest.mrr_cohorts is
    'What mrr_movements believes, summed by currency, the month in which the customer''s MRR began, and the month (UTC).';
comment on column ingest.mrr_cohorts.cohort is 'The first day of the month of the customer''s movement of kind new.';
comment on column ingest.mrr_cohorts.month is 'The first day of the month of the movements.';
comment on column ingest.mrr_cohorts.customers is 'By how many more customers bring anything after the month than before.';
comment on column ingest.mrr_cohorts.amount is 'The sum of the deltas, in minor units per month.';
alter table ingest.mrr_cohorts enable row level security;
revoke all on ingest.mrr_cohorts from public, anon, authenticated;

-- One body, for what a statement inserted, updated or deleted. A row counts under the beginning that its customer has. Where
-- the beginning itself changed, all of the customer's rows leave the cohort of before and join that of now; that costs the
-- customer's history, and is as rare as news of a first subscription that comes late.
do $$
declare
    body constant text := $body$
create or replace function ingest.cohort_%1$s() returns trigger
language plpgsql security definer set search_path = '' as $function$
begin
    with touched as materialized (
        select id, customer_id, currency, effective_at, kind, delta, sum(sign) as sign
        from (%2$s) changes
        group by 1, 2, 3, 4, 5, 6 having sum(sign) <> 0
    ), pairs as materialized (
        select p.customer_id, p.currency, p.is_moved, (
            select min(m.effective_at) from public.mrr_movements m
            where m.customer_id = p.customer_id and m.currency = p.currency and m.kind = 'new' and m.superseded_at is null
        ) as began
        from (select customer_id, currency, bool_or(kind = 'new') as is_moved from touched group by 1, 2) p
    ), present as materialized (
        select p.customer_id, p.currency, p.began, m.id, m.effective_at, m.kind, m.delta
        from pairs p
        cross join lateral (
            select * from public.mrr_movements m
            where m.customer_id = p.customer_id and m.currency = p.currency and m.superseded_at is null offset 0
        ) m
        where p.is_moved
    ), former as (
        select currency, effective_at, kind, delta,
               min(effective_at) filter (where kind = 'new') over (partition by customer_id, currency) as began
        from (
            select customer_id, currency, id, effective_at, kind, delta, 1 as sign from present
            union all
            select customer_id, currency, id, effective_at, kind, delta, -sign from touched
            join pairs p using (customer_id, currency) where p.is_moved
        ) before
        group by customer_id, currency, id, effective_at, kind, delta having sum(sign) > 0
    ), moves as (
        select t.currency, p.began, t.effective_at, t.kind, t.delta, t.sign
        from touched t join pairs p using (customer_id, currency) where not p.is_moved
        union all
        select currency, began, effective_at, kind, delta, 1 from present
        union all
        select currency, began, effective_at, kind, delta, -1 from former
    )
    insert into ingest.mrr_cohorts as c (currency, cohort, month, customers, amount)
    select currency, date_trunc('month', began at time zone 'UTC')::date,
           date_trunc('month', effective_at at time zone 'UTC')::date,
           sum(case when kind in ('new', 'reactivation') then sign when kind = 'churn' then -sign else 0 end),
           sum(sign * delta)
    from moves where began is not null
    group by 1, 2, 3
    having (sum(case when kind in ('new', 'reactivation') then sign when kind = 'churn' then -sign else 0 end),
            sum(sign * delta)) <> (0, 0)
    order by 1, 2, 3
    on conflict (currency, cohort, month) do update
    set customers = c.customers + excluded.customers, amount = c.amount + excluded.amount;
    return null;
end
$function$;
create or replace trigger memberflow_cohort_%1$s after %3$s on public.mrr_movements
    referencing %4$s for each statement execute function ingest.cohort_%1$s()
    $body$;
    new_rows constant text :=
        'select id, customer_id, currency, effective_at, kind, delta, 1 as sign from new_rows where superseded_at is null';
    old_rows constant text :=
        'select id, customer_id, currency, effective_at, kind, delta, -1 as sign from old_rows where superseded_at is null';
begin
    execute format(body, 'inserted', new_rows, 'insert', 'new table as new_rows');
    execute format(body, 'updated', new_rows || ' union all ' || old_rows, 'update',
                   'old table as old_rows new table as new_rows');
    execute format(body, 'deleted', old_rows, 'delete', 'old table as old_rows');
end $$;

create or replace function ingest.cohort_truncated() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from ingest.mrr_cohorts;
    return null;
end
$$;
create or replace trigger memberflow_cohort_truncated after truncate on public.mrr_movements
    for each statement execute function ingest.cohort_truncated();

create or replace view ingest.summed_cohorts with (security_invoker = true) as
select m.currency, date_trunc('month', b.began at time zone 'UTC')::date as cohort,
       date_trunc('month', m.effective_at at time zone 'UTC')::date as month,
       sum(case when m.kind in ('new', 'reactivation') then 1 when m.kind = 'churn' then -1 else 0 end)::bigint as customers,
       sum(m.delta)::bigint as amount
from public.mrr_movements m
join (
    select customer_id, currency, min(effective_at) as began from public.mrr_movements
    where kind = 'new' and superseded_at is null group by 1, 2
) b using (customer_id, currency)
where m.superseded_at is null
group by 1, 2, 3
having (sum(case when m.kind in ('new', 'reactivation') then 1 when m.kind = 'churn' then -1 else 0 end), sum(m.delta)) <> (0, 0);
comment on view ingest.summed_cohorts is 'What mrr_cohorts must say, summed from the whole ledger.';
revoke all on ingest.summed_cohorts from public, anon, authenticated;

delete from ingest.mrr_cohorts;
insert into ingest.mrr_cohorts select * from ingest.summed_cohorts;

revoke all on all functions in schema ingest from public, anon, authenticated;
