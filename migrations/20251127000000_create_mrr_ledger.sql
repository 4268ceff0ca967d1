-- The MRR ledger: every change of recurring revenue, when it took effect and when it became known; and
-- what it is worked out from, the versions of the objects that decide a subscription's value.

create table if not exists public.mrr_movements (
    id bigint generated always as identity primary key,
    customer_id text not null,
    -- The books outlive the person: a deleted user's movements stay under the customer.
    user_id uuid references auth.users (id) on delete set null,
    currency text not null,
    effective_at timestamptz not null,
    recorded_at timestamptz not null,
    superseded_at timestamptz,
    kind text not null check (kind in ('new', 'expansion', 'contraction', 'churn', 'reactivation')),
    delta bigint not null check (delta <> 0),
    mrr_before bigint not null,
    mrr_after bigint not null check (mrr_after = mrr_before + delta),
    cause_event_id text,
    calc_version integer not null
);
comment on table public.mrr_movements is
    'Each change of a customer''s monthly recurring revenue: the net of one second and currency. A row is never changed or deleted; what is not believed any more is superseded. Written by memberflow alone.';
comment on column public.mrr_movements.customer_id is 'Stripe''s customer, whether or not its user is known.';
comment on column public.mrr_movements.user_id is 'Whose customer it is now; null while unknown and after the user was deleted.';
comment on column public.mrr_movements.effective_at is 'When it took effect: the event''s second, or the moment at which a discount or an item''s trial ended.';
comment on column public.mrr_movements.recorded_at is 'When memberflow came to believe it.';
comment on column public.mrr_movements.superseded_at is 'When memberflow ceased to believe it; null for what is believed now. Belief at a moment k: recorded_at <= k and (superseded_at is null or superseded_at > k).';
comment on column public.mrr_movements.kind is 'By amounts alone: from 0 new the first time and reactivation later, to 0 churn whatever the reason, else expansion or contraction.';
comment on column public.mrr_movements.delta is 'Minor units per month. The deltas believed now add up to the present MRR, per customer and currency.';
comment on column public.mrr_movements.mrr_before is 'The customer''s MRR in this currency before, in minor units.';
comment on column public.mrr_movements.mrr_after is 'And after.';
comment on column public.mrr_movements.cause_event_id is 'The event that told of it; null where the clock alone made it.';
comment on column public.mrr_movements.calc_version is 'Which version of the definition of MRR worked it out.';

create unique index if not exists mrr_movements_believed
    on public.mrr_movements (customer_id, currency, effective_at) where superseded_at is null;
create index if not exists mrr_movements_customer on public.mrr_movements (customer_id);
create index if not exists mrr_movements_user on public.mrr_movements (user_id);
create index if not exists mrr_movements_ownerless on public.mrr_movements (customer_id) where user_id is null;
create index if not exists mrr_movements_effective_at on public.mrr_movements (effective_at);

alter table public.mrr_movements enable row level security;
revoke all on public.mrr_movements from public, anon, authenticated;
grant select on public.mrr_movements to authenticated;
grant select, insert, update, delete on public.mrr_movements to service_role;
drop policy if exists "memberflow: read" on public.mrr_movements;
create policy "memberflow: read" on public.mrr_movements for select to authenticated
    using (((select auth.jwt()) -> 'app_metadata' ->> 'role') = 'admin');
do $$
begin
    execute format('revoke all on sequence %s from public, anon, authenticated',
        pg_get_serial_sequence('public.mrr_movements', 'id'));
end $$;

create table if not exists ingest.stripe_versions (
    id text not null,
    occurred_at timestamptz not null,
    final boolean not null,
    kind text not null,
    event_id text not null,
    wants_lines boolean not null,
    state jsonb not null,
    primary key (id, occurred_at, final)
);
comment on table ingest.stripe_versions is
    'What each subscription, customer and customer''s discount was from a second on: the winner among its events of that second. The last of them is the fact; all of them together are what mrr_movements is worked out from.';
comment on column ingest.stripe_versions.state is 'As in stripe_facts, without what tells of the person.';
comment on column ingest.stripe_versions.wants_lines is 'A subscription with an item whose price the event does not tell: its value may have to be taken from invoices.';
create index if not exists stripe_versions_final on ingest.stripe_versions (id, occurred_at) where final;
create index if not exists stripe_versions_wanting on ingest.stripe_versions (id) where wants_lines;
alter table ingest.stripe_versions enable row level security;
revoke all on ingest.stripe_versions from public, anon, authenticated;

-- Where facts were kept before there was a ledger, it begins with what they say now.
insert into ingest.stripe_versions (id, occurred_at, final, kind, event_id, wants_lines, state)
select id, occurred_at, final, kind, event_id, true, state - array['user_ids', 'email']
from ingest.stripe_facts
where kind in ('subscription', 'customer', 'discount') and not coalesce((state ->> 'needs_stripe')::boolean, false)
on conflict do nothing;
update ingest.customers c set recompute_at = 'epoch'
where exists (select from ingest.customer_revenue r where r.customer_id = c.id and r.mrr <> 0)
    and not exists (select from public.mrr_movements m where m.customer_id = c.id);
