-- A rolling restart is no crash loop: only several consumers that did not live for a minute make the next one careful.
comment on table ingest.consumers is
    'Consumers that have begun, and neither ended by themselves nor are known to have lived for a minute. One that starts after several such goes carefully: an event may have ended them.';
comment on table ingest.failing is
    'Events that could not be applied and may be later: each is tried alone, less and less often, and becomes a dead letter in the end. Also what a consumer that follows several crashes has under way.';
