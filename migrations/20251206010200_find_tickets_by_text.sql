-- A text that few tickets have is found by its trigrams, where the extension can be had (`index_and_protect_tables` has asked
-- for it). Without it a search reads all tickets: slower, but the same.
do $$
declare
    home text := (select n.nspname from pg_catalog.pg_extension e
                  join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm');
begin
    if home is null then
        raise notice 'pg_trgm is not available: the ticket list searches text without an index';
        return;
    end if;
    execute format(
        'create index if not exists support_tickets_text_trigrams on public.support_tickets using gin (
            lower(coalesce(ticket_number::text, '''') || coalesce('' '' || subject::text, '''')
                  || coalesce('' '' || description::text, '''') || coalesce('' '' || guest_email::text, ''''))
            %I.gin_trgm_ops)', home);
end $$;
