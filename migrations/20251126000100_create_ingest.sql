-- The service's own tables: what came in (inbox, outbox), what it says (facts), and what cannot be
-- applied yet or ever (parked, dead letters). Private: no grant to anon or authenticated, and not a
-- schema that PostgREST exposes.

create schema if not exists ingest;
revoke all on schema ingest from public;
comment on schema ingest is 'memberflow''s own tables. Not for PostgREST; written by the service alone.';

-- ---------------------------------------------------------------------------------------- the way in

create table if not exists ingest.outbox (
    id bigint generated always as identity primary key,
    source text not null check (source in ('stripe', 'supabase.auth', 'supabase.database')),
    event_id text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body bytea not null
);
comment on table ingest.outbox is
    'Events accepted but not yet taken by the broker or, where there is no broker, by a consumer. A row is deleted once its event has gone on; the inbox absorbs repeats.';
create index if not exists outbox_source on ingest.outbox (source, id);

create sequence if not exists ingest.last_wake;
comment on sequence ingest.last_wake is 'When a user''s transaction notified last, in Unix milliseconds.';

-- Whoever notifies commits alone: Postgres lets one such commit go on at a time. Users must not line up for us,
-- so that of their transactions (which get here by way of another trigger) one in 20 ms notifies; the readers look
-- again shortly after they were woken, and now and then in any case.
--
-- A queue of notifications that is full fails the commit. It fills where a listener stands still in a transaction.
create or replace function ingest.wake_outbox_readers() returns trigger
language plpgsql set search_path = '' as $$
declare
    now_ms constant bigint := extract(epoch from clock_timestamp()) * 1000;
    last_ms bigint;
begin
    if pg_catalog.pg_trigger_depth() > 1 then
        select last_value into last_ms from ingest.last_wake;
        if last_ms between now_ms - 20 and now_ms then
            return null;
        end if;
        perform pg_catalog.setval('ingest.last_wake', now_ms);
    end if;
    if pg_catalog.pg_notification_queue_usage() < 0.5 then
        perform pg_catalog.pg_notify('memberflow_outbox', '');
    end if;
    return null;
end
$$;
comment on function ingest.wake_outbox_readers() is
    'Tells the relay and the consumers that there is news in the outbox, whoever wrote it.';
create or replace trigger outbox_wakes_readers after insert on ingest.outbox
    for each statement execute function ingest.wake_outbox_readers();

create sequence if not exists ingest.change_numbers;
comment on sequence ingest.change_numbers is
    'Numbers the changes that triggers tell of, each while its row is held: the order of a row''s changes. It never begins again, for events are named by it.';

create table if not exists ingest.inbox (
    source text not null,
    event_id text not null,
    event_type text not null,
    subject text,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    applied_at timestamptz not null,
    body bytea not null,
    primary key (source, event_id)
);
comment on table ingest.inbox is 'Every event ever applied, once, with its exact bytes: the set that all other tables are a function of.';
comment on column ingest.inbox.subject is 'The provider''s object that the event is about (sub_…, in_…, public.vision_versions/<id>); null where the event changes no fact.';
comment on column ingest.inbox.occurred_at is 'The event''s place in its subject''s history: Stripe''s created, a row''s updated_at.';
create index if not exists inbox_subject on ingest.inbox (subject, occurred_at) where subject is not null;
create index if not exists inbox_applied_at on ingest.inbox (applied_at);

create table if not exists ingest.dead_letters (
    id bigint generated always as identity primary key,
    source text not null,
    event_id text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body bytea not null,
    reason text not null,
    dead_at timestamptz not null,
    unique (source, event_id)
);
comment on table ingest.dead_letters is 'Events that cannot be applied, with the reason. Nothing is dropped: they wait here for redrive.';

create table if not exists ingest.parked (
    subject text not null,
    reason text not null,
    detail text not null,
    parked_at timestamptz not null,
    primary key (subject, reason)
);
comment on table ingest.parked is
    'What is known and counted where it can be, but cannot be shown yet (a customer without a user, a price without a tier). A row goes away by itself once the missing piece is there.';
comment on column ingest.parked.reason is
    'unknown_user, user_gone, ambiguous_email, disputed_user, no_tier, unknown_status, needs_stripe, items_truncated, unresolved_discount, estimated_mrr, amount_out_of_range, thin_event.';
create index if not exists parked_reason on ingest.parked (reason);

-- -------------------------------------------------------------------------------------------- facts

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
comment on column ingest.claims.strength is '1 explicit user id in metadata, 2 checkout client_reference_id, 3 customer known before memberflow, 4 e-mail address.';
create index if not exists claims_customer on ingest.claims (customer_id);
create index if not exists claims_users on ingest.claims using gin (claimed_users) where claimed_users <> '{}';
create index if not exists claims_email on ingest.claims (email) where email is not null;

create table if not exists ingest.switched_on (
    one boolean primary key default true check (one),
    at timestamptz not null,
    completed boolean not null default false
);
comment on table ingest.switched_on is 'When memberflow first consumed here. What the tables held before that was read into the inbox then.';

create table if not exists ingest.users (
    id uuid primary key,
    gone_at timestamptz
);
comment on table ingest.users is 'Users that memberflow has seen: tells one that is gone from one that never was.';

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
    logged_in_at timestamptz not null
);
comment on table ingest.logins is 'One login per session, at the earliest moment that any report gives.';
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
comment on column ingest.row_facts.number is 'The number of the change, where a trigger told of it. Numbered changes are later than all others of the row.';
comment on table ingest.row_facts is 'The present state of each application row and file that counts towards a member''s activity.';
comment on column ingest.row_facts.amount is 'Bytes of a file, filled percent of a profile; otherwise 0.';
create index if not exists row_facts_profiles on ingest.row_facts (user_id, occurred_at) where relation = 'public.user_profiles' and counted;

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
);
comment on table ingest.activity is 'Exact counts per user, whether or not auth.users holds them (yet).';
