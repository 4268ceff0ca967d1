-- The ledger is read from the second of a change on, and not from the customer's beginning.

create index if not exists mrr_movements_customer_at on public.mrr_movements (customer_id, effective_at);
create index if not exists mrr_movements_beginnings on public.mrr_movements (customer_id)
    where kind = 'new' and superseded_at is null;
-- Whoever looks for a customer's movements finds them by the first of these.
drop index if exists public.mrr_movements_customer;
