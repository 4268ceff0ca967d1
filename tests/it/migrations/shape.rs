//! A new database has every table, column and word of explanation that the CRM is promised.

use super::texts;
use crate::support::database::TestDatabase;

const COLUMNS: [(&str, &str); 17] = [
    ("user_profiles", "id user_id first_name last_name phone email version_number is_active is_draft created_at updated_at"),
    (
        "membership_tiers",
        "id name description is_active created_at updated_at tier_type price_monthly price_yearly features
         viva_tokens_monthly max_visions is_popular display_order stripe_product_id stripe_price_id annual_token_grant
         monthly_token_grant billing_interval storage_quota_gb included_seats max_household_members
         rollover_max_cycles plan_category is_household_plan product_id",
    ),
    (
        "customer_subscriptions",
        "id user_id membership_tier_id stripe_customer_id stripe_subscription_id stripe_price_id status
         current_period_start current_period_end cancel_at_period_end cancel_at canceled_at cancellation_reason
         cancellation_feedback collection_paused trial_start trial_end created_at updated_at promo_code referral_source campaign_name order_id order_item_id",
    ),
    (
        "payment_history",
        "id user_id subscription_id stripe_payment_intent_id stripe_invoice_id amount amount_refunded amount_disputed
         currency status description metadata paid_at created_at",
    ),
    ("vision_versions", "id user_id title is_draft is_active household_id parent_id created_at updated_at"),
    ("journal_entries", "id user_id title content created_at updated_at"),
    (
        "user_activity_metrics",
        "user_id profile_completion_percent vision_count vision_refinement_count audio_generated_count
         journal_entry_count vision_board_image_count last_login_at total_logins days_since_last_login s3_file_count
         total_storage_mb tokens_used tokens_remaining engagement_status engagement_status_is_manual health_status
         health_status_is_manual custom_tags admin_notes last_calculated_at updated_at",
    ),
    (
        "user_revenue_metrics",
        "user_id subscription_tier subscription_status mrr ltv total_spent currency subscription_start_date
         months_subscribed last_calculated_at updated_at",
    ),
    ("user_revenue_by_currency", "user_id currency mrr ltv total_spent updated_at"),
    (
        "mrr_movements",
        "id customer_id user_id currency effective_at recorded_at superseded_at kind delta mrr_before mrr_after
         cause_event_id calc_version",
    ),
    (
        "marketing_campaigns",
        "id name slug status campaign_type utm_source utm_medium utm_campaign utm_content utm_term objective
         target_audience start_date end_date currency budget cost_per_lead_target notes creative_urls landing_page_url
         tracking_url total_clicks total_leads total_conversions total_spent calculated_cpl calculated_roi
         revenue_generated created_by created_at updated_at",
    ),
    (
        "leads",
        "id type status first_name last_name email phone company message source metadata campaign_id utm_source
         utm_medium utm_campaign utm_content utm_term referrer landing_page session_id video_engagement pages_visited
         time_on_site assigned_to converted_to_user_id currency conversion_value notes sms_opt_in sms_consent_date
         sms_opt_out_date created_at updated_at",
    ),
    (
        "support_tickets",
        "id ticket_number user_id guest_email subject description status priority category assigned_to created_at
         updated_at resolved_at closed_at first_response_at last_member_reply_at last_staff_reply_at waiting_since
         waiting_for reply_count reopened_count resolution_seconds",
    ),
    ("support_ticket_replies", "id ticket_id user_id is_staff is_internal message attachments created_at"),
    (
        "sms_messages",
        "id lead_id ticket_id user_id direction from_number to_number body media_urls status error_message twilio_sid
         created_at twilio_status error_code num_segments messaging_service_sid media_types recorded_by",
    ),
    ("sms_consents", "number opted_in source keyword twilio_sid changed_at"),
    ("lead_tracking_events", "id session_id lead_id user_id event_type event_data page_url created_at"),
];

/// Columns whose meaning their name alone doesn't give.
const EXPLAINED: [&str; 29] = [
    "payment_history.amount",
    "payment_history.amount_refunded",
    "payment_history.amount_disputed",
    "payment_history.status",
    "customer_subscriptions.membership_tier_id",
    "customer_subscriptions.status",
    "customer_subscriptions.cancel_at",
    "customer_subscriptions.cancellation_reason",
    "customer_subscriptions.cancellation_feedback",
    "customer_subscriptions.collection_paused",
    "user_activity_metrics.total_logins",
    "user_activity_metrics.total_storage_mb",
    "user_activity_metrics.vision_count",
    "user_activity_metrics.engagement_status",
    "user_activity_metrics.health_status",
    "user_revenue_metrics.mrr",
    "user_revenue_metrics.ltv",
    "user_revenue_metrics.total_spent",
    "user_revenue_metrics.subscription_status",
    "user_revenue_metrics.months_subscribed",
    "support_tickets.ticket_number",
    "support_tickets.category",
    "leads.type",
    "sms_messages.status",
    "user_profiles.is_active",
    "mrr_movements.effective_at",
    "mrr_movements.recorded_at",
    "mrr_movements.superseded_at",
    "mrr_movements.kind",
];

fn words(list: &str) -> Vec<&str> {
    let mut words: Vec<&str> = list.split_whitespace().collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn every_table_has_its_columns_and_no_other() {
    let database = TestDatabase::migrated().await;
    let mut tables: Vec<&str> = COLUMNS.iter().map(|(table, _)| *table).collect();
    tables.sort_unstable();
    let made = "select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname::text collate \"C\"";
    assert_eq!(texts(&database.pool, made).await, tables);
    for (table, columns) in COLUMNS {
        let sql = format!(
            "select attname::text from pg_attribute where attrelid = 'public.{table}'::regclass and attnum > 0
             order by attname::text collate \"C\""
        );
        assert_eq!(texts(&database.pool, &sql).await, words(columns), "{table}");
    }
}

#[tokio::test]
async fn every_table_and_every_column_that_needs_it_is_explained() {
    let database = TestDatabase::migrated().await;
    let silent = "select c.oid::regclass::text from pg_class c
        where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'ingest'::regnamespace)
            and obj_description(c.oid, 'pg_class') is null";
    assert_eq!(texts(&database.pool, silent).await, Vec::<String>::new());

    let explained = "select a.attrelid::regclass || '.' || a.attname from pg_attribute a
        where a.attnum > 0 and col_description(a.attrelid, a.attnum) is not null
            and a.attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)";
    let explained = texts(&database.pool, explained).await;
    let missing: Vec<_> = EXPLAINED.iter().filter(|name| !explained.iter().any(|e| e == *name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn every_explanation_found_its_column() {
    let database = TestDatabase::migrated().await;
    let files = [
        include_str!("../../../migrations/20251125000000_create_membership_tables.sql"),
        include_str!("../../../migrations/20251126000000_create_crm_system.sql"),
        include_str!("../../../migrations/20251205001100_create_facts_and_ledger.sql"),
    ];
    // ('table', 'column' or null, 'words')
    let listed = files.iter().flat_map(|file| file.lines()).map(str::trim_start);
    let listed = listed.filter(|line| line.starts_with("('") && line.trim_end_matches(',').ends_with("')"));
    let listed = listed.count();
    // Explained in another form: the two flags of the activity metrics, tickets and text messages.
    let texts_of = [
        include_str!("../../../migrations/20251205001400_derive_tickets.sql"),
        include_str!("../../../migrations/20251205001500_take_text_messages.sql"),
    ];
    let explained = |file: &str| {
        ["column", "table"]
            .map(|what| file.matches(&format!("comment on {what} public.")).count())
            .iter()
            .sum::<usize>()
    };
    let listed = listed + 2 + texts_of.into_iter().map(explained).sum::<usize>();
    let given = "select count(*)::text from pg_description d join pg_class c on c.oid = d.objoid
        where d.classoid = 'pg_class'::regclass and c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
            and c.relname <> 'mrr_movements'";
    assert_eq!(texts(&database.pool, given).await, [listed.to_string()]);
}

#[tokio::test]
async fn a_member_goes_with_their_rows_and_the_crms_records_stay() {
    let database = TestDatabase::migrated().await;
    super::execute(
        &database.pool,
        "insert into auth.users (id) values ('00000000-0000-0000-0000-00000000000a');
         insert into public.membership_tiers (id, name) values ('00000000-0000-0000-0000-0000000000f1', 'Pro');
         insert into public.customer_subscriptions (user_id, membership_tier_id, stripe_customer_id)
             values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000f1', 'cus_1');
         insert into public.payment_history (user_id, subscription_id, amount, status)
             select user_id, id, 5000000000, 'succeeded' from public.customer_subscriptions;
         insert into public.user_activity_metrics (user_id) select id from auth.users;
         insert into public.user_revenue_metrics (user_id) select id from auth.users;
         insert into public.user_revenue_by_currency (user_id, currency) select id, 'usd' from auth.users;
         insert into public.support_tickets (user_id, assigned_to, subject, description) select id, id, 'a', 'b' from auth.users;
         insert into public.leads (email, converted_to_user_id) select 'a@example.org', id from auth.users;
         delete from auth.users",
    )
    .await;
    let counts = texts(
        &database.pool,
        "select concat_ws(' ', (select count(*) from public.customer_subscriptions), (select count(*) from public.payment_history),
             (select count(*) from public.user_activity_metrics), (select count(*) from public.user_revenue_metrics),
             (select count(*) from public.user_revenue_by_currency),
             (select count(*) from public.support_tickets where user_id is null and assigned_to is null),
             (select count(*) from public.leads where converted_to_user_id is null))",
    )
    .await;
    assert_eq!(counts, ["0 0 0 0 0 1 1"]);
}
