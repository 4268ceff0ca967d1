//! The first start on a database with existing members: pre-existing rows count, and events continue from
//! there.

use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{MEMBER, OTHER, activity, assert_counted, assert_sound, populated};
use crate::support::app::{NOW, TestApp, row, stripe, subscription};

const VISION: Uuid = Uuid::from_u128(1);
const ENTRY: Uuid = Uuid::from_u128(2);
const FILE: Uuid = Uuid::from_u128(3);

async fn with_members() -> TestApp {
    let app = populated().await;
    app.name_tier("Pro", "price_pro").await;
    app.execute(&format!(
        "insert into public.customer_subscriptions
             (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status, created_at)
         select '{MEMBER}', id, 'cus_1', 'sub_1', 'price_pro', 'active', '2026-01-01' from public.membership_tiers"
    ))
    .await;
    app.execute(&format!(
        "insert into public.user_activity_metrics
             (user_id, vision_count, total_logins, last_login_at, s3_file_count, total_storage_mb,
              profile_completion_percent, engagement_status, engagement_status_is_manual, health_status, admin_notes)
         values ('{MEMBER}', 12, 1, '2026-11-19T12:00:00Z', 3, 6.0, 80, 'champion', true, 'churned', 'call her')"
    ))
    .await;
    for statement in [
        format!(
            "insert into public.vision_versions (id, user_id, is_draft, updated_at) values
                 ('{VISION}', '{MEMBER}', false, '2026-10-01'), (gen_random_uuid(), '{MEMBER}', false, '2026-10-02'),
                 (gen_random_uuid(), '{MEMBER}', true, '2026-10-02')"
        ),
        format!(
            "insert into public.journal_entries (id, user_id, updated_at) values ('{ENTRY}', '{MEMBER}', '2026-10-01')"
        ),
        format!(
            "insert into storage.objects (id, owner_id, metadata, updated_at)
             values ('{FILE}', '{MEMBER}', '{{\"size\": 1048576}}', '2026-10-01')"
        ),
        format!(
            "insert into public.user_profiles (user_id, first_name, last_name, email, is_active, updated_at)
             values ('{MEMBER}', 'Ada', ' ', 'ada@example.com', true, '2026-10-01')"
        ),
    ] {
        app.execute(&statement).await;
    }
    app.store.initial_import().await.unwrap();
    app
}

#[tokio::test]
async fn preexisting_subscription_has_no_value_until_stripe() {
    let app = with_members().await;
    let metrics = "select mrr, subscription_status, subscription_tier, months_subscribed
                   from public.user_revenue_metrics";
    let standing = json!({
        "mrr": 0, "subscription_status": "active", "subscription_tier": "Pro", "months_subscribed": 10
    });
    assert_eq!(app.rows(metrics).await, [standing]);
    assert_eq!(app.parked().await, ["sub_1 needs_stripe"]);

    let event =
        stripe("evt_1", "customer.subscription.updated", 5, subscription("sub_1", "cus_1", "past_due"));
    app.apply([event]).await;
    let reported_by_stripe = json!({
        "mrr": 1000, "subscription_status": "past_due", "subscription_tier": "Pro", "months_subscribed": 10
    });
    assert_eq!(app.rows(metrics).await, [reported_by_stripe]);
    assert_eq!(app.parked().await, [""; 0]);
    assert_eq!(app.rows("select 1 from public.customer_subscriptions").await.len(), 1);
}

#[tokio::test]
async fn unknown_status_keeps_the_preexisting_one() {
    let app = with_members().await;
    let standing = "select s.status::text, m.mrr, coalesce(sum(l.delta), 0)::bigint as ledger
                    from public.customer_subscriptions s join public.user_revenue_metrics m using (user_id)
                    left join public.mrr_movements l on l.customer_id = s.stripe_customer_id and superseded_at is null
                    group by s.status, m.mrr";
    let update = |second, status| {
        let id = format!("evt_{second}");
        stripe(&id, "customer.subscription.updated", second, subscription("sub_1", "cus_1", status))
    };
    app.apply([update(5, "dormant")]).await;
    assert_eq!(app.rows(standing).await, [json!({"status": "active", "mrr": 1000, "ledger": 1000})]);
    assert_eq!(app.parked().await, ["sub_1 unknown_status"]);
    app.apply([update(4, "trialing")]).await;
    assert_eq!(app.rows(standing).await, [json!({"status": "trialing", "mrr": 0, "ledger": 0})]);
}

/// Whether the stronger evidence comes before or after the user of the row goes, with whom the row goes.
#[tokio::test]
async fn preexisting_row_follows_customer_after_user_deleted() {
    let named = json!({"id": "cus_1", "object": "customer", "created": 1_767_225_600, "metadata": {"user_id": OTHER}});
    let evidence = stripe("evt_1", "customer.updated", 5, named);
    let mut found = Vec::new();
    for deleted_first in [false, true] {
        let app = with_members().await;
        if deleted_first {
            app.execute(&format!("delete from auth.users where id = '{MEMBER}'")).await;
        }
        app.apply([evidence.clone()]).await;
        app.execute(&format!("delete from auth.users where id = '{MEMBER}'")).await;
        found.push(app.rows("select user_id, stripe_subscription_id, status::text, created_at from public.customer_subscriptions").await);
        // The row named another user than the metadata does.
        assert_eq!(app.parked().await, ["cus_1 disputed_user", "sub_1 needs_stripe"]);
    }
    assert_eq!((found[0].len(), &found[0][0]["user_id"]), (1, &json!(OTHER)));
    assert_eq!(found[0], found[1]);
}

/// A row says whose the subscription is: none stays with somebody whose it is not.
#[tokio::test]
async fn preexisting_row_is_hidden_while_unowned() {
    let app = with_members().await;
    let gone = Uuid::from_u128(0xcccc_cccc_cccc_4ccc_8ccc_cccc_cccc_cccc);
    let was = "select id from public.customer_subscriptions";
    let before = app.rows(was).await;
    app.apply([row("hook_1", "DELETE", "auth.users", json!(null), json!({"id": gone}))]).await;
    let named = |user: Uuid, second| {
        let metadata = json!({"user_id": user});
        let it = json!({"id": "cus_1", "object": "customer", "created": 1_767_225_600, "metadata": metadata});
        stripe(&format!("evt_{second}"), "customer.updated", second, it)
    };
    app.apply([named(gone, 5)]).await;
    assert_eq!(app.rows(was).await, [json!(null); 0]);
    assert_eq!(app.parked().await, ["cus_1 user_gone", "sub_1 needs_stripe"]);
    app.apply([named(MEMBER, 6)]).await;
    assert_eq!(app.rows(was).await, before);
}

#[tokio::test]
async fn imported_rows_replace_manual_counts() {
    let app = with_members().await;
    let counted = json!({
        "vision_count": 2, "journal_entry_count": 1, "s3_file_count": 1, "total_storage_mb": 1.00,
        "profile_completion_percent": 50, "total_logins": 0
    });
    assert_eq!(activity(&app, MEMBER).await, counted);
    assert_counted(&app, "switched on").await;
    let kept = "select engagement_status, health_status, health_status_is_manual, admin_notes, last_login_at
                from public.user_activity_metrics where admin_notes is not null";
    let expected = json!({
        "engagement_status": "champion", "health_status": "healthy", "health_status_is_manual": false,
        "admin_notes": "call her", "last_login_at": null
    });
    assert_eq!(app.rows(kept).await, [expected], "what is flagged stays, the other status is derived");
    assert_eq!(activity(&app, OTHER).await["vision_count"], 0, "everybody has a row");
    assert_sound(&app, "switched on").await;
}

#[tokio::test]
async fn later_events_adjust_imported_counts() {
    let app = with_members().await;
    let vision = |draft: bool, owner: Uuid, at: &str| json!({"id": VISION, "user_id": owner, "is_draft": draft, "updated_at": at});
    let entry = |owner: Uuid| json!({"id": ENTRY, "user_id": owner, "updated_at": "2026-10-01T00:00:00Z"});
    let file = |size: i64, at: &str| json!({"id": FILE, "owner_id": MEMBER, "metadata": {"size": size}, "updated_at": at});
    app.apply([
        row(
            "msg_1",
            "UPDATE",
            "public.vision_versions",
            vision(false, OTHER, "2026-11-01T00:00:00Z"),
            vision(false, MEMBER, "2026-10-01T00:00:00Z"),
        ),
        // Of the same moment as the row: the event takes precedence.
        row("msg_2", "UPDATE", "public.journal_entries", entry(OTHER), entry(MEMBER)),
        row(
            "msg_3",
            "UPDATE",
            "storage.objects",
            file(3_145_728, "2026-11-01T00:00:00Z"),
            file(1_048_576, "2026-10-01T00:00:00Z"),
        ),
        // A late event: the row is newer.
        row("msg_4", "UPDATE", "storage.objects", file(99_000_000, "2026-09-01T00:00:00Z"), json!(null)),
    ])
    .await;
    let of = async |member| {
        let row = activity(&app, member).await;
        ["vision_count", "journal_entry_count", "s3_file_count", "total_storage_mb"]
            .map(|column| row[column].clone())
    };
    assert_eq!(of(MEMBER).await, [json!(1), json!(0), json!(1), json!(3.00)]);
    assert_eq!(of(OTHER).await, [json!(1), json!(1), json!(0), json!(0.00)]);
    app.apply([
        row("msg_5", "DELETE", "storage.objects", json!(null), file(3_145_728, "2026-11-01T00:00:00Z")),
        row(
            "msg_6",
            "DELETE",
            "public.vision_versions",
            json!(null),
            vision(false, OTHER, "2026-11-01T00:00:00Z"),
        ),
    ])
    .await;
    assert_eq!(of(MEMBER).await, [json!(1), json!(0), json!(0), json!(0.00)]);
    assert_eq!(of(OTHER).await, [json!(0), json!(1), json!(0), json!(0.00)]);
    assert_sound(&app, "reported").await;
}

#[tokio::test]
async fn imported_row_counts_like_its_event() {
    let app = populated().await;
    let sizes =
        ["12", "\"12\"", "\" 7 \"", "1.5", "-5", "null", "\"many\"", "9223372036854775807", "{}", "1e3"];
    let owners =
        [MEMBER.to_string(), MEMBER.simple().to_string().to_uppercase(), "nobody".to_owned(), String::new()];
    for (size, owner) in sizes.iter().flat_map(|size| owners.iter().map(move |owner| (size, owner))) {
        app.execute(&format!(
            "insert into storage.objects (owner_id, metadata) values ('{owner}', '{{\"size\": {size}}}')"
        ))
        .await;
    }
    app.execute(&format!("insert into storage.objects (owner, metadata) values ('{OTHER}', null)")).await;
    app.execute("alter table public.user_profiles alter is_draft drop not null").await;
    app.execute("alter table public.user_profiles add column city varchar, add column gender text, add column timezone text[]").await;
    for values in [
        "'Ada', null, '', E' \\t', true, false",
        "'Ada', 'L', 'a@b', '1', true, true",
        "null, null, null, null, false, null",
    ] {
        app.execute(&format!(
            "insert into public.user_profiles (user_id, first_name, last_name, email, phone, is_active, is_draft, city, timezone)
             values ('{MEMBER}', {values}, 'Rome', '{{}}')"
        ))
        .await;
    }
    app.execute(&format!(
        "insert into public.vision_versions (user_id, updated_at) values ('{MEMBER}', 'infinity')"
    ))
    .await;
    app.store.initial_import().await.unwrap();

    let facts =
        "select relation, row_id, user_id, counted, amount, occurred_at from ingest.row_facts order by 1, 2";
    let found = app.rows(facts).await;
    assert_eq!(found.len(), sizes.len() * owners.len() + 1 + 3 + 1);
    app.execute("delete from ingest.row_facts").await;
    for (table, column) in
        [("storage.objects", "o"), ("public.user_profiles", "p"), ("public.vision_versions", "v")]
    {
        let records = app.rows(&format!("select to_jsonb({column}) as record from {table} {column}")).await;
        let events = records.iter().enumerate().map(|(number, record)| {
            row(&format!("{table}/{number}"), "INSERT", table, record["record"].clone(), json!(null))
        });
        app.apply(events).await;
    }
    assert_eq!(app.rows(facts).await, found);
}

#[tokio::test]
async fn second_start_imports_nothing() {
    let app = with_members().await;
    app.execute("update public.user_activity_metrics set engagement_status_is_manual = false").await;
    app.execute(&format!("insert into public.journal_entries (user_id) values ('{MEMBER}')")).await;
    app.store.initial_import().await.unwrap();
    let flags = "select engagement_status_is_manual as by_hand from public.user_activity_metrics
                 where admin_notes is not null";
    assert_eq!(app.rows(flags).await, [json!({"by_hand": false})]);
    assert_eq!(activity(&app, MEMBER).await["journal_entry_count"], 1);
}

#[tokio::test]
async fn unflagged_status_is_derived_at_first_start() {
    let app = populated().await;
    app.execute(&format!(
        "insert into public.user_activity_metrics (user_id, engagement_status, health_status)
         values ('{MEMBER}', 'champion', 'churned')"
    ))
    .await;
    app.store.initial_import().await.unwrap();
    let statuses = format!(
        "select engagement_status, health_status from public.user_activity_metrics where user_id = '{MEMBER}'"
    );
    assert_eq!(
        app.rows(&statuses).await,
        [json!({"engagement_status": "inactive", "health_status": "healthy"})]
    );
}

#[tokio::test]
async fn application_row_is_derived_except_flagged_columns() {
    let app = populated().await;
    app.store.initial_import().await.unwrap();
    app.execute(&format!("delete from public.user_activity_metrics where user_id = '{MEMBER}'")).await;
    app.execute(&format!(
        "insert into public.user_activity_metrics (user_id, engagement_status, health_status, health_status_is_manual)
         values ('{MEMBER}', 'champion', 'churned', true)"
    ))
    .await;
    assert_eq!(app.store.refresh_members().await.unwrap(), 1);
    assert_eq!(app.store.refresh_members().await.unwrap(), 0);
    let statuses = format!(
        "select engagement_status, health_status from public.user_activity_metrics where user_id = '{MEMBER}'"
    );
    assert_eq!(
        app.rows(&statuses).await,
        [json!({"engagement_status": "inactive", "health_status": "churned"})]
    );
}

#[tokio::test]
async fn calendar_values_are_refreshed_daily() {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    let session = json!({"id": Uuid::from_u128(8), "user_id": MEMBER, "created_at": "2026-11-20T11:00:00Z"});
    app.apply([row("msg_1", "INSERT", "auth.sessions", session, json!(null))]).await;
    assert_eq!(app.store.refresh_members().await.unwrap(), 0, "derived just now");

    let later = TestApp { store: app.store_at(NOW + Duration::days(9)), ..app };
    assert_eq!(later.store.refresh_members().await.unwrap(), 1);
    assert_eq!(later.store.refresh_members().await.unwrap(), 0);
    let metrics =
        later.rows("select days_since_last_login, engagement_status from public.user_activity_metrics").await;
    assert_eq!(metrics, [json!({"days_since_last_login": 9, "engagement_status": "at_risk"})]);
}

#[tokio::test]
async fn due_members_are_derived_once_by_many_processes() {
    let app = TestApp::begin().await;
    app.name_tier("Pro", "price_pro").await;
    let signed_up = "insert into auth.users (id) select gen_random_uuid() from generate_series(1, 1200)";
    app.execute(signed_up).await;
    app.store.initial_import().await.unwrap();
    app.execute("insert into ingest.customers (id, recompute_at) select 'cus_' || n, '2026-01-01' from generate_series(1, 1200) n").await;
    app.execute("insert into ingest.claims select 'cus_' || n, 1, 'cus_' || n, '{nobody}', null, 'epoch', 'epoch', 'e' from generate_series(1, 1200) n").await;
    let (one, other) = (app.store_at(NOW + Duration::days(2)), app.store_at(NOW + Duration::days(2)));
    let all = async |store: memberflow::store::Store| {
        let (mut due, mut stale) = (store.recompute_due().await.unwrap(), 0);
        loop {
            match store.refresh_members().await.unwrap() {
                0 => return (std::mem::take(&mut due), stale),
                count => stale += count,
            }
        }
    };
    let (one, other) = tokio::join!(all(one), all(other));
    assert_eq!((one.0 + other.0, one.1 + other.1), (1200, 1200));
}
