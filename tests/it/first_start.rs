//! The first start on a database that has members already: what stands there is kept and counts, until
//! events know better.

use serde_json::json;
use time::Duration;
use uuid::Uuid;

use crate::support::told::{NOW, Told, row, stripe, subscription};

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);

async fn with_members() -> Told {
    let told = Told::begin().await;
    told.sign_up(MEMBER, "ada@example.com").await;
    told.name_tier("Pro", "price_pro").await;
    told.execute(&format!(
        "insert into public.customer_subscriptions
             (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status, created_at)
         select '{MEMBER}', id, 'cus_1', 'sub_1', 'price_pro', 'active', '2026-01-01' from public.membership_tiers"
    ))
    .await;
    told.execute(&format!(
        "insert into public.user_activity_metrics
             (user_id, vision_count, total_logins, last_login_at, s3_file_count, total_storage_mb,
              profile_completion_percent, engagement_status, admin_notes)
         values ('{MEMBER}', 12, 40, '2026-11-19T12:00:00Z', 3, 1.5, 80, 'champion', 'call her')"
    ))
    .await;
    told.store.switch_on().await.unwrap();
    told
}

#[tokio::test]
async fn a_subscription_that_stands_there_counts_and_its_value_waits_for_stripe() {
    let told = with_members().await;
    let metrics = "select mrr, subscription_status, subscription_tier, months_subscribed
                   from public.user_revenue_metrics";
    let standing = json!({
        "mrr": 0, "subscription_status": "active", "subscription_tier": "Pro", "months_subscribed": 10
    });
    assert_eq!(told.rows(metrics).await, [standing]);
    assert_eq!(told.parked().await, ["sub_1 needs_stripe"]);

    let event =
        stripe("evt_1", "customer.subscription.updated", 5, subscription("sub_1", "cus_1", "past_due"));
    told.tell([event]).await;
    let told_by_stripe = json!({
        "mrr": 1000, "subscription_status": "past_due", "subscription_tier": "Pro", "months_subscribed": 10
    });
    assert_eq!(told.rows(metrics).await, [told_by_stripe]);
    assert_eq!(told.parked().await, [""; 0]);
    assert_eq!(told.rows("select 1 from public.customer_subscriptions").await.len(), 1);
}

#[tokio::test]
async fn an_unknown_status_leaves_the_one_that_stood_there_in_force() {
    let told = with_members().await;
    let standing = "select s.status::text, m.mrr, coalesce(sum(l.delta), 0)::bigint as ledger
                    from public.customer_subscriptions s join public.user_revenue_metrics m using (user_id)
                    left join public.mrr_movements l on l.customer_id = s.stripe_customer_id and superseded_at is null
                    group by s.status, m.mrr";
    let update = |second, status| {
        let id = format!("evt_{second}");
        stripe(&id, "customer.subscription.updated", second, subscription("sub_1", "cus_1", status))
    };
    told.tell([update(5, "dormant")]).await;
    assert_eq!(told.rows(standing).await, [json!({"status": "active", "mrr": 1000, "ledger": 1000})]);
    assert_eq!(told.parked().await, ["sub_1 unknown_status"]);
    told.tell([update(4, "trialing")]).await;
    assert_eq!(told.rows(standing).await, [json!({"status": "trialing", "mrr": 0, "ledger": 0})]);
}

/// Whether the stronger evidence comes before or after the user of the row goes, with whom the row goes.
#[tokio::test]
async fn a_row_that_stood_there_goes_with_its_customer_also_after_its_user_has_gone() {
    let other = Uuid::from_u128(0xbbbb_bbbb_bbbb_4bbb_8bbb_bbbb_bbbb_bbbb);
    let named = json!({"id": "cus_1", "object": "customer", "created": 1_767_225_600, "metadata": {"user_id": other}});
    let evidence = stripe("evt_1", "customer.updated", 5, named);
    let mut found = Vec::new();
    for gone_first in [false, true] {
        let told = with_members().await;
        told.sign_up(other, "bob@example.com").await;
        if gone_first {
            told.execute(&format!("delete from auth.users where id = '{MEMBER}'")).await;
        }
        told.tell([evidence.clone()]).await;
        told.execute(&format!("delete from auth.users where id = '{MEMBER}'")).await;
        found.push(told.rows("select user_id, stripe_subscription_id, status::text, created_at from public.customer_subscriptions").await);
        assert_eq!(told.parked().await, ["sub_1 needs_stripe"]);
    }
    assert_eq!((found[0].len(), &found[0][0]["user_id"]), (1, &json!(other)));
    assert_eq!(found[0], found[1]);
}

/// A row says whose the subscription is: none stays with somebody whose it is not.
#[tokio::test]
async fn a_row_that_stood_there_goes_away_while_its_customer_is_nobodys() {
    let told = with_members().await;
    let gone = Uuid::from_u128(0xcccc_cccc_cccc_4ccc_8ccc_cccc_cccc_cccc);
    let was = "select id from public.customer_subscriptions";
    let before = told.rows(was).await;
    told.tell([row("hook_1", "DELETE", "auth.users", json!(null), json!({"id": gone}))]).await;
    let named = |user: Uuid, second| {
        let metadata = json!({"user_id": user});
        let it = json!({"id": "cus_1", "object": "customer", "created": 1_767_225_600, "metadata": metadata});
        stripe(&format!("evt_{second}"), "customer.updated", second, it)
    };
    told.tell([named(gone, 5)]).await;
    assert_eq!(told.rows(was).await, [json!(null); 0]);
    assert_eq!(told.parked().await, ["cus_1 user_gone", "sub_1 needs_stripe"]);
    told.tell([named(MEMBER, 6)]).await;
    assert_eq!(told.rows(was).await, before);
}

#[tokio::test]
async fn activity_goes_on_from_where_it_stood_and_values_set_by_hand_stay() {
    let told = with_members().await;
    let record = json!({"id": Uuid::from_u128(9), "user_id": MEMBER, "is_draft": false, "updated_at": "2026-11-20T10:00:00Z"});
    let session = json!({"id": Uuid::from_u128(8), "user_id": MEMBER, "created_at": "2026-11-20T11:00:00Z"});
    told.tell([
        row("msg_1", "INSERT", "public.vision_versions", record, json!(null)),
        row("msg_2", "INSERT", "auth.sessions", session, json!(null)),
    ])
    .await;
    let metrics = "select vision_count, total_logins, last_login_at, s3_file_count, total_storage_mb,
                          profile_completion_percent, engagement_status, admin_notes
                   from public.user_activity_metrics";
    let expected = json!({
        "vision_count": 13, "total_logins": 41, "last_login_at": "2026-11-20T11:00:00+00:00", "s3_file_count": 3,
        "total_storage_mb": 1.50, "profile_completion_percent": 80, "engagement_status": "champion",
        "admin_notes": "call her"
    });
    assert_eq!(told.rows(metrics).await, [expected]);
}

#[tokio::test]
async fn a_second_start_reads_nothing_in() {
    let told = with_members().await;
    told.execute("update public.user_activity_metrics set engagement_status_is_manual = false").await;
    told.store.switch_on().await.unwrap();
    let flags =
        told.rows("select engagement_status_is_manual as by_hand from public.user_activity_metrics").await;
    assert_eq!(flags, [json!({"by_hand": false})]);
    assert_eq!(told.rows("select logins from ingest.activity").await, [json!({"logins": 40})]);
}

#[tokio::test]
async fn what_depends_on_the_calendar_is_refreshed_a_day_later() {
    let told = Told::begin().await;
    told.sign_up(MEMBER, "ada@example.com").await;
    let session = json!({"id": Uuid::from_u128(8), "user_id": MEMBER, "created_at": "2026-11-20T11:00:00Z"});
    told.tell([row("msg_1", "INSERT", "auth.sessions", session, json!(null))]).await;
    assert_eq!(told.store.refresh_members().await.unwrap(), 0, "derived just now");

    let later = Told { store: told.store_at(NOW + Duration::days(9)), ..told };
    assert_eq!(later.store.refresh_members().await.unwrap(), 1);
    assert_eq!(later.store.refresh_members().await.unwrap(), 0);
    let metrics =
        later.rows("select days_since_last_login, engagement_status from public.user_activity_metrics").await;
    assert_eq!(metrics, [json!({"days_since_last_login": 9, "engagement_status": "at_risk"})]);
}
