//! The tables that memberflow reads and writes, with the columns it uses.

/// A table of `public` and the columns that must be there.
pub(super) struct Expected {
    pub table: &'static str,
    pub columns: &'static [&'static str],
}

const fn table(table: &'static str, columns: &'static [&'static str]) -> Expected {
    Expected { table, columns }
}

/// All of them. `bigint` for those in [`AMOUNTS`]; otherwise only the name is checked.
pub(super) const PUBLIC: &[Expected] = &[
    table(
        "user_profiles",
        &["id", "user_id", "first_name", "last_name", "phone", "is_active", "created_at", "updated_at"],
    ),
    table("membership_tiers", &["id", "name", "stripe_product_id", "stripe_price_id"]),
    table(
        "customer_subscriptions",
        &[
            "id",
            "user_id",
            "membership_tier_id",
            "stripe_customer_id",
            "stripe_subscription_id",
            "stripe_price_id",
            "status",
            "current_period_start",
            "current_period_end",
            "cancel_at_period_end",
            "cancel_at",
            "canceled_at",
            "cancellation_reason",
            "cancellation_feedback",
            "collection_paused",
            "trial_start",
            "trial_end",
            "created_at",
            "updated_at",
        ],
    ),
    table(
        "payment_history",
        &[
            "id",
            "user_id",
            "subscription_id",
            "stripe_payment_intent_id",
            "stripe_invoice_id",
            "amount",
            "amount_refunded",
            "amount_disputed",
            "currency",
            "status",
            "paid_at",
            "created_at",
        ],
    ),
    table("vision_versions", &["id", "user_id", "is_draft"]),
    table("journal_entries", &["id", "user_id"]),
    table(
        "user_activity_metrics",
        &[
            "user_id",
            "profile_completion_percent",
            "vision_count",
            "journal_entry_count",
            "last_login_at",
            "total_logins",
            "days_since_last_login",
            "s3_file_count",
            "total_storage_mb",
            "engagement_status",
            "engagement_status_is_manual",
            "health_status",
            "health_status_is_manual",
            "custom_tags",
            "admin_notes",
            "last_calculated_at",
            "updated_at",
        ],
    ),
    table(
        "user_revenue_metrics",
        &[
            "user_id",
            "subscription_tier",
            "subscription_status",
            "mrr",
            "ltv",
            "total_spent",
            "currency",
            "subscription_start_date",
            "months_subscribed",
        ],
    ),
    table("user_revenue_by_currency", &["user_id", "currency", "mrr", "ltv", "total_spent"]),
    table("mrr_movements", &["customer_id", "currency", "effective_at", "kind", "delta", "superseded_at"]),
    table("marketing_campaigns", &["id", "name", "slug", "status"]),
    table("lead_tracking_events", &["id", "session_id", "event_type", "lead_id", "user_id"]),
    table("leads", &["id", "email", "status"]),
    table("support_tickets", &["id", "ticket_number", "subject", "status"]),
    table("support_ticket_replies", &["id", "ticket_id", "message"]),
    table(
        "sms_messages",
        &["id", "direction", "body", "status", "twilio_sid", "twilio_status", "recorded_by"],
    ),
    table("sms_consents", &["number", "opted_in", "twilio_sid", "changed_at"]),
];

/// Columns that hold minor units: 32 bits end at 21 million dollars.
pub(super) const AMOUNTS: &[(&str, &str)] = &[
    ("payment_history", "amount"),
    ("user_revenue_metrics", "mrr"),
    ("user_revenue_metrics", "ltv"),
    ("user_revenue_metrics", "total_spent"),
];
