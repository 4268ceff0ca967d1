//! Damage of every kind for every derived table.

/// What is done to a table, and how many of its rows differ then.
pub(super) type Damage = &'static [(&'static str, &'static str, i64)];

/// Values of rows are changed.
pub(super) const CHANGED: Damage = &[
    (
        "ingest.stripe_facts",
        "update ingest.stripe_facts set state = state || '{\"amount\": 77}'
         where id = (select min(id) from ingest.stripe_facts where kind = 'charge')",
        1,
    ),
    (
        "ingest.claims",
        "update ingest.claims set claimed_users = '{x}'
         where object_id = (select min(object_id) from ingest.claims where strength = 1) and strength = 1",
        1,
    ),
    (
        "ingest.customer_emails",
        "update ingest.customer_emails set reported_at = reported_at + interval '1 day'
         where object_id = (select min(object_id) from ingest.customer_emails where role = 'given')",
        1,
    ),
    (
        "ingest.customers",
        "update ingest.customers set user_id = gen_random_uuid()
         where id = (select min(id) from ingest.customers where user_id is not null)",
        1,
    ),
    (
        "ingest.payments",
        "update ingest.payments set collected = collected + 1 where id = (select min(id) from ingest.payments)",
        1,
    ),
    (
        "ingest.customer_revenue",
        "update ingest.customer_revenue set mrr = mrr + 1, collected = collected - 1 where (customer_id, currency) in
             (select customer_id, currency from ingest.customer_revenue order by 1, 2 limit 3)",
        3,
    ),
    (
        "ingest.logins",
        "update ingest.logins set logged_in_at = logged_in_at + interval '1 second'
         where session_id = (select min(session_id) from ingest.logins)",
        1,
    ),
    (
        "ingest.row_facts",
        "update ingest.row_facts set amount = amount + 1
         where (relation, row_id) = (select relation, row_id from ingest.row_facts order by 1, 2 limit 1)",
        1,
    ),
    (
        "ingest.activity",
        "update ingest.activity set logins = logins + 1 where user_id in (select user_id from ingest.activity limit 1)",
        1,
    ),
    (
        "ingest.stripe_versions",
        "update ingest.stripe_versions set state = state || '{\"status\": \"paused\"}' where kind = 'subscription'
         and id = (select min(id) from ingest.stripe_versions where kind = 'subscription')
         and occurred_at = (select max(occurred_at) from ingest.stripe_versions o where o.id = stripe_versions.id)",
        1,
    ),
    (
        "ingest.sms_facts",
        "update ingest.sms_facts set status = 'failed', body = 'x' where sid = (select min(sid) from ingest.sms_facts)",
        1,
    ),
    (
        "ingest.sms_consent_ledger",
        "update ingest.sms_consent_ledger set opted_in = not opted_in
         where sid = (select min(sid) from ingest.sms_consent_ledger)",
        1,
    ),
    (
        "public.sms_consents",
        "update public.sms_consents set opted_in = not opted_in
         where number = (select min(number) from public.sms_consents)",
        1,
    ),
    (
        "public.sms_messages",
        "alter table public.sms_messages disable trigger user;
         update public.sms_messages set status = 'sent', twilio_status = 'sent' where status = 'delivered';
         alter table public.sms_messages enable trigger user",
        1,
    ),
    (
        "public.mrr_movements",
        "update public.mrr_movements set mrr_before = mrr_before + 1, mrr_after = mrr_after + 1,
             user_id = (select id from auth.users where id <> user_id limit 1)
         where id in (select id from public.mrr_movements where superseded_at is null order by id limit 2)",
        2,
    ),
    (
        "ingest.mrr_totals",
        "update ingest.mrr_totals set amount = amount + 5 where (currency, day, kind) in
             (select currency, day, kind from ingest.mrr_totals where movements > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "ingest.mrr_revisions",
        "update ingest.mrr_revisions set amount = amount + 5 where (known_on, currency, day, kind) in
             (select known_on, currency, day, kind from ingest.mrr_revisions where movements > 0 order by 1, 2, 3, 4 limit 1)",
        1,
    ),
    (
        "ingest.mrr_cohorts",
        "update ingest.mrr_cohorts set customers = customers + 1 where (currency, cohort, month) in
             (select currency, cohort, month from ingest.mrr_cohorts where amount > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "public.customer_subscriptions",
        "update public.customer_subscriptions set status = 'unpaid', trial_end = now(), promo_code = 'FRIEND'
         where stripe_subscription_id = (select min(stripe_subscription_id) from public.customer_subscriptions)",
        1,
    ),
    (
        "public.payment_history",
        "update public.payment_history set amount = amount + 1
         where id in (select id from public.payment_history order by id limit 3)",
        3,
    ),
    (
        "public.user_revenue_metrics",
        "update public.user_revenue_metrics set mrr = mrr + 1
         where user_id in (select user_id from public.user_revenue_metrics order by 1 limit 2)",
        2,
    ),
    (
        "public.user_revenue_by_currency",
        "update public.user_revenue_by_currency set ltv = ltv + 1
         where user_id = (select user_id from public.user_revenue_by_currency where currency = 'jpy')",
        2,
    ),
    (
        "public.user_activity_metrics",
        "update public.user_activity_metrics set total_logins = total_logins + 1, engagement_status = 'champion'
         where user_id in (select user_id from public.user_activity_metrics order by 1 limit 2)",
        2,
    ),
];

/// Rows are deleted.
pub(super) const DELETED: Damage = &[
    (
        "ingest.stripe_facts",
        "delete from ingest.stripe_facts where id = (select max(id) from ingest.stripe_facts where kind = 'charge')",
        1,
    ),
    (
        "ingest.stripe_links",
        "delete from ingest.stripe_links
         where (id, other) in (select id, other from ingest.stripe_links order by id, other limit 2)",
        2,
    ),
    (
        "ingest.claims",
        "delete from ingest.claims
         where strength = 1 and object_id = (select max(object_id) from ingest.claims where strength = 1)",
        1,
    ),
    (
        "ingest.customer_emails",
        "delete from ingest.customer_emails
         where object_id = (select max(object_id) from ingest.customer_emails where role = 'given')",
        1,
    ),
    (
        "ingest.customers",
        "delete from ingest.customers where id = (select max(id) from ingest.customers where user_id is not null)",
        1,
    ),
    ("ingest.payments", "delete from ingest.payments where id = (select max(id) from ingest.payments)", 1),
    ("ingest.customer_revenue", "delete from ingest.customer_revenue where currency = 'jpy'", 1),
    (
        "ingest.logins",
        "delete from ingest.logins where session_id = (select max(session_id) from ingest.logins)",
        1,
    ),
    (
        "ingest.row_facts",
        "delete from ingest.row_facts
         where (relation, row_id) = (select relation, row_id from ingest.row_facts order by 1, 2 limit 1)",
        1,
    ),
    (
        "ingest.activity",
        "delete from ingest.activity where user_id in (select user_id from ingest.activity limit 1)",
        1,
    ),
    (
        "ingest.parked",
        "delete from ingest.parked where (subject, reason) in (select subject, reason from ingest.parked limit 1)",
        1,
    ),
    (
        "ingest.stripe_versions",
        "delete from ingest.stripe_versions where id = (select min(id) from ingest.stripe_versions)
         and occurred_at = (select min(occurred_at) from ingest.stripe_versions o where o.id = stripe_versions.id)",
        1,
    ),
    (
        "ingest.sms_facts",
        "delete from ingest.sms_facts where sid = (select min(sid) from ingest.sms_facts)",
        1,
    ),
    (
        "ingest.sms_consent_ledger",
        "delete from ingest.sms_consent_ledger where sid = (select min(sid) from ingest.sms_consent_ledger)",
        1,
    ),
    (
        "public.sms_consents",
        "delete from public.sms_consents where number = (select min(number) from public.sms_consents)",
        1,
    ),
    (
        "public.sms_messages",
        "delete from public.sms_messages where twilio_sid = (select max(twilio_sid) from public.sms_messages)",
        1,
    ),
    (
        "public.mrr_movements",
        "delete from public.mrr_movements
         where id in (select id from public.mrr_movements where superseded_at is null order by id limit 2)",
        2,
    ),
    (
        "ingest.mrr_totals",
        "delete from ingest.mrr_totals where (currency, day, kind) in
             (select currency, day, kind from ingest.mrr_totals where movements > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "ingest.mrr_revisions",
        "delete from ingest.mrr_revisions where (known_on, currency, day, kind) in
             (select known_on, currency, day, kind from ingest.mrr_revisions where movements > 0 order by 1, 2, 3, 4 limit 1)",
        1,
    ),
    (
        "ingest.mrr_cohorts",
        "delete from ingest.mrr_cohorts where (currency, cohort, month) in
             (select currency, cohort, month from ingest.mrr_cohorts where amount > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "public.payment_history",
        "delete from public.payment_history where id in (select id from public.payment_history order by id limit 2)",
        2,
    ),
    (
        "public.user_revenue_metrics",
        "delete from public.user_revenue_metrics where user_id =
             (select user_id from public.user_revenue_metrics order by user_id limit 1)",
        1,
    ),
    (
        "public.user_revenue_by_currency",
        "delete from public.user_revenue_by_currency where currency = 'jpy'",
        1,
    ),
    (
        "public.user_activity_metrics",
        "delete from public.user_activity_metrics where user_id in
             (select user_id from public.user_activity_metrics order by user_id limit 1)",
        1,
    ),
];

/// Rows are added.
pub(super) const ADDED: Damage = &[
    (
        "ingest.stripe_facts",
        "insert into ingest.stripe_facts select 'cus_nobody', kind, null, occurred_at, final, event_id, tied, state
         from ingest.stripe_facts where kind = 'customer' limit 1",
        1,
    ),
    ("ingest.stripe_links", "insert into ingest.stripe_links values ('in_x', 'pi_x')", 1),
    (
        "ingest.claims",
        "insert into ingest.claims values ('cus_x', 1, 'cus_x', '{}', null, now(), now(), 'evt_x')",
        1,
    ),
    (
        "ingest.customer_emails",
        "insert into ingest.customer_emails values ('cus_x', 'x@example.com', 'cus_x', 'given', null, now(), 2, 'evt_x')",
        1,
    ),
    ("ingest.customers", "insert into ingest.customers values ('cus_x', gen_random_uuid(), 'metadata')", 1),
    (
        "ingest.payments",
        "insert into ingest.payments select 'in_x', customer_id, currency, 1, 0, 0, gen_random_uuid(), state
         from ingest.payments limit 1",
        1,
    ),
    ("ingest.customer_revenue", "insert into ingest.customer_revenue values ('cus_x', 'usd', 1)", 1),
    ("ingest.logins", "insert into ingest.logins values ('x', gen_random_uuid(), now())", 1),
    (
        "ingest.row_facts",
        "insert into ingest.row_facts values
             ('public.journal_entries', 'x', gen_random_uuid(), true, 0, now(), false, 'msg_x', false)",
        1,
    ),
    ("ingest.activity", "insert into ingest.activity values (gen_random_uuid(), 1)", 1),
    ("ingest.parked", "insert into ingest.parked values ('sub_x', 'no_tier', 'price_x', now())", 1),
    (
        "ingest.stripe_versions",
        "insert into ingest.stripe_versions select id, now(), final, kind, event_id, wants_lines, state
         from ingest.stripe_versions where kind = 'subscription' limit 1",
        1,
    ),
    (
        "ingest.sms_facts",
        "insert into ingest.sms_facts select 'SM_x', null, direction, from_number, to_number, body, media_urls, media_types,
             status, twilio_status, error_code, error_message, num_segments, messaging_service_sid, tied, received_at, state
         from ingest.sms_facts limit 1",
        1,
    ),
    (
        "ingest.sms_consent_ledger",
        "insert into ingest.sms_consent_ledger values ('SM_x', '1', null, null, true, true, 'keyword', 'START', now())",
        1,
    ),
    (
        "public.sms_consents",
        "insert into public.sms_consents values ('1', true, 'keyword', 'START', 'SM_x', now())",
        1,
    ),
    (
        "public.mrr_movements",
        "insert into public.mrr_movements
             (customer_id, currency, effective_at, recorded_at, kind, delta, mrr_before, mrr_after, calc_version)
         select customer_id, currency, '2020-02-02', now(), 'new', 1, 0, 1, 1 from public.mrr_movements limit 1",
        1,
    ),
    ("ingest.mrr_totals", "insert into ingest.mrr_totals values ('xts', '2020-02-02', 'new', 1, 5)", 1),
    (
        "ingest.mrr_revisions",
        "insert into ingest.mrr_revisions values ('2020-02-02', 'xts', '2020-02-02', 'new', 1, 5)",
        1,
    ),
    ("ingest.mrr_cohorts", "insert into ingest.mrr_cohorts values ('xts', '2020-02-01', '2020-03-01', 1, 5)", 1),
    (
        "public.customer_subscriptions",
        "insert into public.customer_subscriptions
             (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id)
         select s.user_id, s.membership_tier_id, s.stripe_customer_id, f.id
         from public.customer_subscriptions s, ingest.stripe_facts f
         where f.kind = 'subscription' and not exists (
             select from public.customer_subscriptions o where o.stripe_subscription_id = f.id)
         limit 1",
        1,
    ),
    (
        "public.payment_history",
        "insert into public.payment_history (id, user_id, amount, status)
         select (select history_id from ingest.payments where id = 'in_x'), user_id, 1, 'succeeded'
         from public.payment_history limit 1",
        1,
    ),
    (
        "public.user_revenue_metrics",
        "insert into public.user_revenue_metrics (user_id, mrr)
         select user_id, 5 from public.user_activity_metrics a
         where not exists (select from public.user_revenue_metrics r where r.user_id = a.user_id) limit 1",
        1,
    ),
    (
        "public.user_revenue_by_currency",
        "insert into public.user_revenue_by_currency (user_id, currency, mrr)
         select user_id, 'xts', 5 from public.user_revenue_metrics order by user_id limit 1",
        1,
    ),
];
