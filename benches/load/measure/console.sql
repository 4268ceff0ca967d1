-- What the console shows of MEMBERS members besides their rows: ten events each, the ledger, payments, tickets, texts, leads,
-- dead letters, what is parked, acts. Indexes are rebuilt afterwards, which takes a fraction of the time.
create temp table dropped_indexes as
select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i
where i.indrelid in ('ingest.inbox'::regclass, 'public.mrr_movements'::regclass, 'public.payment_history'::regclass,
                     'public.support_tickets'::regclass, 'public.support_ticket_replies'::regclass,
                     'public.sms_messages'::regclass, 'public.leads'::regclass)
  and not exists (select from pg_constraint c where c.conindid = i.indexrelid);
do $$ begin
    execute (select string_agg('drop index ' || name, '; ') from dropped_indexes);
end $$;

insert into ingest.customers (id, user_id, matched_by)
select 'cus_' || n, md5('member' || n)::uuid, 'metadata' from generate_series(1::bigint, MEMBERS) n where n % 5 > 0;

insert into ingest.inbox
    (source, event_id, event_type, subject, occurred_at, received_at, applied_at, body, state)
select case n % 10 when 8 then 'supabase.database' when 9 then 'twilio' else 'stripe' end,
       'evt_' || n,
       (array['invoice.paid', 'invoice.finalized', 'charge.succeeded', 'customer.subscription.updated',
              'payment_intent.succeeded', 'customer.updated', 'invoice.created', 'checkout.session.completed',
              'public.vision_versions.INSERT', 'message.delivered'])[(1 + n % 10)::int],
       case when n % 10 = 3 then 'sub_' else 'in_' end || (n / 10 % MEMBERS),
       at, at + interval '1 second', at + interval '2 seconds', '{"object": "event"}', 'applied'
from (select n, timestamptz '2024-01-01' + n * (interval '1050 days' / (10 * MEMBERS)) as at
      from generate_series(1::bigint, 10 * MEMBERS) n) events;

insert into ingest.inbox
    (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at, next_attempt_at, alone)
select 'stripe', 'evt_other_' || n, 'invoice.paid', '2026-11-01', '2026-11-01', '{}',
       case when n % 3 = 0 then 'pending' else 'dead' end,
       'reason ' || n % 7, case when n % 3 > 0 then timestamptz '2026-11-01' + n * interval '1 second' end,
       case when n % 3 = 0 then timestamptz '2026-12-01' + n * interval '1 second' end, n % 6 = 0
from generate_series(1::bigint, MEMBERS / 50) n;

-- Everybody who pays began once; many went up, some went down, left and came back. Every tenth movement was restated.
insert into public.mrr_movements
    (customer_id, user_id, currency, effective_at, recorded_at, superseded_at, kind, delta, mrr_before, mrr_after,
     cause_event_id, calc_version)
select 'cus_' || n, md5('member' || n)::uuid, case when n % 7 = 0 then 'eur' else 'usd' end, at,
       at + interval '2 seconds', case when restated = 1 then at + interval '3 days' end, kind, delta, before,
       before + delta, 'evt_' || n * 10, 2
from (select n, timestamptz '2024-01-01' + (n % 700) * interval '1 day' + n * interval '13 seconds' as began
      from generate_series(1::bigint, MEMBERS) n where n % 5 > 0) members
cross join (values (0, 'new', 2900, 0), (90, 'expansion', 2000, 2900), (180, 'contraction', -1000, 4900),
                   (240, 'churn', -3900, 3900), (300, 'reactivation', 2900, 0)) as v (days, kind, delta, before)
cross join lateral (select began + days * interval '1 day' as at) moment
cross join lateral generate_series(0, case when n % 10 = 1 then 1 else 0 end) restated
where (kind = 'new' or kind in ('expansion', 'contraction') and n % 2 = 0 or n % 9 = 0 and n % 2 = 0)
  and at < timestamptz '2026-11-20';
delete from ingest.mrr_totals;
insert into ingest.mrr_totals (currency, day, kind, movements, amount)
select currency, (effective_at at time zone 'UTC')::date, kind, count(*) filter (where superseded_at is null),
       coalesce(sum(delta) filter (where superseded_at is null), 0)
from public.mrr_movements group by 1, 2, 3;
delete from ingest.mrr_cohorts;
insert into ingest.mrr_cohorts select * from ingest.summed_cohorts;
delete from ingest.mrr_revisions;
insert into ingest.mrr_revisions select * from ingest.summed_revisions;

insert into public.payment_history
    (user_id, stripe_invoice_id, amount, amount_refunded, amount_disputed, currency, status, paid_at, created_at)
select md5('member' || n)::uuid, 'in_' || n || '_' || k, 2900, 0, 0, 'usd', 'succeeded', at, at
from generate_series(1::bigint, MEMBERS) n cross join generate_series(1, 2) k
cross join lateral (select timestamptz '2025-01-01' + k * interval '31 days' + n * interval '1 second' as at) moment
where n % 5 > 0;

insert into public.support_tickets
    (id, user_id, subject, description, ticket_number, status, priority, category, assigned_to, created_at, updated_at,
     waiting_since, waiting_for)
select md5('ticket' || n)::uuid, md5('member' || n * 5)::uuid, 'Question ' || n, 'It does not work.', 'SUPP-' || n,
       (array['open', 'in_progress', 'waiting_reply', 'resolved', 'closed', 'closed', 'closed', 'closed'])[(1 + n % 8)::int],
       case when n % 101 = 0 then 'urgent' else 'normal' end, (array['technical', 'billing', 'account'])[(1 + n % 3)::int],
       case when n % 4 = 0 then md5('member' || n % 7)::uuid end, at, at,
       case when n % 8 < 2 then at end, case when n % 8 < 2 then 'staff' when n % 8 = 2 then 'member' end
from generate_series(1::bigint, MEMBERS / 5) n
cross join lateral (select timestamptz '2024-01-01' + n * interval '7 minutes' as at) moment;
insert into public.support_ticket_replies (ticket_id, user_id, message, is_staff, created_at)
select md5('ticket' || n)::uuid, md5('member' || n * 5)::uuid, 'Thank you.', k = 2,
       timestamptz '2024-01-01' + n * interval '7 minutes' + k * interval '1 hour'
from generate_series(1::bigint, MEMBERS / 5) n cross join generate_series(1, 2) k;

insert into public.sms_messages (user_id, direction, from_number, to_number, body, status, created_at)
select md5('member' || n * 3)::uuid, 'outbound', '+12020000001', '+1202' || (1000000 + n), 'Welcome.', 'delivered',
       timestamptz '2025-01-01' + n * interval '1 minute'
from generate_series(1::bigint, MEMBERS / 5) n;

insert into public.marketing_campaigns (id, name, slug, status, currency)
select md5('campaign' || n)::uuid, 'Campaign ' || n, 'campaign-' || n,
       (array['active', 'draft', 'paused', 'completed'])[(1 + n % 4)::int], 'usd'
from generate_series(1, 300) n;
-- A few campaigns brought most of the leads.
insert into public.leads (id, email, status, campaign_id, created_at)
select md5('lead' || n)::uuid, 'lead' || n || '@example.org', (array['new', 'contacted', 'qualified', 'lost'])[(1 + n % 4)::int],
       md5('campaign' || (case when n % 3 = 0 then 1 else n % 300 end))::uuid,
       timestamptz '2025-01-01' + n * interval '1 minute'
from generate_series(1::bigint, MEMBERS / 4) n;
insert into ingest.counted_leads (lead_id, campaign_id, value, status, created_at)
select id, campaign_id, 0, status, created_at from public.leads;

insert into ingest.parked (subject, reason, detail, parked_at)
select 'cus_parked_' || n, (array['unknown_user', 'no_tier', 'needs_stripe'])[(1 + n % 3)::int], 'nobody',
       timestamptz '2026-01-01' + n * interval '1 minute'
from generate_series(1::bigint, MEMBERS / 100) n;

insert into ingest.audit_log (at, actor, act, arguments, outcome)
select timestamptz '2024-01-01' + n * interval '5 minutes', 'person' || n % 20 || '@crm',
       (array['members change', 'tickets reply', 'dead-letters redrive', 'members export'])[(1 + n % 4)::int],
       '{"text": "given"}', '{"changed": 1}'
from generate_series(1::bigint, MEMBERS / 5) n;

set maintenance_work_mem = '512MB';
do $$ begin
    execute (select string_agg(definition, '; ') from dropped_indexes);
end $$;
reset maintenance_work_mem;
