-- Indexes: every foreign key (or deleting its target reads the whole table), and what lists are sorted
-- and filtered by, each with the key that makes the order total, so that pages can continue from a row.
--
-- An index that is there already under another name is not made again: it would only cost writes.

do $$
declare
    wanted record;
begin
    for wanted in
        -- `keys` as PostgreSQL itself prints them, for they are compared.
        select relation, relation || '_' || suffix as name, keys
        from (values
            ('user_profiles', 'user_id_idx', '(user_id)'),
            ('customer_subscriptions', 'user_id_idx', '(user_id)'),
            ('customer_subscriptions', 'membership_tier_id_idx', '(membership_tier_id)'),
            ('customer_subscriptions', 'status_idx', '(status, user_id)'),
            ('customer_subscriptions', 'stripe_customer_id_idx', '(stripe_customer_id)'),
            ('payment_history', 'user_id_idx', '(user_id, created_at DESC)'),
            ('payment_history', 'subscription_id_idx', '(subscription_id)'),
            -- Not unique: a deployment's rows may name one invoice twice.
            ('payment_history', 'stripe_invoice_id_idx', '(stripe_invoice_id)'),
            ('vision_versions', 'user_id_idx', '(user_id)'),
            ('vision_versions', 'parent_id_idx', '(parent_id)'),
            ('journal_entries', 'user_id_idx', '(user_id)'),

            ('user_activity_metrics', 'engagement_status_idx', '(engagement_status, user_id)'),
            ('user_activity_metrics', 'health_status_idx', '(health_status, user_id)'),
            -- Value and id run in the same direction, so that one comparison of both finds the next page,
            -- however many members share a value; read backwards they serve the other direction.
            ('user_activity_metrics', 'last_login_at_idx', '(last_login_at, user_id)'),
            -- The daily refresh takes the oldest first.
            ('user_activity_metrics', 'last_calculated_at_idx', '(last_calculated_at)'),
            ('user_revenue_metrics', 'mrr_idx', '(mrr, user_id)'),
            ('user_revenue_metrics', 'ltv_idx', '(ltv, user_id)'),
            ('user_revenue_metrics', 'total_spent_idx', '(total_spent, user_id)'),

            ('marketing_campaigns', 'status_idx', '(status, created_at DESC)'),
            ('marketing_campaigns', 'created_by_idx', '(created_by)'),
            ('leads', 'status_idx', '(status, created_at DESC, id DESC)'),
            ('leads', 'created_at_idx', '(created_at DESC, id DESC)'),
            ('leads', 'email_idx', '(lower(email))'),
            ('leads', 'session_id_idx', '(session_id)'),
            ('leads', 'campaign_id_idx', '(campaign_id)'),
            ('leads', 'assigned_to_idx', '(assigned_to)'),
            ('leads', 'converted_to_user_id_idx', '(converted_to_user_id)'),
            ('support_tickets', 'status_idx', '(status, created_at DESC, id DESC)'),
            ('support_tickets', 'user_id_idx', '(user_id, created_at DESC)'),
            ('support_tickets', 'assigned_to_idx', '(assigned_to)'),
            ('support_ticket_replies', 'ticket_id_idx', '(ticket_id, created_at)'),
            ('support_ticket_replies', 'user_id_idx', '(user_id)'),
            ('sms_messages', 'lead_id_idx', '(lead_id, created_at DESC)'),
            ('sms_messages', 'ticket_id_idx', '(ticket_id, created_at DESC)'),
            ('sms_messages', 'user_id_idx', '(user_id, created_at DESC)'),
            ('lead_tracking_events', 'session_id_idx', '(session_id, created_at)'),
            ('lead_tracking_events', 'lead_id_idx', '(lead_id, created_at)'),
            ('lead_tracking_events', 'user_id_idx', '(user_id)')
        ) as listed (relation, suffix, keys)
        where not exists (
            select from pg_catalog.pg_indexes i
            where i.schemaname = 'public' and i.tablename = relation
                and (i.indexname = relation || '_' || suffix
                    or split_part(i.indexdef, ' USING ', 2) = 'btree ' || keys)
        )
    loop
        execute format('create index %I on public.%I using btree %s',
            wanted.name, wanted.relation, wanted.keys);
    end loop;
end $$;
