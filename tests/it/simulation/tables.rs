//! The actual tables, in the model's notation.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgPool};

/// By table: its rows as lines.
pub type Said = BTreeMap<String, Vec<String>>;

/// Reads all tables at once.
pub async fn read(pool: &PgPool) -> Said {
    let one =
        |(table, select): &(&str, &str)| format!("select '{table}' as of, said from ({select}) as t (said)");
    let all: Vec<String> = SELECTS.iter().map(one).collect();
    let rows: Vec<(String, String)> =
        sqlx::query_as(AssertSqlSafe(all.join(" union all "))).fetch_all(pool).await.unwrap();
    let mut tables: Said = SELECTS.iter().map(|(table, _)| ((*table).to_owned(), Vec::new())).collect();
    for (table, line) in rows {
        tables.get_mut(&table).unwrap().push(line);
    }
    tables
}

/// How each table's rows become lines. Moments are Unix seconds, a login's microseconds.
const SELECTS: [(&str, &str); 10] = [
    (
        "customer_subscriptions",
        "select format('user=%s tier=%s customer=%s subscription=%s price=%s status=%s period=%s..%s cancels=%s '
             || 'cancel_at=%s canceled=%s reason=%s feedback=%s paused=%s trial=%s..%s created=%s',
             user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status,
             extract(epoch from current_period_start)::bigint, extract(epoch from current_period_end)::bigint,
             case when cancel_at_period_end then 'true' else 'false' end, extract(epoch from cancel_at)::bigint,
             extract(epoch from canceled_at)::bigint, cancellation_reason, cancellation_feedback,
             case when collection_paused then 'true' else 'false' end,
             extract(epoch from trial_start)::bigint, extract(epoch from trial_end)::bigint,
             extract(epoch from created_at)::bigint)
         from public.customer_subscriptions",
    ),
    (
        "payment_history",
        "select format('user=%s subscription=%s intent=%s invoice=%s amount=%s refunded=%s disputed=%s currency=%s '
             || 'status=%s paid=%s created=%s',
             h.user_id, s.stripe_subscription_id, h.stripe_payment_intent_id, h.stripe_invoice_id, h.amount,
             h.amount_refunded, h.amount_disputed, h.currency, h.status, extract(epoch from h.paid_at)::bigint,
             extract(epoch from h.created_at)::bigint)
         from public.payment_history h left join public.customer_subscriptions s on s.id = h.subscription_id",
    ),
    (
        "user_revenue_metrics",
        "select format('user=%s tier=%s status=%s start=%s months=%s mrr=%s ltv=%s spent=%s currency=%s',
             user_id, subscription_tier, subscription_status, extract(epoch from subscription_start_date)::bigint,
             months_subscribed, mrr, ltv, total_spent, currency)
         from public.user_revenue_metrics",
    ),
    (
        "user_revenue_by_currency",
        "select format('user=%s currency=%s mrr=%s ltv=%s spent=%s', user_id, currency, mrr, ltv, total_spent)
         from public.user_revenue_by_currency",
    ),
    (
        "user_activity_metrics",
        "select format('user=%s last=%s days=%s engagement=%s health=%s logins=%s files=%s mb=%s visions=%s '
             || 'journal=%s profile=%s',
             user_id, (extract(epoch from last_login_at) * 1000000)::bigint, days_since_last_login,
             engagement_status, health_status, total_logins, s3_file_count, total_storage_mb, vision_count,
             journal_entry_count, profile_completion_percent)
         from public.user_activity_metrics",
    ),
    (
        "mrr_movements",
        "select format('customer=%s user=%s currency=%s at=%s kind=%s delta=%s mrr=%s..%s', customer_id, user_id,
             currency, extract(epoch from effective_at)::bigint, kind, delta, mrr_before, mrr_after)
         from public.mrr_movements where superseded_at is null",
    ),
    ("parked", "select format('subject=%s reason=%s', subject, reason) from ingest.parked"),
    (
        "sms_messages",
        "select format('of=L%s sms=%s direction=%s from=%s to=%s body=%s status=%s word=%s error=%s files=%s lead=%s',
             right(twilio_sid, 4), twilio_sid, direction, from_number, to_number, body, status, twilio_status,
             error_code, coalesce(cardinality(media_urls), 0), lead_id)
         from public.sms_messages",
    ),
    (
        "sms_consents",
        "select format('of=L%s number=%s in=%s source=%s keyword=%s sms=%s', right(twilio_sid, 4), number,
             opted_in::text, source, keyword, twilio_sid)
         from public.sms_consents",
    ),
    (
        "support_tickets",
        "select format('of=L%s ticket=%s status=%s for=%s since=%s first=%s member=%s staff=%s replies=%s '
             || 'reopened=%s resolved=%s closed=%s seconds=%s',
             left(id::text, 4), id, status, waiting_for, extract(epoch from waiting_since)::bigint,
             extract(epoch from first_response_at)::bigint, extract(epoch from last_member_reply_at)::bigint,
             extract(epoch from last_staff_reply_at)::bigint, reply_count, reopened_count,
             extract(epoch from resolved_at)::bigint, extract(epoch from closed_at)::bigint, resolution_seconds)
         from public.support_tickets",
    ),
];
