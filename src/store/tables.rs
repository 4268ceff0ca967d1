//! The computed tables: facts, versions, claims and what is derived from them. Their keys and columns, and
//! whether a derivation uses the live ones or the shadow ones.
//!
//! Everything listed here is a function of the events. Other columns are either bookkeeping (when a row was
//! written) or belong to operators and the application (notes, tags, promo codes): they are never compared,
//! and never changed.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Which tables a derivation reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// The live tables.
    Live,
    /// The shadow tables of a rebuild.
    Shadow,
}

/// The schema of the shadow tables.
pub const SHADOW: &str = "ingest_rebuild";

impl Tables {
    /// Sets the search path for the rest of the transaction. It has only the shadow schema: a missing shadow
    /// table is an error, and never a write to the live one.
    pub(in crate::store) async fn set_search_path(self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("select set_config('search_path', $1, true)")
            .bind(self.search_path())
            .execute(tx)
            .await?;
        Ok(())
    }

    /// The search path.
    pub(in crate::store) const fn search_path(self) -> &'static str {
        match self {
            Self::Live => "ingest, public",
            Self::Shadow => SHADOW,
        }
    }

    /// The moment as of which each user's rows are computed, where that is not now. A shadow row is computed as of the
    /// moment of its live row: what only the clock has changed since (days, months, statuses) is not a difference.
    pub(in crate::store) async fn as_of(
        self,
        tx: &mut PgConnection,
        users: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, OffsetDateTime>, sqlx::Error> {
        if self == Self::Live || users.is_empty() {
            return Ok(HashMap::new());
        }
        let as_of: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(
            "select u.id, coalesce(a.last_calculated_at, r.last_calculated_at)
             from unnest($1::uuid[]) as u (id)
             left join public.user_activity_metrics a on a.user_id = u.id
             left join public.user_revenue_metrics r on r.user_id = u.id
             where coalesce(a.last_calculated_at, r.last_calculated_at) is not null",
        )
        .bind(users.iter().copied().collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
        Ok(as_of.into_iter().collect())
    }
}

/// A computed table.
#[derive(Clone, Copy, Debug)]
pub struct ComputedTable {
    /// The schema of the live table.
    pub schema: &'static str,
    /// Its name, without the schema.
    pub name: &'static str,
    /// The key columns.
    pub key: &'static [&'static str],
    /// The computed columns besides the key.
    pub columns: &'static [&'static str],
    /// Columns that may be set by hand, each with its flag column.
    pub manual_columns: &'static [(&'static str, &'static str)],
    /// Columns that a new row is inserted with: timestamps, an id. Only `updated_at` changes later.
    pub insert_columns: &'static [&'static str],
    /// A unique column besides the key.
    pub unique: Option<&'static str>,
    /// SQL condition on the table: which rows are computed; the others are history.
    pub row_filter: &'static str,
    /// SQL condition on the key `k`: which rows are memberflow's. The application's tables also hold
    /// pre-existing rows that no event has reported.
    pub ownership_filter: &'static str,
}

const ALL: &str = "true";

/// Users that some event named: the shadow has a row for each that still exists.
const OF_NAMED_USERS: &str = "k.user_id in (select user_id from ingest_rebuild.user_activity_metrics)";

/// A table of memberflow's own: none of its rows or columns are the application's.
const fn own_table(
    name: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
) -> ComputedTable {
    ComputedTable {
        schema: "ingest",
        name,
        key,
        columns,
        manual_columns: &[],
        insert_columns: &[],
        unique: None,
        row_filter: ALL,
        ownership_filter: ALL,
    }
}

/// A table of members.
const fn of_members(
    name: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
    insert_columns: &'static [&'static str],
) -> ComputedTable {
    ComputedTable {
        schema: "public",
        name,
        key,
        columns,
        manual_columns: &[],
        insert_columns,
        unique: None,
        row_filter: ALL,
        ownership_filter: OF_NAMED_USERS,
    }
}

/// The MRR ledger. Its current movements are computed. Superseded ones are history that no event has: a rebuild revises
/// the ledger and never replaces it.
pub const LEDGER: &str = "mrr_movements";

/// The computed tables, referenced ones first.
pub const TABLES: [ComputedTable; 21] = [
    own_table(
        "stripe_facts",
        &["id"],
        &["kind", "customer_id", "occurred_at", "final", "event_id", "tied", "state"],
    ),
    own_table("stripe_links", &["id", "other"], &[]),
    own_table(
        "stripe_versions",
        &["id", "occurred_at", "final"],
        &["kind", "event_id", "wants_lines", "state"],
    ),
    own_table(
        "claims",
        &["object_id", "strength"],
        &["customer_id", "claimed_users", "object_created", "reported_at", "event_id"],
    ),
    own_table(
        "customer_emails",
        &["object_id", "email"],
        &["customer_id", "role", "user_id", "reported_at", "place", "event_id"],
    ),
    own_table("customers", &["id"], &["user_id", "matched_by", "recompute_at"]),
    own_table(
        "payments",
        &["id"],
        &["customer_id", "currency", "collected", "refunded", "disputed", "history_id", "state"],
    ),
    own_table(
        "customer_revenue",
        &["customer_id", "currency"],
        &["mrr", "collected", "refunded", "disputed"],
    ),
    own_table("logins", &["session_id"], &["user_id", "logged_in_at", "evidence", "counted"]),
    own_table(
        "row_facts",
        &["relation", "row_id"],
        &["user_id", "counted", "amount", "occurred_at", "final", "number", "event_id", "tied"],
    ),
    own_table(
        "activity",
        &["user_id"],
        &[
            "logins",
            "files",
            "file_bytes",
            "visions",
            "journal_entries",
            "refinements",
            "audio_tracks",
            "board_images",
        ],
    ),
    own_table(
        "sms_facts",
        &["sid"],
        &[
            "number",
            "direction",
            "from_number",
            "to_number",
            "body",
            "media_urls",
            "media_types",
            "status",
            "twilio_status",
            "error_code",
            "error_message",
            "num_segments",
            "messaging_service_sid",
            "tied",
            "received_at",
            "state",
        ],
    ),
    own_table(
        "sms_consent_ledger",
        &["sid"],
        &[
            "number",
            "sender",
            "messaging_service_sid",
            "opted_in",
            "explicit",
            "source",
            "keyword",
            "received_at",
        ],
    ),
    ComputedTable {
        schema: "public",
        ..own_table(
            "sms_consents",
            &["number"],
            &["opted_in", "source", "keyword", "twilio_sid", "changed_at"],
        )
    },
    ComputedTable {
        insert_columns: &["parked_at"],
        ..own_table("parked", &["subject", "reason"], &["detail"])
    },
    ComputedTable {
        schema: "public",
        row_filter: "superseded_at is null",
        ..own_table(
            LEDGER,
            &["customer_id", "currency", "effective_at"],
            &["user_id", "kind", "delta", "mrr_before", "mrr_after", "cause_event_id"],
        )
    },
    ComputedTable {
        schema: "public",
        name: "customer_subscriptions",
        key: &["stripe_subscription_id"],
        columns: &[
            "user_id",
            "membership_tier_id",
            "stripe_customer_id",
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
        ],
        manual_columns: &[],
        insert_columns: &["id", "updated_at"],
        unique: None,
        row_filter: ALL,
        ownership_filter:
            "exists (select from ingest_rebuild.stripe_facts f where f.id = k.stripe_subscription_id
                        and f.kind = 'subscription' and not (f.state ->> 'needs_stripe')::boolean)
               or exists (select from ingest.stripe_facts f where f.id = k.stripe_subscription_id
                        and f.kind = 'subscription' and not (f.state ->> 'needs_stripe')::boolean)",
    },
    ComputedTable {
        schema: "public",
        name: "payment_history",
        key: &["id"],
        columns: &[
            "user_id",
            "subscription_id",
            "stripe_payment_intent_id",
            "stripe_invoice_id",
            "amount",
            "amount_refunded",
            "amount_disputed",
            "currency",
            "status",
            "description",
            "paid_at",
            "created_at",
        ],
        manual_columns: &[],
        insert_columns: &[],
        unique: Some("stripe_payment_intent_id"),
        row_filter: ALL,
        ownership_filter: "exists (select from ingest_rebuild.payments p where p.history_id = k.id)
               or exists (select from ingest.payments p where p.history_id = k.id)",
    },
    of_members(
        "user_revenue_metrics",
        &["user_id"],
        &[
            "subscription_tier",
            "subscription_status",
            "subscription_start_date",
            "months_subscribed",
            "mrr",
            "ltv",
            "total_spent",
            "currency",
        ],
        &["last_calculated_at", "updated_at"],
    ),
    of_members(
        "user_revenue_by_currency",
        &["user_id", "currency"],
        &["mrr", "ltv", "total_spent"],
        &["updated_at"],
    ),
    ComputedTable {
        manual_columns: &[
            ("engagement_status", "engagement_status_is_manual"),
            ("health_status", "health_status_is_manual"),
        ],
        ..of_members(
            "user_activity_metrics",
            &["user_id"],
            &[
                "last_login_at",
                "days_since_last_login",
                "engagement_status",
                "health_status",
                "total_logins",
                "s3_file_count",
                "total_storage_mb",
                "vision_count",
                "journal_entry_count",
                "vision_refinement_count",
                "audio_generated_count",
                "vision_board_image_count",
                "profile_completion_percent",
            ],
            &["last_calculated_at", "updated_at"],
        )
    },
];

impl ComputedTable {
    /// The live table's full name.
    #[must_use]
    pub fn live(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The flag column of a column that may be set by hand.
    #[must_use]
    pub fn manual_flag(&self, column: &str) -> Option<&'static str> {
        self.manual_columns.iter().find(|(name, _)| *name == column).map(|(_, flag)| *flag)
    }
}
