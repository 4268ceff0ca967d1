-- Ann and Bob with one row each in every member table, and one row in each of the CRM's own.

insert into auth.users (id, email) values
    ('00000000-0000-0000-0000-00000000000a', 'ann@example.org'),
    ('00000000-0000-0000-0000-00000000000b', 'bob@example.org');
insert into public.user_profiles (user_id) select id from auth.users;
insert into public.membership_tiers (name) values ('Vision Pro');
insert into public.customer_subscriptions (user_id, membership_tier_id, stripe_customer_id)
    select u.id, t.id, 'cus_' || u.email from auth.users u, public.membership_tiers t;
insert into public.payment_history (user_id, amount, status) select id, 9900, 'succeeded' from auth.users;
insert into public.vision_versions (user_id) select id from auth.users;
insert into public.journal_entries (user_id) select id from auth.users;
insert into public.user_activity_metrics (user_id) select id from auth.users;
insert into public.user_revenue_metrics (user_id) select id from auth.users;
insert into public.user_revenue_by_currency (user_id, currency) select id, 'usd' from auth.users;
insert into public.support_tickets (id, user_id, subject, description) values
    ('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-00000000000a', 'Help', 'It is broken.'),
    ('00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-00000000000b', 'Help', 'It is broken.');
insert into public.support_ticket_replies (ticket_id, message) select id, 'Is it?' from public.support_tickets;
insert into public.marketing_campaigns (name, slug) values ('Spring', 'spring');
insert into public.leads (email) values ('lead@example.org');
insert into public.sms_messages (direction, from_number, to_number, body) values ('outbound', '+1', '+2', 'Hello');
insert into public.lead_tracking_events (session_id, event_type) values ('s1', 'page_view');
insert into public.mrr_movements
    (customer_id, user_id, currency, effective_at, recorded_at, kind, delta, mrr_before, mrr_after, calc_version)
    values ('cus_ann', '00000000-0000-0000-0000-00000000000a', 'usd', now(), now(), 'new', 2900, 0, 2900, 1);
