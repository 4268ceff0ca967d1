-- Events as they are accepted, 40 of each of :members members (psql -v members=2500): five turns of a subscription's change,
-- an invoice opened and paid, a charge, a refund, a change of the customer, a vision and a login.
\set ON_ERROR_STOP on
set synchronous_commit = off;

insert into public.membership_tiers (name, tier_type, stripe_price_id) values ('Pro', 'pro', 'price_pro');
insert into auth.users (instance_id, id, email, email_confirmed_at, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', md5('user' || n)::uuid, 'member' || n || '@example.com', now(), now(), now()
from generate_series(1, :members) n;

create temp table reported as
select k.kind, m.n, t.turn, row_number() over (partition by m.n order by t.turn, k.place) as number,
       case k.kind
           when 'customer.updated' then jsonb_build_object(
               'id', 'cus_' || m.n, 'object', 'customer', 'created', 1767225600, 'email', 'member' || m.n || '@example.com',
               'metadata', jsonb_build_object('user_id', md5('user' || m.n)::uuid))
           when 'customer.subscription.updated' then jsonb_build_object(
               'id', 'sub_' || m.n, 'object', 'subscription', 'customer', 'cus_' || m.n, 'status', 'active',
               'currency', 'usd', 'created', 1767225600, 'start_date', 1767225600, 'cancel_at_period_end', false,
               'metadata', '{}'::jsonb, 'discounts', '[]'::jsonb, 'items', jsonb_build_object(
                   'has_more', false, 'data', jsonb_build_array(jsonb_build_object(
                       'id', 'si_' || m.n, 'quantity', 1, 'current_period_start', 1767225600,
                       'current_period_end', 1769904000, 'price', jsonb_build_object(
                           'id', 'price_pro', 'product', 'prod_pro', 'currency', 'usd', 'unit_amount', 1000 + t.turn,
                           'unit_amount_decimal', (1000 + t.turn)::text, 'billing_scheme', 'per_unit',
                           'recurring', jsonb_build_object('interval', 'month', 'interval_count', 1, 'usage_type', 'licensed'))))))
           when 'charge.succeeded' then jsonb_build_object(
               'id', 'ch_' || m.n || '_' || t.turn, 'object', 'charge', 'created', 1767225600 + t.turn * 600,
               'customer', 'cus_' || m.n, 'currency', 'usd', 'amount', 1000, 'amount_captured', 1000, 'amount_refunded', 0,
               'captured', true, 'status', 'succeeded', 'payment_intent', 'pi_' || m.n || '_' || t.turn,
               'invoice', 'in_' || m.n || '_' || t.turn)
           when 'refund.created' then jsonb_build_object(
               'id', 're_' || m.n || '_' || t.turn, 'object', 'refund', 'created', 1767225600 + t.turn * 600,
               'currency', 'usd', 'amount', 10, 'charge', 'ch_' || m.n || '_' || t.turn,
               'payment_intent', 'pi_' || m.n || '_' || t.turn, 'status', 'succeeded')
           when 'public.vision_versions.insert' then jsonb_build_object(
               'id', md5('vision' || m.n || '/' || t.turn)::uuid, 'user_id', md5('user' || m.n)::uuid, 'is_draft', false,
               'created_at', '2026-11-20T10:00:00Z', 'updated_at', '2026-11-20T10:00:00Z')
           when 'auth.sessions.insert' then jsonb_build_object(
               'id', md5('session' || m.n || '/' || t.turn)::uuid, 'user_id', md5('user' || m.n)::uuid,
               'created_at', '2026-11-1' || t.turn || 'T10:00:00Z', 'updated_at', '2026-11-1' || t.turn || 'T10:00:00Z')
           else jsonb_build_object(
               'id', 'in_' || m.n || '_' || t.turn, 'object', 'invoice', 'customer', 'cus_' || m.n, 'currency', 'usd',
               'status', case k.kind when 'invoice.paid' then 'paid' else 'open' end,
               'created', 1767225600 + t.turn * 600, 'amount_due', 1000,
               'amount_paid', case k.kind when 'invoice.paid' then 1000 else 0 end, 'attempted', true, 'attempt_count', 1,
               'billing_reason', 'subscription_cycle', 'subscription', 'sub_' || m.n,
               'charge', 'ch_' || m.n || '_' || t.turn, 'payment_intent', 'pi_' || m.n || '_' || t.turn,
               'lines', '{"has_more": false, "data": []}'::jsonb, 'status_transitions', jsonb_build_object(
                   'paid_at', case k.kind when 'invoice.paid' then 1767225610 + t.turn * 600 end))
       end as object
from generate_series(1, :members) m (n) cross join generate_series(0, 4) t (turn)
cross join unnest(array['customer.updated', 'customer.subscription.updated', 'invoice.finalized', 'charge.succeeded',
                        'invoice.paid', 'refund.created', 'public.vision_versions.insert', 'auth.sessions.insert'])
    with ordinality k (kind, place);

-- Stripe's objects are as long as they are for all that nobody reads.
insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
select source, 'evt_' || n || '_' || number, kind, at, now(), convert_to((case source
           when 'stripe' then jsonb_build_object(
               'id', 'evt_' || n || '_' || number, 'object', 'event', 'type', kind, 'livemode', true,
               'created', 1767225700 + number * 60, 'api_version', '2025-09-30.clover',
               'data', jsonb_build_object('object', object || jsonb_build_object(
                   'payment_settings', jsonb_build_object('options', repeat('nobody reads it ', 125)))))
           else jsonb_build_object('type', 'INSERT', 'schema', split_part(kind, '.', 1), 'table', split_part(kind, '.', 2),
                                   'record', object, 'old_record', null)
       end)::text, 'UTF8'), 'pending', now()
from (select *, case when kind like '%.insert' then 'supabase.database' else 'stripe' end as source,
             to_timestamp(1767225700 + number * 60) as at from reported) e
order by number, n;

-- Rows that those events report.
insert into public.vision_versions (id, user_id, is_draft, created_at, updated_at)
select (object ->> 'id')::uuid, (object ->> 'user_id')::uuid, false, '2026-11-20T10:00:00Z', '2026-11-20T10:00:00Z'
from reported where kind = 'public.vision_versions.insert';
analyze;
