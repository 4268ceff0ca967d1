-- Events' bytes are compressed by lz4 where the server has it (Supabase's does): a fraction of the processor
-- time that the default takes, which was most of what writing an event costs. Rows that stand keep theirs.

do $$
begin
    alter table ingest.inbox alter column body set compression lz4;
    alter table ingest.outbox alter column body set compression lz4;
    alter table ingest.dead_letters alter column body set compression lz4;
exception
    when feature_not_supported then
        raise notice 'this server is built without lz4: the bytes of events stay compressed by pglz';
end
$$;
