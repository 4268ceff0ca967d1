-- Decimal columns of a deployment hold major units: a Kuwaiti dinar has a thousand minor ones, not a hundred. Where campaigns
-- or leads in such a currency were counted before, `memberflow reconcile supabase --fix` counts them again.

create or replace function ingest.minor_units_in(currency text, column_type regtype) returns numeric
language sql immutable set search_path = '' as $$
    select case
        when column_type <> 'numeric'::regtype then 1
        when lower(currency) in ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv',
                                 'xaf', 'xof', 'xpf') then 1
        when lower(currency) in ('bhd', 'jod', 'kwd', 'omr', 'tnd') then 1000
        else 100
    end
$$;
