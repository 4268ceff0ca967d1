//! Leads find their campaigns by UTM, and campaigns show what came of them.

use memberflow::ops::campaigns;
use memberflow::ops::parked;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::supabase;
use memberflow::store::Store;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::told::{BEGIN, Told, customer, paid_invoice, row, stripe};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

/// A campaign of these columns, beside name and slug.
async fn campaign(told: &Told, slug: &str, columns: &str, values: &str) {
    let (comma, name) = (if columns.is_empty() { "" } else { ", " }, slug.replace('-', " "));
    told.execute(&format!(
        "insert into public.marketing_campaigns (name, slug{comma}{columns}) values ('{name}', '{slug}'{comma}{values})"
    ))
    .await;
}

/// A lead with these UTM fields (campaign, source, medium), made before anybody paid.
async fn lead(told: &Told, email: &str, utm: [&str; 3]) {
    let [campaign, source, medium] = utm.map(|text| format!("nullif('{text}', '')"));
    told.execute(&format!(
        "insert into public.leads (email, utm_campaign, utm_source, utm_medium, created_at)
         values ('{email}', {campaign}, {source}, {medium}, to_timestamp({}))",
        BEGIN - 86_400
    ))
    .await;
}

/// The numbers below `count`, begun at each.
fn turns(count: usize) -> Vec<Vec<usize>> {
    (0..count).map(|turn| (0..count).map(|at| (at + turn * 3) % count).collect()).collect()
}

/// `slug: leads members revenue` of each campaign.
async fn sums(told: &Told) -> Vec<String> {
    let page = campaigns::list(&told.database.pool, None, None, 50).await.unwrap();
    let line = |it: &campaigns::Campaign| format!("{}: {} {} {}", it.slug, it.leads, it.members, it.revenue);
    page.campaigns.iter().map(line).collect()
}

async fn differences(store: &Store, fix: bool) -> Vec<String> {
    let mut fields = Vec::new();
    supabase::run(store, fix, &mut Progress::Silent, |drift| fields.push(drift.field.clone())).await.unwrap();
    fields
}

async fn ada_signs_up(told: &Told) {
    told.sign_up(ADA, "ada@example.com").await;
    let record = json!({"id": ADA, "email": "ada@example.com", "email_confirmed_at": "2026-02-01T00:00:00Z"});
    told.tell([row("msg_1", "INSERT", "auth.users", record, json!(null))]).await;
}

async fn ada_pays(told: &Told) {
    told.tell([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "invoice.paid", 1, paid_invoice("in_1", "cus_1", 5001)),
    ])
    .await;
}

#[tokio::test]
async fn lead_belongs_to_the_campaign_that_its_utm_fields_name() {
    let told = Told::begin().await;
    campaign(&told, "by-utm", "utm_campaign", "' Spring26 '").await;
    campaign(&told, "by-slug", "", "").await;
    campaign(&told, "ads", "utm_campaign, utm_source, utm_medium", "'autumn', 'Google', 'cpc'").await;
    for (email, utm) in [
        ("a@example.com", ["SPRING26", "", ""]),
        ("b@example.com", [" spring26", "any", "any"]),
        ("c@example.com", ["By-Slug", "", ""]),
        ("d@example.com", ["by slug", "", ""]),
        ("e@example.com", ["Autumn", " google ", "CPC"]),
        ("not the slug", ["by-utm", "", ""]),
        ("another source", ["autumn", "bing", "cpc"]),
        ("no medium", ["autumn", "google", ""]),
        ("no campaign", ["", "google", "cpc"]),
    ] {
        lead(&told, email, utm).await;
    }
    assert_eq!(sums(&told).await, ["ads: 1 0 0", "by-slug: 2 0 0", "by-utm: 2 0 0"]);
    assert_eq!(differences(&told.store, false).await, [""; 0]);
}

#[tokio::test]
async fn campaign_set_by_hand_wins_and_counts_once() {
    let told = Told::begin().await;
    campaign(&told, "spring", "", "").await;
    campaign(&told, "autumn", "", "").await;
    lead(&told, "a@example.com", ["spring", "", ""]).await;
    told.execute(
        "update public.leads set campaign_id = (select id from public.marketing_campaigns where slug = 'autumn')",
    )
    .await;
    assert_eq!(sums(&told).await, ["autumn: 1 0 0", "spring: 0 0 0"]);
    told.execute("delete from public.marketing_campaigns where slug = 'autumn'").await;
    assert_eq!(sums(&told).await, ["spring: 1 0 0"], "what UTM says holds again");
}

#[tokio::test]
async fn lead_named_by_two_campaigns_counts_in_none_and_is_parked() {
    let told = Told::begin().await;
    campaign(&told, "one", "utm_campaign", "'spring'").await;
    lead(&told, "a@example.com", ["spring", "google", ""]).await;
    campaign(&told, "two", "utm_campaign, utm_source", "'Spring', 'google'").await;
    assert_eq!(sums(&told).await, ["one: 0 0 0", "two: 0 0 0"]);
    let parked = || parked::list(&told.database.pool, Some("ambiguous_campaign"), None, 10);
    assert_eq!(parked().await.unwrap()[0].detail, "campaigns that its UTM fields name: one, two");
    assert_eq!(differences(&told.store, false).await, [""; 0]);

    told.execute("update public.marketing_campaigns set utm_source = 'bing' where slug = 'two'").await;
    assert_eq!(sums(&told).await, ["one: 1 0 0", "two: 0 0 0"]);
    assert_eq!(parked().await.unwrap(), []);
    told.execute("delete from public.marketing_campaigns where slug = 'one'").await;
    assert_eq!(sums(&told).await, ["two: 0 0 0"]);
}

#[tokio::test]
async fn utm_leads_count_the_same_in_every_order_of_arrival() {
    for order in turns(5) {
        let told = Told::begin().await;
        for &act in &order {
            match act {
                0 => campaign(&told, "spring", "currency, total_spent", "'usd', 1250").await,
                1 => campaign(&told, "autumn", "utm_campaign", "'spring2'").await,
                2 => lead(&told, "Ada@example.com", ["Spring", "", ""]).await,
                3 => ada_signs_up(&told).await,
                _ => ada_pays(&told).await,
            }
        }
        assert_eq!(sums(&told).await, ["autumn: 0 0 0", "spring: 1 1 5001"], "{order:?}");
        assert_eq!(differences(&told.store, false).await, [""; 0], "{order:?}");
        told.execute("update public.marketing_campaigns set utm_campaign = 'spring' where slug = 'autumn'")
            .await;
        told.execute("update public.marketing_campaigns set utm_campaign = 'x' where slug = 'spring'").await;
        assert_eq!(sums(&told).await, ["autumn: 1 1 5001", "spring: 0 0 0"], "{order:?}");
    }
}

#[tokio::test]
async fn value_follows_the_currency_of_the_campaign_that_utm_names() {
    let told = Told::begin().await;
    campaign(&told, "spring", "currency", "'eur'").await;
    lead(&told, "ada@example.com", ["spring", "", ""]).await;
    ada_signs_up(&told).await;
    ada_pays(&told).await;
    assert_eq!(sums(&told).await, ["spring: 1 1 0"]);
    told.execute("update public.marketing_campaigns set currency = 'usd'").await;
    assert_eq!(sums(&told).await, ["spring: 1 1 5001"]);
}

#[tokio::test]
async fn reconcile_finds_and_fixes_leads_that_no_trigger_counted() {
    let told = Told::begin().await;
    campaign(&told, "spring", "", "").await;
    told.execute("alter table public.leads disable trigger user").await;
    lead(&told, "a@example.com", ["spring", "", ""]).await;
    told.execute("alter table public.leads enable trigger user").await;
    assert_eq!(sums(&told).await, ["spring: 0 0 0"]);
    assert_eq!(differences(&told.store, true).await, ["public.marketing_campaigns.total_leads"]);
    assert_eq!(sums(&told).await, ["spring: 1 0 0"]);
    told.execute("select ingest.recount_leads()").await;
    assert_eq!(sums(&told).await, ["spring: 1 0 0"]);
}

#[tokio::test]
async fn campaign_shows_cost_and_return_to_the_cent() {
    let told = Told::begin().await;
    told.execute("alter table public.marketing_campaigns alter column total_spent type numeric(10, 2)").await;
    campaign(&told, "spring", "total_spent", "12.34").await;
    ada_signs_up(&told).await;
    ada_pays(&told).await;
    for email in ["ada@example.com", "b@example.com", "c@example.com"] {
        lead(&told, email, ["spring", "", ""]).await;
    }
    let shown = campaigns::show(&told.database.pool, "spring").await.unwrap().unwrap();
    let shown = serde_json::to_value(shown).unwrap();
    let of = |name: &str| shown[name].clone();
    assert_eq!(
        ["leads", "members", "revenue", "cost", "cost_per_lead"].map(of),
        [json!(3), json!(1), json!(5001), json!(1234), json!(411)]
    );
    assert_eq!(of("roi"), json!(3.0527));
    assert_eq!(of("leads_by_status"), json!({"converted": 1, "new": 2}));
    let values: Vec<Value> = shown["newest_leads"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|lead| lead["converted_to_user_id"] == json!(ADA))
        .map(|lead| json!([lead["matched_by"], lead["value"]]))
        .collect();
    assert_eq!(values, [json!(["utm", 5001])]);
    assert!(campaigns::show(&told.database.pool, "winter").await.unwrap().is_none());
}

#[tokio::test]
async fn list_of_campaigns_goes_on_where_a_page_ended() {
    let told = Told::begin().await;
    for slug in ["c", "a", "b"] {
        campaign(&told, slug, "status", "'active'").await;
    }
    let page = campaigns::list(&told.database.pool, Some("active"), None, 2).await.unwrap();
    assert_eq!((page.campaigns.len(), page.next_after.as_deref()), (2, Some("b")));
    let page = campaigns::list(&told.database.pool, None, Some("b"), 2).await.unwrap();
    assert_eq!((page.campaigns[0].slug.as_str(), page.next_after), ("c", None));
    assert!(
        campaigns::list(&told.database.pool, Some("paused"), None, 2).await.unwrap().campaigns.is_empty()
    );
}

/// The rows that stand there when the migration is applied are counted by it.
#[tokio::test]
async fn migration_counts_the_leads_that_stood_before() {
    let told = Told::begin().await;
    campaign(&told, "spring", "", "").await;
    told.execute("alter table public.leads disable trigger user").await;
    lead(&told, "a@example.com", ["spring", "", ""]).await;
    told.execute("alter table public.leads enable trigger user").await;
    for _ in 0..2 {
        let migration = include_str!("../../migrations/20251203001100_match_leads_to_campaigns.sql");
        sqlx::raw_sql(migration).execute(&told.database.pool).await.unwrap();
        assert_eq!(sums(&told).await, ["spring: 1 0 0"]);
    }
}
