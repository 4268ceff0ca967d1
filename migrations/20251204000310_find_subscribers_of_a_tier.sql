-- The member list asks for the subscribers of a tier, and of those with a status: few of them are found without reading all.
create index if not exists customer_subscriptions_tier_status_idx
    on public.customer_subscriptions (membership_tier_id, status, user_id);
