-- Bodies of old events can go while their names stay, so that repeats are still known.

alter table ingest.inbox add column if not exists pruned_at timestamptz;
comment on column ingest.inbox.pruned_at is
    'When the body was removed, by age or to forget a person; it is empty since then. What the event told is in the facts about its subject, which a rebuild then takes as they stand.';
-- Costs nothing where nothing is pruned: a new event is in none of them.
create index if not exists inbox_pruned on ingest.inbox (subject) where pruned_at is not null;
