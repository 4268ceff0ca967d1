-- The triggers by which what the application writes is completed (tickets, messages, leads, the sums of the ledger), each with
-- its definition: `memberflow doctor` names one that was dropped or disabled since, `memberflow supabase install` restores it.
-- A later migration that makes another adds it here.

create table if not exists ingest.deriving_triggers (
    relation text,
    name text,
    definition text not null,
    primary key (relation, name)
);
alter table ingest.deriving_triggers enable row level security;
revoke all on ingest.deriving_triggers from public, anon, authenticated;
comment on table ingest.deriving_triggers is 'The triggers that migrations made on tables of the application and the ledger.';

insert into ingest.deriving_triggers
select format('%I.%I', n.nspname, c.relname), t.tgname, pg_get_triggerdef(t.oid)
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid
where not t.tgisinternal and t.tgname like 'memberflow\_%' and n.nspname in ('public', 'ingest')
    and p.pronamespace = 'ingest'::regnamespace and p.proname <> 'notify_changes'
on conflict do nothing;
