-- The ids of what belonged to forgotten persons (Stripe's objects, Twilio's messages): what the providers' APIs still show of
-- them is not stored again.

create table if not exists ingest.forgotten_objects (
    id text primary key,
    forgotten_at timestamptz not null
);
comment on table ingest.forgotten_objects is
    'Stripe objects and text messages of forgotten persons, which are not imported again. Ids only.';
comment on column ingest.forgotten_objects.forgotten_at is 'When the person was last forgotten.';
alter table ingest.forgotten_objects enable row level security;
revoke all on ingest.forgotten_objects from public, anon, authenticated;
