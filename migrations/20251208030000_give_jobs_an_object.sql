-- A difference of one object can be fixed alone: the job is about that object only.
alter table ingest.jobs add column if not exists object text;
comment on column ingest.jobs.object is 'The id of the only object that is compared; null: all.';
