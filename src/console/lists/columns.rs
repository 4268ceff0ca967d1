//! The fields of CSV files.

pub(super) const MEMBERS: &[&str] = &[
    "user_id",
    "full_name",
    "email",
    "phone",
    "subscription_tier",
    "subscription_status",
    "mrr",
    "ltv",
    "total_spent",
    "currency",
    "engagement_status",
    "health_status",
    "last_login_at",
    "vision_count",
    "created_at",
];

pub(super) const EVENTS: &[&str] = &[
    "source",
    "event_id",
    "event_type",
    "subject",
    "occurred_at",
    "received_at",
    "state",
    "at",
    "reason",
    "not_counted",
    "attempts",
];

pub(super) const DEAD_LETTERS: &[&str] =
    &["id", "source", "event_id", "event_type", "occurred_at", "received_at", "dead_at", "reason"];

pub(super) const PARKED: &[&str] = &["subject", "reason", "detail", "parked_at"];

pub(super) const TICKETS: &[&str] = &[
    "id",
    "ticket_number",
    "user_id",
    "email",
    "subject",
    "status",
    "priority",
    "category",
    "assigned_to",
    "waiting_for",
    "waiting_since",
    "first_response_at",
    "reply_count",
    "reopened_count",
    "created_at",
    "resolved_at",
    "closed_at",
    "resolution_seconds",
];

pub(super) const MESSAGES: &[&str] = &[
    "id",
    "created_at",
    "direction",
    "number",
    "our_number",
    "status",
    "twilio_status",
    "error_code",
    "error_message",
    "user_id",
    "email",
    "lead_id",
    "ticket_number",
    "body",
];

pub(super) const CAMPAIGNS: &[&str] = &[
    "id",
    "name",
    "slug",
    "status",
    "currency",
    "leads",
    "members",
    "revenue",
    "cost",
    "cost_per_lead",
    "roi",
];

pub(super) const MOVEMENTS: &[&str] = &[
    "user_id",
    "email",
    "customer_id",
    "currency",
    "kind",
    "effective_at",
    "recorded_at",
    "delta",
    "mrr_before",
    "mrr_after",
    "cause_source",
    "cause_event_id",
];

pub(super) const COHORT: &[&str] =
    &["user_id", "email", "customer_id", "began_at", "first_mrr", "mrr", "changed_at"];

pub(super) const ACTS: &[&str] = &["id", "at", "actor", "act", "arguments", "outcome"];
