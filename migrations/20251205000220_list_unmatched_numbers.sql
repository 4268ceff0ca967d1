-- Numbers with messages that are nobody's say since when, so that they can be listed among what waits.

alter table ingest.unmatched_numbers add column if not exists since timestamptz not null default now();
comment on column ingest.unmatched_numbers.since is 'When it was first looked for.';
create index if not exists unmatched_numbers_since on ingest.unmatched_numbers (since, number);
