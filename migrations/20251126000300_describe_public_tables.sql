-- What each table is for, and each column that its name doesn't explain.
--
-- Only where nothing is written yet: a deployment's own words stay.

do $$
declare
    entry record;
    target oid;
begin
    for entry in
        select * from (values
            ('user_profiles', null, 'Iterations of a member''s profile: several rows per user. The current name and phone are in the row with is_active.'),
            ('user_profiles', 'version_number', 'Counts the iterations of one user''s profile.'),
            ('user_profiles', 'is_active', 'The iteration that speaks for the member now.'),
            ('user_profiles', 'is_draft', 'Being written; not shown.'),

            ('membership_tiers', null, 'The plans on sale. Belongs to the application: memberflow reads it to find the tier of a Stripe price or product and never writes it.'),
            ('membership_tiers', 'price_monthly', 'List price in cents, for display. MRR comes from what is really billed, never from here.'),
            ('membership_tiers', 'price_yearly', 'List price in cents, for display.'),
            ('membership_tiers', 'billing_interval', 'How often the plan bills: month, year, or 28day.'),
            ('membership_tiers', 'stripe_price_id', 'A subscription to this price is of this tier.'),
            ('membership_tiers', 'stripe_product_id', 'A subscription to any price of this product is of this tier, unless another tier names the price.'),
            ('membership_tiers', 'product_id', 'The application''s own product row, if it has one.'),
            ('membership_tiers', 'rollover_max_cycles', 'For how many billing cycles unused tokens are kept.'),

            ('customer_subscriptions', null, 'One row per Stripe subscription of a known user, kept by memberflow.'),
            ('customer_subscriptions', 'membership_tier_id', 'The tier of the first item, in Stripe''s order, whose price a tier names; else whose product one names.'),
            ('customer_subscriptions', 'stripe_price_id', 'The price of the item that decided the tier.'),
            ('customer_subscriptions', 'status', 'Stripe''s status. One that the type does not know is not shown: the last known one stays.'),
            ('customer_subscriptions', 'cancel_at_period_end', 'Canceled, but running until current_period_end.'),
            ('customer_subscriptions', 'created_at', 'When Stripe created the subscription.'),
            ('customer_subscriptions', 'order_id', 'The application''s order that led to it.'),
            ('customer_subscriptions', 'order_item_id', 'The application''s order item that led to it.'),

            ('payment_history', null, 'One row per finalized Stripe invoice and one per one-off payment, of known users. Goes with the user; the books stay in schema ingest.'),
            ('payment_history', 'amount', 'Money collected, gross, tax included, in minor units of currency; 0 unless succeeded or part-paid. Refunds and disputes never change it.'),
            ('payment_history', 'amount_refunded', 'Money given back, in minor units; pending refunds count at once, failed and canceled ones never.'),
            ('payment_history', 'amount_disputed', 'Money withdrawn by disputes at present, in minor units, without fees; 0 again once won.'),
            ('payment_history', 'status', 'succeeded (paid), failed (last attempt failed, still open), open, void or uncollectible.'),
            ('payment_history', 'stripe_payment_intent_id', 'Of the last successful payment; null where nothing was paid or it was paid outside of Stripe.'),
            ('payment_history', 'stripe_invoice_id', 'Null for a one-off payment.'),
            ('payment_history', 'paid_at', 'When the invoice was paid or the one-off payment charged.'),

            ('vision_versions', null, 'Versions of members'' visions; those that are not drafts count in user_activity_metrics.vision_count.'),
            ('vision_versions', 'parent_id', 'The version that this one refines.'),
            ('vision_versions', 'household_id', 'The household that shares the vision; null for a member''s own.'),
            ('vision_versions', 'is_draft', 'Being written; not counted.'),
            ('journal_entries', null, 'Members'' journals, readable by the member alone. memberflow only counts the rows.'),

            ('user_activity_metrics', null, 'What each member does, one row per user, kept by memberflow. The member may read the whole row.'),
            ('user_activity_metrics', 'profile_completion_percent', 'Share of the profile''s columns that the active profile has filled, 0 to 100.'),
            ('user_activity_metrics', 'vision_count', 'Rows of vision_versions that are not drafts.'),
            ('user_activity_metrics', 'journal_entry_count', 'Rows of journal_entries.'),
            ('user_activity_metrics', 'last_login_at', 'Latest login: a new session, not a refreshed token.'),
            ('user_activity_metrics', 'total_logins', 'Sessions ever seen, those since deleted included.'),
            ('user_activity_metrics', 'days_since_last_login', 'Full 24-hour days, brought up to date daily; null: never logged in.'),
            ('user_activity_metrics', 's3_file_count', 'Files in Supabase storage that the user owns.'),
            ('user_activity_metrics', 'total_storage_mb', 'Their size in MB of 1,048,576 bytes, rounded half up.'),
            ('user_activity_metrics', 'engagement_status', 'active (login within 7 days), at_risk (8 to 30), inactive (longer or never), champion (active, with a live subscription and 6 months subscribed). Thresholds are settings.'),
            ('user_activity_metrics', 'engagement_status_is_manual', 'Set by hand: stays as it is.'),
            ('user_activity_metrics', 'health_status', 'churned (had a subscription, none lives), needs_attention (a subscription past_due or unpaid, or engagement at_risk), else healthy.'),
            ('user_activity_metrics', 'health_status_is_manual', 'Set by hand: stays as it is.'),
            ('user_activity_metrics', 'admin_notes', 'The CRM''s notes. Protection is by row, so the member can read them.'),
            ('user_activity_metrics', 'last_calculated_at', 'When the metrics last changed or were checked.'),

            ('user_revenue_metrics', null, 'What each member pays, one row per user, kept by memberflow: the member''s main currency (largest mrr, else largest total_spent, else alphabetical). Complete by currency in user_revenue_by_currency.'),
            ('user_revenue_metrics', 'subscription_tier', 'Name of the tier of the leading subscription; stays after its end; null without a tier.'),
            ('user_revenue_metrics', 'subscription_status', 'Status of the leading subscription: by status (active first), then larger MRR, then older start.'),
            ('user_revenue_metrics', 'mrr', 'Monthly recurring revenue in minor units of currency: what is really billed (discounts, quantities, intervals), brought to a month.'),
            ('user_revenue_metrics', 'ltv', 'total_spent less refunds and less disputed money while it is withdrawn, in minor units.'),
            ('user_revenue_metrics', 'total_spent', 'All money ever collected, gross, in minor units.'),
            ('user_revenue_metrics', 'currency', 'The currency of the amounts, as Stripe writes it (lower case).'),
            ('user_revenue_metrics', 'subscription_start_date', 'Earliest start of any subscription that got further than incomplete.'),
            ('user_revenue_metrics', 'months_subscribed', 'Whole calendar months from there until now or, once all have ended, until the last end.'),
            ('user_revenue_metrics', 'last_calculated_at', 'When the metrics last changed or were checked.'),
            ('user_revenue_by_currency', null, 'What each member pays, exactly, one row per user and currency.'),
            ('user_revenue_by_currency', 'currency', 'As Stripe writes it (lower case).'),
            ('user_revenue_by_currency', 'mrr', 'Monthly recurring revenue in minor units.'),
            ('user_revenue_by_currency', 'ltv', 'total_spent less refunds and withdrawn disputes, in minor units.'),
            ('user_revenue_by_currency', 'total_spent', 'All money ever collected, gross, in minor units.'),

            ('marketing_campaigns', null, 'Marketing campaigns and what came of them.'),
            ('marketing_campaigns', 'slug', 'The campaign''s name in links.'),
            ('marketing_campaigns', 'currency', 'Of this row''s amounts.'),
            ('marketing_campaigns', 'budget', 'In minor units of currency (a column that stood here before as a decimal holds major units).'),
            ('marketing_campaigns', 'cost_per_lead_target', 'In the unit of budget.'),
            ('marketing_campaigns', 'total_spent', 'In the unit of budget.'),
            ('marketing_campaigns', 'calculated_cpl', 'Cost per lead, in the unit of budget.'),
            ('marketing_campaigns', 'calculated_roi', 'Return on investment as a ratio: 1 is all of it back again on top.'),
            ('marketing_campaigns', 'revenue_generated', 'In the unit of budget.'),

            ('leads', null, 'People who have shown interest and are not members yet.'),
            ('leads', 'type', 'The form it came by.'),
            ('leads', 'session_id', 'The visit it came from: the session of lead_tracking_events.'),
            ('leads', 'converted_to_user_id', 'The member that the lead became.'),
            ('leads', 'currency', 'Of conversion_value.'),
            ('leads', 'conversion_value', 'In minor units of currency (a column that stood here before as a decimal holds major units).'),
            ('leads', 'time_on_site', 'Seconds.'),
            ('leads', 'sms_consent_date', 'When the person agreed to text messages: the proof of sms_opt_in.'),
            ('leads', 'sms_opt_out_date', 'When the person revoked it; from then on nothing may be sent.'),

            ('support_tickets', null, 'Requests for help, from members (user_id) and guests (guest_email). Members read their own.'),
            ('support_tickets', 'ticket_number', 'What people quote: SUPP- and at least four digits, from a sequence.'),
            ('support_tickets', 'user_id', 'Null for a guest, and once the member is gone.'),
            ('support_tickets', 'assigned_to', 'The colleague who sees to it.'),
            ('support_ticket_replies', null, 'The conversation of a ticket. Members read what stands under their own tickets.'),
            ('support_ticket_replies', 'is_staff', 'Written by the team and not by the member.'),
            ('support_ticket_replies', 'attachments', 'Where the files are.'),

            ('sms_messages', null, 'Text messages sent and received, about a lead, a ticket or a member.'),
            ('sms_messages', 'twilio_sid', 'Twilio''s id of the message.'),
            ('sms_messages', 'media_urls', 'Pictures sent along.'),

            ('lead_tracking_events', null, 'What visitors did on the site, by session, before and after they became leads.'),
            ('lead_tracking_events', 'session_id', 'One visit.'),
            ('lead_tracking_events', 'event_data', 'What the kind of event says beyond its type.')
        ) as listed (relation, column_name, words)
    loop
        target := format('public.%I', entry.relation)::regclass;
        if entry.column_name is null then
            if obj_description(target, 'pg_class') is null then
                execute format('comment on table public.%I is %L', entry.relation, entry.words);
            end if;
        elsif exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = target and a.attname = entry.column_name
                and col_description(target, a.attnum) is null
        ) then
            execute format('comment on column public.%I.%I is %L',
                entry.relation, entry.column_name, entry.words);
        end if;
    end loop;
end $$;

do $$
begin
    if obj_description('public.subscription_status'::regtype, 'pg_type') is null then
        comment on type public.subscription_status is 'Stripe''s subscription statuses.';
    end if;
    if obj_description('public.membership_tier_type'::regtype, 'pg_type') is null then
        comment on type public.membership_tier_type is 'The plans of the application, which bill yearly and every 28 days.';
    end if;
    if obj_description('public.support_ticket_numbers'::regclass, 'pg_class') is null then
        comment on sequence public.support_ticket_numbers is 'Numbers of support tickets: two tickets made at once never get the same one.';
    end if;
    -- Only there where memberflow itself migrates; the Supabase CLI keeps its own record.
    if to_regclass('ingest.schema_migrations') is not null then
        comment on table ingest.schema_migrations is 'The migrations applied by memberflow, with the checksums of their files.';
    end if;
end $$;
