-- What the events say (facts), whose it is (customers), and what follows from it in money: the ledger and the metrics.

-- --------------------------------------------------------------------------------------------- facts

create table if not exists ingest.stripe_facts (
    id text primary key,
    kind text not null,
    customer_id text,
    occurred_at timestamptz not null,
    final boolean not null,
    event_id text not null,
    tied boolean not null,
    state jsonb not null
);
comment on table ingest.stripe_facts is 'The present state of each Stripe object that memberflow reads: the winner among its events.';
comment on column ingest.stripe_facts.state is 'The fields memberflow uses, in one shape whatever the API version they came in.';
comment on column ingest.stripe_facts.final is 'The object has reached a state that it can never leave.';
comment on column ingest.stripe_facts.tied is 'The events alone could not tell which of several came last: worth a look at Stripe''s API.';
create index if not exists stripe_facts_customer on ingest.stripe_facts (customer_id, kind) where customer_id is not null;
create index if not exists stripe_facts_tied on ingest.stripe_facts (id) where tied;

create table if not exists ingest.stripe_links (
    id text not null,
    other text not null,
    primary key (id, other)
);
comment on table ingest.stripe_links is
    'Which objects belong to one payment (invoice, payment intent, charge, refund, dispute), both ways round; and which catalogue entries (price, coupon) a subscription''s MRR waits for.';

create table if not exists ingest.payments (
    id text primary key,
    customer_id text not null,
    currency text not null,
    collected bigint not null,
    refunded bigint not null,
    disputed bigint not null,
    history_id uuid not null,
    state jsonb not null
);
comment on table ingest.payments is 'One row per invoice or one-off payment, users known or not: what payment_history and the revenue sums are made of. Amounts in minor units.';
create index if not exists payments_customer on ingest.payments (customer_id);
create index if not exists payments_history on ingest.payments (history_id);

create table if not exists ingest.customer_revenue (
    customer_id text not null,
    currency text not null,
    mrr bigint not null default 0,
    collected bigint not null default 0,
    refunded bigint not null default 0,
    disputed bigint not null default 0,
    primary key (customer_id, currency)
);
comment on table ingest.customer_revenue is 'Each customer''s revenue by currency, in minor units, moved by the exact difference that each changed fact makes.';

create table if not exists ingest.logins (
    session_id text primary key,
    user_id uuid not null,
    logged_in_at timestamptz not null,
    evidence smallint not null default 0,
    counted boolean not null default true
);
comment on table ingest.logins is 'One login per session, at the earliest moment that any report gives.';
comment on column ingest.logins.evidence is '0 a session, 1 an entry of the audit log, 2 the user''s last sign-in.';
comment on column ingest.logins.counted is
    'A login known from less than a session counts unless stronger evidence of the same user stands within one second: then it is that login.';
create index if not exists logins_user on ingest.logins (user_id, logged_in_at);

create table if not exists ingest.row_facts (
    relation text not null,
    row_id text not null,
    user_id uuid,
    counted boolean not null,
    amount bigint not null,
    occurred_at timestamptz not null,
    final boolean not null,
    event_id text not null,
    tied boolean not null,
    number bigint,
    primary key (relation, row_id)
);
comment on table ingest.row_facts is 'The present state of each application row and file that counts towards a member''s activity.';
comment on column ingest.row_facts.amount is 'Bytes of a file, filled percent of a profile; otherwise 0.';
comment on column ingest.row_facts.number is 'The number of the change, where a trigger told of it. Numbered changes are later than all others of the row.';
create index if not exists row_facts_profiles on ingest.row_facts (user_id, occurred_at) where relation = 'public.user_profiles' and counted;

-- The fill factor leaves room in each block, so that a count that moves leaves the index alone.
create table if not exists ingest.activity (
    user_id uuid primary key,
    logins bigint not null default 0,
    files bigint not null default 0,
    file_bytes bigint not null default 0,
    visions bigint not null default 0,
    journal_entries bigint not null default 0,
    refinements bigint not null default 0,
    audio_tracks bigint not null default 0,
    board_images bigint not null default 0
) with (fillfactor = 50);
comment on table ingest.activity is 'Exact counts per user, whether or not auth.users holds them (yet).';

-- ------------------------------------------------------------------------------ whose a customer is

create table if not exists ingest.customers (
    id text primary key,
    user_id uuid,
    matched_by text,
    recompute_at timestamptz
);
comment on table ingest.customers is
    'Each Stripe customer and the user it belongs to. A guest''s payment stands here under its own id. user_id is not a foreign key: the books outlive the person.';
comment on column ingest.customers.matched_by is 'Why this user: metadata, client_reference_id, known_customer or email.';
comment on column ingest.customers.recompute_at is 'When the clock alone changes this customer''s MRR (a discount or an item''s trial ends).';
create index if not exists customers_user on ingest.customers (user_id) where user_id is not null;
create index if not exists customers_recompute_at on ingest.customers (recompute_at) where recompute_at is not null;

create table if not exists ingest.claims (
    object_id text not null,
    strength smallint not null,
    customer_id text not null,
    claimed_users text[] not null,
    email text,
    object_created timestamptz not null,
    reported_at timestamptz not null,
    event_id text not null,
    primary key (object_id, strength)
);
comment on table ingest.claims is
    'What each object last said about whose customer it is. A claim taken away later stays: the strongest and newest one decides.';
comment on column ingest.claims.email is 'No longer used: see ingest.customer_emails.';
comment on column ingest.claims.strength is
    '1 explicit user id in metadata, 2 checkout client_reference_id, 3 customer known before memberflow.';
create index if not exists claims_customer on ingest.claims (customer_id);
create index if not exists claims_users on ingest.claims using gin (claimed_users) where claimed_users <> '{}';

-- Every e-mail address that a customer's events ever gave is evidence of whose the customer is, from the earliest moment on.
create table if not exists ingest.customer_emails (
    object_id text not null,
    email text not null,
    customer_id text not null,
    role text not null check (role in ('given', 'checkout', 'matched', 'passed')),
    user_id uuid,
    reported_at timestamptz not null,
    place smallint not null,
    event_id text not null,
    primary key (object_id, email)
);
comment on table ingest.customer_emails is
    'The e-mail addresses of each customer, each from the earliest event on that gave it: the user of the earliest one that belongs to a confirmed user is the customer''s.';
comment on column ingest.customer_emails.email is 'ASCII letters in lower case. Empty: the person was forgotten.';
comment on column ingest.customer_emails.role is
    'given: evidence. checkout: typed at a checkout of a known customer, no evidence but perhaps a contradiction. matched: user_id was matched by it. passed: it was nobody''s when user_id was matched by a later one.';
comment on column ingest.customer_emails.place is
    'The order within a second: 0 the customer was made with it, 1 it was there before that event, 2 it is there now.';
create index if not exists customer_emails_customer on ingest.customer_emails (customer_id);
create index if not exists customer_emails_email on ingest.customer_emails (email);
create index if not exists customer_emails_user on ingest.customer_emails (user_id) where user_id is not null;

-- The form in which addresses are compared. Only ASCII letters: what Unicode folds into one letter (the Kelvin sign into k)
-- is not the same address.
create or replace function ingest.folded_email(address text) returns text
language sql immutable set search_path = '' as $$
    select translate(btrim(address), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
$$;
comment on function ingest.folded_email(text) is 'An e-mail address as addresses are compared.';

-- The one way to look for a user by address. Users made in SQL may have no instance_id; single sign-on vouches for its own
-- users alone. Supabase's index on (instance_id, lower(email)) serves both halves, whatever the planner believes of a table
-- that has just been filled.
create or replace function ingest.users_with_email(addresses text[], with_sso boolean)
returns table (email text, user_id uuid)
language plpgsql stable set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
begin
    return query
    select a.address, u.id
    from unnest(addresses) as a (address)
    cross join lateral (
        select o.id, o.email, o.is_sso_user from auth.users o
        where o.instance_id = '00000000-0000-0000-0000-000000000000' and lower(o.email) = lower(a.address)
          and o.email_confirmed_at is not null
        union all
        select o.id, o.email, o.is_sso_user from auth.users o
        where o.instance_id is null and lower(o.email) = lower(a.address) and o.email_confirmed_at is not null
    ) u
    where ingest.folded_email(u.email) = a.address and (with_sso or u.is_sso_user is not true);
end
$$;
comment on function ingest.users_with_email(text[], boolean) is
    'The confirmed users who have these addresses (as ingest.folded_email writes them), each with the address.';

-- For customers that wait: the earliest address that anybody has, and who that is.
create or replace function ingest.earliest_email_with_users(customer text, with_sso boolean)
returns table (email text, users uuid[])
language sql stable set search_path = '' as $$
    select e.email, h.users
    from (select distinct on (g.email) g.email, g.reported_at, g.place from ingest.customer_emails g
          where g.customer_id = customer and g.role = 'given'
          order by g.email, g.reported_at, g.place) e
    cross join lateral (
        select array_agg(u.user_id) as users from ingest.users_with_email(array[e.email], with_sso) u
    ) h
    where h.users is not null and not exists (
        select from ingest.customer_emails p join auth.users u on u.id = p.user_id
        where p.customer_id = customer and p.role = 'passed' and p.email = e.email)
    order by e.reported_at, e.place, e.email limit 1
$$;
comment on function ingest.earliest_email_with_users(text, boolean) is
    'The earliest address of a customer that any confirmed user has and that was not passed over by a match, with the users.';

-- --------------------------------------------------------------------------------------- the ledger

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
create index if not exists mrr_movements_user on public.mrr_movements (user_id);
create index if not exists mrr_movements_ownerless on public.mrr_movements (customer_id) where user_id is null;
create index if not exists mrr_movements_effective_at on public.mrr_movements (effective_at);
-- The ledger is read from the second of a change on, and not from the customer's beginning.
create index if not exists mrr_movements_customer_at on public.mrr_movements (customer_id, effective_at);
create index if not exists mrr_movements_beginnings on public.mrr_movements (customer_id)
    where kind = 'new' and superseded_at is null;

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

-- -------------------------------------------------------------------------------------- the metrics

-- The revenue table is asked for again, for create_crm_system may have been passed over.
create table if not exists public.user_revenue_metrics (
    user_id uuid primary key references auth.users (id) on delete cascade
);
alter table public.user_revenue_metrics
    add column if not exists user_id uuid references auth.users (id) on delete cascade,
    add column if not exists subscription_tier text,
    add column if not exists subscription_status text,
    add column if not exists mrr bigint not null default 0,
    add column if not exists ltv bigint not null default 0,
    add column if not exists total_spent bigint not null default 0,
    add column if not exists currency text,
    add column if not exists subscription_start_date timestamptz,
    add column if not exists months_subscribed integer not null default 0,
    add column if not exists last_calculated_at timestamptz,
    add column if not exists updated_at timestamptz not null default now();

create table if not exists public.user_revenue_by_currency (
    user_id uuid not null references auth.users (id) on delete cascade,
    currency text not null,
    mrr bigint not null default 0,
    ltv bigint not null default 0,
    total_spent bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (user_id, currency)
);

-- An older revenue table may have had another key. Metrics are written by user, so the user must be unique; where rows stand
-- against that, they are kept and the operator is told.
do $$
begin
    if not exists (
        select from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = 'public.user_revenue_metrics'::regclass and a.attname = 'user_id'
            and i.indisunique and i.indnkeyatts = 1 and i.indpred is null
    ) then
        create unique index user_revenue_metrics_user_id_key on public.user_revenue_metrics (user_id);
    end if;
exception
    when unique_violation then
        raise warning 'public.user_revenue_metrics holds several rows of one user: keep one of each, '
            'then create a unique index on (user_id); until then revenue metrics can''t be written';
end $$;

alter table public.user_activity_metrics
    add column if not exists engagement_status_is_manual boolean not null default false,
    add column if not exists health_status_is_manual boolean not null default false;

-- Statuses that stood in user_activity_metrics before memberflow count as set by hand; from then on the two flags alone
-- decide. Flagged are values
--   - only where memberflow has never started consuming: what is derived is ours;
--   - not in a column that memberflow made itself: nothing stood there before (its default is known, and atthasmissing
--     tells a column that was added to a table from one that was made with it);
--   - once. The comment on the flag is the mark, so that the file can be applied again without effect.
do $$
declare
    flags constant regclass := 'public.user_activity_metrics';
    words constant text := 'Set by hand: stays as it is. What stood before memberflow was flagged when it was migrated; since then the writer of a row says so.';
    ours text[];
begin
    if exists (
        select from pg_catalog.pg_attribute a
        where a.attrelid = flags and a.attname = 'engagement_status_is_manual' and col_description(flags, a.attnum) = words
    ) then
        return;
    end if;
    select coalesce(array_agg(a.attname::text), '{}') into ours
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = flags and a.attnotnull and a.atthasmissing
        and (a.attname, pg_get_expr(d.adbin, d.adrelid)) in (
            ('engagement_status', '''inactive''::text'), ('health_status', '''healthy''::text'));
    update public.user_activity_metrics set
        engagement_status_is_manual = engagement_status is not null and 'engagement_status' <> all (ours),
        health_status_is_manual = health_status is not null and 'health_status' <> all (ours)
    where not exists (select from ingest.switched_on)
        and not engagement_status_is_manual and not health_status_is_manual
        and (engagement_status is not null and 'engagement_status' <> all (ours)
             or health_status is not null and 'health_status' <> all (ours));
    execute format('comment on column public.user_activity_metrics.engagement_status_is_manual is %L', words);
    execute format('comment on column public.user_activity_metrics.health_status_is_manual is %L', words);
end $$;

-- Only where nothing is written yet: a deployment's own words stay.
do $$
declare
    entry record;
    target regclass;
begin
    for entry in
        select * from (values
            ('user_revenue_metrics', null, 'What each member pays, one row per user, kept by memberflow: the member''s main currency (largest mrr, else largest total_spent, else alphabetical). Complete by currency in user_revenue_by_currency.'),
            ('user_revenue_metrics', 'subscription_tier', 'Name of the tier of the leading subscription; stays after its end; null without a tier.'),
            ('user_revenue_metrics', 'subscription_status', 'Status of the leading subscription: by status (active first), then larger MRR, then older start.'),
            ('user_revenue_metrics', 'mrr', 'Monthly recurring revenue before tax in minor units of currency: what is really billed (discounts, quantities, intervals), brought to a month.'),
            ('user_revenue_metrics', 'ltv', 'total_spent less refunds and less disputed money while it is withdrawn, in minor units.'),
            ('user_revenue_metrics', 'total_spent', 'All money ever collected, gross, in minor units.'),
            ('user_revenue_metrics', 'currency', 'The currency of the amounts, as Stripe writes it (lower case).'),
            ('user_revenue_metrics', 'subscription_start_date', 'Earliest start of any subscription that got further than incomplete.'),
            ('user_revenue_metrics', 'months_subscribed', 'Whole calendar months from there until now or, once all have ended, until the last end.'),
            ('user_revenue_metrics', 'last_calculated_at', 'When the metrics last changed or were checked.'),
            ('user_revenue_by_currency', null, 'What each member pays, exactly, one row per user and currency.'),
            ('user_revenue_by_currency', 'currency', 'As Stripe writes it (lower case).'),
            ('user_revenue_by_currency', 'mrr', 'Monthly recurring revenue before tax, in minor units.'),
            ('user_revenue_by_currency', 'ltv', 'total_spent less refunds and withdrawn disputes, in minor units.'),
            ('user_revenue_by_currency', 'total_spent', 'All money ever collected, gross, in minor units.')
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

revoke all on all functions in schema ingest from public, anon, authenticated;
