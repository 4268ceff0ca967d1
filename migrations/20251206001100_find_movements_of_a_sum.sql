-- The movements of a sum are listed a page at a time; the sums of a day are cut at a moment.
create index if not exists mrr_movements_kind_at on public.mrr_movements (currency, kind, effective_at, id);
-- Whoever looks for a moment says the currency and the kind, too.
drop index if exists public.mrr_movements_effective_at;

-- What was believed at an earlier moment is what is believed now but for what was recorded or superseded since.
create index if not exists mrr_movements_recorded_at on public.mrr_movements (recorded_at);
create index if not exists mrr_movements_superseded_at on public.mrr_movements (superseded_at)
    where superseded_at is not null;
