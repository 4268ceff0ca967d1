-- Events of the other mode, or of another Stripe account, are kept and change nothing.

alter table ingest.inbox add column if not exists not_counted text;
comment on column ingest.inbox.not_counted is
    'Why the event changes nothing: test_mode, live_mode, other_account:<id> or no_account, as MEMBERFLOW_STRIPE_MODE and MEMBERFLOW_STRIPE_ACCOUNT were when it was applied, or when all was last rebuilt. Null: it counts.';
-- Costs nothing where everything counts: a new event is in none of them.
create index if not exists inbox_not_counted on ingest.inbox (not_counted) where not_counted is not null;
