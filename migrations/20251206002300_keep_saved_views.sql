-- Lists as people of the console want to see them again: the query string of each, by person.
create table if not exists ingest.saved_views (
    actor text not null,
    list text not null,
    name text not null,
    query text not null,
    saved_at timestamptz not null,
    primary key (actor, list, name)
);
comment on table ingest.saved_views is 'Filters, orders and columns of the console''s lists that people saved, each for themselves.';
comment on column ingest.saved_views.actor is 'What the audit log calls whose it is.';
comment on column ingest.saved_views.list is 'members or events.';
comment on column ingest.saved_views.query is 'The query string of the list''s address.';
alter table ingest.saved_views enable row level security;
revoke all on ingest.saved_views from public, anon, authenticated;
