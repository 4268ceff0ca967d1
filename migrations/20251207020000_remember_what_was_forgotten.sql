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

-- Forgetting a person removed their opt-outs from the ledger where others have the number, too, but left the answer. Without
-- its row a rebuild would take the answer back, and the number would be texted again.
insert into ingest.sms_consent_ledger (sid, number, opted_in, explicit, source, received_at)
select c.twilio_sid, c.number, c.opted_in, true, c.source, c.changed_at
from public.sms_consents c
where not c.opted_in and not exists (select from ingest.sms_consent_ledger l where l.sid = c.twilio_sid)
on conflict (sid) do nothing;
