-- How many of those who began in a month are still there, and what they bring, is read from sums that are kept as the ledger
-- changes: by currency, the month in which a customer began, and the month of the movement.

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
    -- Nobody writes the ledger between the sum and the triggers.
    lock table public.mrr_movements in share row exclusive mode;
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
revoke all on all functions in schema ingest from public, anon, authenticated;

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
