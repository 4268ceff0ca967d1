//! The sums of the ledger (`ingest.mrr_totals`, `ingest.mrr_revisions`, `ingest.mrr_cohorts`) against the ledger itself.
//! Triggers keep them; what writes past triggers (a restore of some tables, a session with triggers off) leaves them behind.

use sqlx::{Executor as _, PgConnection};

/// Adds the sums that are not what the live ledger believes to the differences.
pub(super) async fn compare(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(
        "insert into differences (relation, key, before, after)
         select 'ingest.mrr_totals', jsonb_build_object('currency', currency, 'day', day, 'kind', kind),
                case when t.movements is not null
                     then jsonb_build_object('movements', t.movements, 'amount', t.amount) end,
                case when l.movements is not null
                     then jsonb_build_object('movements', l.movements, 'amount', l.amount) end
         from (select * from ingest.mrr_totals where (movements, amount) <> (0, 0)) t
         full join (
             select currency, (effective_at at time zone 'UTC')::date as day, kind, count(*) as movements,
                    sum(delta)::bigint as amount
             from public.mrr_movements where superseded_at is null group by 1, 2, 3
         ) l using (currency, day, kind)
         where (t.movements, t.amount) is distinct from (l.movements, l.amount)",
    )
    .await?;
    tx.execute(
        "insert into differences (relation, key, before, after)
         select 'ingest.mrr_revisions',
                jsonb_build_object('known_on', known_on, 'currency', currency, 'day', day, 'kind', kind),
                case when t.movements is not null
                     then jsonb_build_object('movements', t.movements, 'amount', t.amount) end,
                case when l.movements is not null
                     then jsonb_build_object('movements', l.movements, 'amount', l.amount) end
         from (select * from ingest.mrr_revisions where (movements, amount) <> (0, 0)) t
         full join ingest.summed_revisions l using (known_on, currency, day, kind)
         where (t.movements, t.amount) is distinct from (l.movements, l.amount)",
    )
    .await?;
    tx.execute(
        "insert into differences (relation, key, before, after)
         select 'ingest.mrr_cohorts', jsonb_build_object('currency', currency, 'cohort', cohort, 'month', month),
                case when t.customers is not null
                     then jsonb_build_object('customers', t.customers, 'amount', t.amount) end,
                case when l.customers is not null
                     then jsonb_build_object('customers', l.customers, 'amount', l.amount) end
         from (select * from ingest.mrr_cohorts where (customers, amount) <> (0, 0)) t
         full join ingest.summed_cohorts l using (currency, cohort, month)
         where (t.customers, t.amount) is distinct from (l.customers, l.amount)",
    )
    .await?;
    Ok(())
}

/// Moves the sums among the differences by what they are wrong by: so they stay exact whoever writes the ledger meanwhile.
pub(super) async fn repair(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(
        "insert into ingest.mrr_totals as t (currency, day, kind, movements, amount)
         select key ->> 'currency', (key ->> 'day')::date, key ->> 'kind',
                coalesce((after ->> 'movements')::bigint, 0) - coalesce((before ->> 'movements')::bigint, 0),
                coalesce((after ->> 'amount')::bigint, 0) - coalesce((before ->> 'amount')::bigint, 0)
         from differences where relation = 'ingest.mrr_totals' order by 1, 2, 3
         on conflict (currency, day, kind) do update
         set movements = t.movements + excluded.movements, amount = t.amount + excluded.amount",
    )
    .await?;
    tx.execute(
        "insert into ingest.mrr_revisions as t (known_on, currency, day, kind, movements, amount)
         select (key ->> 'known_on')::date, key ->> 'currency', (key ->> 'day')::date, key ->> 'kind',
                coalesce((after ->> 'movements')::bigint, 0) - coalesce((before ->> 'movements')::bigint, 0),
                coalesce((after ->> 'amount')::bigint, 0) - coalesce((before ->> 'amount')::bigint, 0)
         from differences where relation = 'ingest.mrr_revisions' order by 1, 2, 3, 4
         on conflict (known_on, currency, day, kind) do update
         set movements = t.movements + excluded.movements, amount = t.amount + excluded.amount",
    )
    .await?;
    tx.execute(
        "insert into ingest.mrr_cohorts as t (currency, cohort, month, customers, amount)
         select key ->> 'currency', (key ->> 'cohort')::date, (key ->> 'month')::date,
                coalesce((after ->> 'customers')::bigint, 0) - coalesce((before ->> 'customers')::bigint, 0),
                coalesce((after ->> 'amount')::bigint, 0) - coalesce((before ->> 'amount')::bigint, 0)
         from differences where relation = 'ingest.mrr_cohorts' order by 1, 2, 3
         on conflict (currency, cohort, month) do update
         set customers = t.customers + excluded.customers, amount = t.amount + excluded.amount",
    )
    .await?;
    Ok(())
}
