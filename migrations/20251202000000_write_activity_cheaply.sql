-- Logins known from less than a session are found by the index of all logins just as well: those of one user within
-- two seconds are few.
drop index if exists ingest.logins_weaker;

-- Room in each block, so that a count that moves leaves the index alone.
alter table ingest.activity set (fillfactor = 50);
