-- What events said in words that memberflow does not know: for the doctor to show, and for whoever updates it.

create table if not exists ingest.unrecognised (
    what text not null,
    value text not null,
    events bigint not null,
    example text not null,
    primary key (what, value)
);
comment on table ingest.unrecognised is
    'Words in Stripe''s objects that were not known when their events were applied, and needed fields that were in none of the places where they are looked for. Few rows: one for each such word.';
comment on column ingest.unrecognised.what is 'The field: subscription.status, invoice.currency, …';
comment on column ingest.unrecognised.value is 'The word that stood there; empty where nothing did.';
comment on column ingest.unrecognised.events is 'How many events said so.';
comment on column ingest.unrecognised.example is 'One of them, to look at in ingest.inbox.';
alter table ingest.unrecognised enable row level security;
revoke all on ingest.unrecognised from public, anon, authenticated;
