-- Messages that only Twilio's API can complete are listed and counted: of contradicting final statuses, and without a text.
create index if not exists sms_facts_tied_received_at on ingest.sms_facts (received_at, sid) where tied;
create index if not exists sms_messages_without_text on public.sms_messages (created_at)
    where twilio_sid is not null and coalesce(body, '') = '';
