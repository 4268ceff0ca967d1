//! Leads are matched to campaigns by UTM, and campaigns show their results.

mod leads;

use memberflow::ops::campaigns;
use memberflow::ops::parked;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::supabase;
use memberflow::store::Store;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{BEGIN, TestApp, customer, paid_invoice, row, stripe};
use crate::support::process::memberflow;

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

/// A campaign with these columns, besides name and slug.
async fn campaign(app: &TestApp, slug: &str, columns: &str, values: &str) {
    let (comma, name) = (if columns.is_empty() { "" } else { ", " }, slug.replace('-', " "));
    app.execute(&format!(
        "insert into public.marketing_campaigns (name, slug{comma}{columns}) values ('{name}', '{slug}'{comma}{values})"
    ))
    .await;
}

/// A lead with these UTM fields (campaign, source, medium), made before anybody paid.
async fn lead(app: &TestApp, email: &str, utm: [&str; 3]) {
    let [campaign, source, medium] = utm.map(|text| format!("nullif('{text}', '')"));
    app.execute(&format!(
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
async fn sums(app: &TestApp) -> Vec<String> {
    let page = campaigns::list(&app.database.pool, None, None, 50).await.unwrap();
    let line = |it: &campaigns::Campaign| format!("{}: {} {} {}", it.slug, it.leads, it.members, it.revenue);
    page.campaigns.iter().map(line).collect()
}

async fn differences(store: &Store, fix: bool) -> Vec<String> {
    let mut fields = Vec::new();
    supabase::run(store, fix, &mut Progress::Silent, |drift| fields.push(drift.field.clone())).await.unwrap();
    fields
}

async fn ada_signs_up(app: &TestApp) {
    app.sign_up(ADA, "ada@example.com").await;
    let record = json!({"id": ADA, "email": "ada@example.com", "email_confirmed_at": "2026-02-01T00:00:00Z"});
    app.apply([row("msg_1", "INSERT", "auth.users", record, json!(null))]).await;
}

async fn ada_pays(app: &TestApp) {
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "invoice.paid", 1, paid_invoice("in_1", "cus_1", 5001)),
    ])
    .await;
}

#[tokio::test]
async fn lead_belongs_to_campaign_of_its_utm_fields() {
    let app = TestApp::begin().await;
    campaign(&app, "by-utm", "utm_campaign", "' Spring26 '").await;
    campaign(&app, "by-slug", "", "").await;
    campaign(&app, "ads", "utm_campaign, utm_source, utm_medium", "'autumn', 'Google', 'cpc'").await;
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
        lead(&app, email, utm).await;
    }
    assert_eq!(sums(&app).await, ["ads: 1 0 0", "by-slug: 2 0 0", "by-utm: 2 0 0"]);
    assert_eq!(differences(&app.store, false).await, [""; 0]);
}

#[tokio::test]
async fn campaign_set_by_hand_wins_and_counts_once() {
    let app = TestApp::begin().await;
    campaign(&app, "spring", "", "").await;
    campaign(&app, "autumn", "", "").await;
    lead(&app, "a@example.com", ["spring", "", ""]).await;
    app.execute(
        "update public.leads set campaign_id = (select id from public.marketing_campaigns where slug = 'autumn')",
    )
    .await;
    assert_eq!(sums(&app).await, ["autumn: 1 0 0", "spring: 0 0 0"]);
    app.execute("delete from public.marketing_campaigns where slug = 'autumn'").await;
    assert_eq!(sums(&app).await, ["spring: 1 0 0"], "what UTM says holds again");
}

#[tokio::test]
async fn lead_of_two_campaigns_is_parked() {
    let app = TestApp::begin().await;
    campaign(&app, "one", "utm_campaign", "'spring'").await;
    lead(&app, "a@example.com", ["spring", "google", ""]).await;
    campaign(&app, "two", "utm_campaign, utm_source", "'Spring', 'google'").await;
    assert_eq!(sums(&app).await, ["one: 0 0 0", "two: 0 0 0"]);
    let filter =
        parked::Filter { reason: Some("ambiguous_campaign".to_owned()), ..parked::Filter::default() };
    let parked = || parked::list(&app.database.pool, &filter, 10);
    assert_eq!(parked().await.unwrap()[0].detail, "campaigns that its UTM fields name: one, two");
    assert_eq!(differences(&app.store, false).await, [""; 0]);

    app.execute("update public.marketing_campaigns set utm_source = 'bing' where slug = 'two'").await;
    assert_eq!(sums(&app).await, ["one: 1 0 0", "two: 0 0 0"]);
    assert_eq!(parked().await.unwrap(), []);
    app.execute("delete from public.marketing_campaigns where slug = 'one'").await;
    assert_eq!(sums(&app).await, ["two: 0 0 0"]);
}

#[tokio::test]
async fn utm_leads_count_the_same_in_every_order_of_arrival() {
    for order in turns(5) {
        let app = TestApp::begin().await;
        for &act in &order {
            match act {
                0 => campaign(&app, "spring", "currency, total_spent", "'usd', 1250").await,
                1 => campaign(&app, "autumn", "utm_campaign", "'spring2'").await,
                2 => lead(&app, "Ada@example.com", ["Spring", "", ""]).await,
                3 => ada_signs_up(&app).await,
                _ => ada_pays(&app).await,
            }
        }
        assert_eq!(sums(&app).await, ["autumn: 0 0 0", "spring: 1 1 5001"], "{order:?}");
        assert_eq!(differences(&app.store, false).await, [""; 0], "{order:?}");
        app.execute("update public.marketing_campaigns set utm_campaign = 'spring' where slug = 'autumn'")
            .await;
        app.execute("update public.marketing_campaigns set utm_campaign = 'x' where slug = 'spring'").await;
        assert_eq!(sums(&app).await, ["autumn: 1 1 5001", "spring: 0 0 0"], "{order:?}");
    }
}

#[tokio::test]
async fn lead_value_uses_currency_of_utm_campaign() {
    let app = TestApp::begin().await;
    campaign(&app, "spring", "currency", "'eur'").await;
    lead(&app, "ada@example.com", ["spring", "", ""]).await;
    ada_signs_up(&app).await;
    ada_pays(&app).await;
    assert_eq!(sums(&app).await, ["spring: 1 1 0"]);
    app.execute("update public.marketing_campaigns set currency = 'usd'").await;
    assert_eq!(sums(&app).await, ["spring: 1 1 5001"]);
}

#[tokio::test]
async fn reconcile_fixes_leads_missed_by_triggers() {
    let app = TestApp::begin().await;
    campaign(&app, "spring", "", "").await;
    app.execute("alter table public.leads disable trigger user").await;
    lead(&app, "a@example.com", ["spring", "", ""]).await;
    app.execute("alter table public.leads enable trigger user").await;
    assert_eq!(sums(&app).await, ["spring: 0 0 0"]);
    assert_eq!(differences(&app.store, true).await, ["public.marketing_campaigns.total_leads"]);
    assert_eq!(sums(&app).await, ["spring: 1 0 0"]);
    app.execute("select ingest.recount_leads()").await;
    assert_eq!(sums(&app).await, ["spring: 1 0 0"]);
}

#[tokio::test]
async fn campaign_shows_cost_and_return_to_the_cent() {
    let app = TestApp::begin().await;
    app.execute("alter table public.marketing_campaigns alter column total_spent type numeric(10, 2)").await;
    campaign(&app, "spring", "total_spent", "12.34").await;
    ada_signs_up(&app).await;
    ada_pays(&app).await;
    for email in ["ada@example.com", "b@example.com", "c@example.com"] {
        lead(&app, email, ["spring", "", ""]).await;
    }
    let shown = campaigns::show(&app.database.pool, "spring").await.unwrap().unwrap();
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
    assert!(campaigns::show(&app.database.pool, "winter").await.unwrap().is_none());
}

/// `status: leads` of the campaign, then its newest leads.
async fn leads_of(app: &TestApp, slug: &str) -> String {
    let shown = campaigns::show(&app.database.pool, slug).await.unwrap().unwrap();
    let statuses = shown.leads_by_status.iter().map(|(status, leads)| format!("{status}: {leads}"));
    let newest = shown.newest_leads.into_iter().map(|lead| lead.email.replace("@example.com", ""));
    statuses.chain(newest).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn campaign_shows_leads_as_they_are_whatever_changes() {
    let app = TestApp::begin().await;
    campaign(&app, "spring", "", "").await;
    campaign(&app, "autumn", "", "").await;
    for email in ["a@example.com", "b@example.com", "c@example.com"] {
        lead(&app, email, ["spring", "", ""]).await;
        app.execute("update public.leads set created_at = created_at - interval '1 day'").await;
    }
    assert_eq!(leads_of(&app, "spring").await, "new: 3 c b a");
    for (change, spring, autumn) in [
        ("update public.leads set status = 'lost' where email like 'a@%'", "lost: 1 new: 2 c b a", ""),
        (
            "update public.leads set created_at = created_at + interval '9 days' where email like 'a@%'",
            "lost: 1 new: 2 a c b",
            "",
        ),
        (
            "update public.leads set campaign_id = (select id from public.marketing_campaigns where slug = 'autumn')
             where email like 'c@%'",
            "lost: 1 new: 1 a b",
            "new: 1 c",
        ),
        ("delete from public.leads where email like 'b@%'", "lost: 1 a", "new: 1 c"),
    ] {
        app.execute(change).await;
        assert_eq!((leads_of(&app, "spring").await, leads_of(&app, "autumn").await), (spring.into(), autumn.into()));
    }
}

#[tokio::test]
async fn campaign_list_continues_after_cursor() {
    let app = TestApp::begin().await;
    for slug in ["c", "a", "b"] {
        campaign(&app, slug, "status", "'active'").await;
    }
    let page = campaigns::list(&app.database.pool, Some("active"), None, 2).await.unwrap();
    assert_eq!((page.campaigns.len(), page.next_after.as_deref()), (2, Some("b")));
    let page = campaigns::list(&app.database.pool, None, Some("b"), 2).await.unwrap();
    assert_eq!((page.campaigns[0].slug.as_str(), page.next_after), ("c", None));
    let back = campaigns::list(&app.database.pool, None, page.prev_cursor.as_deref(), 1).await.unwrap();
    assert_eq!((back.campaigns[0].slug.as_str(), back.next_after.as_deref()), ("b", Some("b")));
    let first = campaigns::list(&app.database.pool, None, back.prev_cursor.as_deref(), 1).await.unwrap();
    assert_eq!((first.campaigns[0].slug.as_str(), first.prev_cursor), ("a", None));
    assert!(campaigns::list(&app.database.pool, Some("paused"), None, 2).await.unwrap().campaigns.is_empty());
}

/// The migration counts pre-existing rows.
#[tokio::test]
async fn migration_counts_preexisting_leads() {
    let app = TestApp::begin().await;
    campaign(&app, "spring", "", "").await;
    app.execute("alter table public.leads disable trigger user").await;
    lead(&app, "a@example.com", ["spring", "", ""]).await;
    app.execute("alter table public.leads enable trigger user").await;
    for _ in 0..2 {
        let migration = include_str!("../../../migrations/20251205001300_count_leads_in_campaigns.sql");
        sqlx::raw_sql(migration).execute(&app.database.pool).await.unwrap();
        assert_eq!(sums(&app).await, ["spring: 1 0 0"]);
    }
}

#[tokio::test]
async fn migration_completes_leads_that_were_counted_before() {
    let app = TestApp::begin().await;
    campaign(&app, "spring", "", "").await;
    lead(&app, "a@example.com", ["spring", "", ""]).await;
    app.execute("drop trigger memberflow_complete_counted_lead on ingest.counted_leads").await;
    lead(&app, "b@example.com", ["spring", "", ""]).await;
    for _ in 0..2 {
        let migration = include_str!("../../../migrations/20251208031100_count_leads_by_status.sql");
        sqlx::raw_sql(migration).execute(&app.database.pool).await.unwrap();
        assert!(leads_of(&app, "spring").await.starts_with("new: 2 "));
    }
}

#[tokio::test]
async fn commands_list_and_show_what_a_campaign_brought() {
    let app = TestApp::begin().await;
    campaign(&app, "spring-sale", "total_spent, status", "10000, 'active'").await;
    campaign(&app, "autumn", "", "").await;
    lead(&app, "ada@example.com", ["spring-sale", "", ""]).await;
    ada_signs_up(&app).await;
    ada_pays(&app).await;
    let settings = vec![("DATABASE_URL", app.database.url())];
    let run = |arguments: &[&str]| {
        let output = memberflow(&settings).arg("campaigns").args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, listed, more) = run(&["list", "--limit", "1"]);
    assert_eq!((code, more.contains("--after autumn")), (Some(0), true), "{more}");
    assert!(listed.contains("autumn") && !listed.contains("spring-sale"), "{listed}");
    let (_, active, _) = run(&["list", "--status", "active", "--json"]);
    let active: Value = serde_json::from_str(&active).unwrap();
    let sums = |it: &Value| json!([it["slug"], it["leads"], it["members"], it["revenue"], it["cost"]]);
    assert_eq!(
        active["campaigns"].as_array().unwrap().iter().map(sums).collect::<Vec<_>>(),
        [json!(["spring-sale", 1, 1, 5001, 10_000])]
    );
    let (code, shown, _) = run(&["show", "spring-sale"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("ada@example.com") && shown.contains("100.00 USD"), "{shown}");
    let (code, shown, refused) = run(&["show", "winter"]);
    assert_eq!((code, shown.as_str()), (Some(5), ""), "{refused}");
    assert!(refused.contains("winter") && refused.contains("memberflow campaigns list"), "{refused}");
}
