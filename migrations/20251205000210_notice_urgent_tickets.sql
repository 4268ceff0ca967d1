-- Members with an urgent ticket that has waited for staff for more than a day need attention. Who they are is looked for
-- once a minute and kept here, so that a member's row and a rebuild of it say the same.

create table if not exists ingest.urgent_waits (
    user_id uuid primary key
);
comment on table ingest.urgent_waits is
    'Members with an urgent ticket that has waited for staff for more than a day, as their health says.';
alter table ingest.urgent_waits enable row level security;
revoke all on ingest.urgent_waits from public, anon, authenticated;

create index if not exists support_tickets_urgent on public.support_tickets (waiting_since)
    where priority = 'urgent' and waiting_for = 'staff';
