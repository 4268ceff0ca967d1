-- What the CRM must see of a subscription: when it is to end, who or what canceled it, and whether it is collected.
--
-- Rows that are there get their values as memberflow writes them again: at the next event, within a day where
-- what it knows already says so, and all of them by `memberflow rebuild`.

alter table public.customer_subscriptions
    add column if not exists cancel_at timestamptz,
    add column if not exists cancellation_reason text,
    add column if not exists cancellation_feedback text,
    add column if not exists collection_paused boolean not null default false;

-- Only where nothing is written yet, or what memberflow itself wrote: a deployment's own words stay.
do $$
declare
    entry record;
begin
    for entry in
        select * from (values
            ('customer_subscriptions', 'cancel_at', null,
             'When it is to end, where a day was set; in flexible billing mode so is the end of the period, and cancel_at_period_end stays false.'),
            ('customer_subscriptions', 'cancellation_reason', null,
             'Stripe''s word for who or what canceled it: cancellation_requested, payment_failed, payment_disputed.'),
            ('customer_subscriptions', 'cancellation_feedback', null,
             'Stripe''s word for what the member said of it: too_expensive, missing_features, unused and others.'),
            ('customer_subscriptions', 'collection_paused', null,
             'Payments are not collected for now (pause_collection); the status stays as it is.'),
            ('user_revenue_metrics', 'mrr',
             'Monthly recurring revenue in minor units of currency: what is really billed (discounts, quantities, intervals), brought to a month.',
             'Monthly recurring revenue before tax in minor units of currency: what is really billed (discounts, quantities, intervals), brought to a month.'),
            ('user_revenue_by_currency', 'mrr',
             'Monthly recurring revenue in minor units.',
             'Monthly recurring revenue before tax, in minor units.')
        ) as listed (relation, column_name, former, words)
    loop
        if exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = format('public.%I', entry.relation)::regclass and a.attname = entry.column_name
                and coalesce(col_description(a.attrelid, a.attnum), '') in ('', coalesce(entry.former, ''))
        ) then
            execute format('comment on column public.%I.%I is %L',
                entry.relation, entry.column_name, entry.words);
        end if;
    end loop;
end $$;
