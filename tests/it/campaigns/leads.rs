//! Leads become members, and campaigns show it, in any order of events.

use fastrand::Rng;
use memberflow::envelope::Envelope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{BEGIN, TestApp, customer, paid_invoice, row, stripe};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);
const TWIN: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0002);
/// When the first invoice was paid.
const PAID: i64 = BEGIN + 10;
const SPRING: &str = "5b000000-0000-4000-8000-000000000001";
const AUTUMN: &str = "5b000000-0000-4000-8000-000000000002";

#[tokio::test]
async fn lead_converts_when_its_address_signs_up() {
    let app = begin().await;
    lead(&app, "Ada@Example.com", Some(SPRING)).await;
    assert_eq!(leads(&app).await, [json!({"status": "new", "user": null, "value": null})]);

    app.sign_up(ADA, "ada@example.com").await;
    app.apply([signed_up()]).await;
    assert_eq!(leads(&app).await, [json!({"status": "converted", "user": ADA, "value": 0})]);
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 0}));
}

#[tokio::test]
async fn late_lead_before_first_payment_converts() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    lead(&app, "ADA@example.com", Some(SPRING)).await;
    assert_eq!(leads(&app).await, [json!({"status": "converted", "user": ADA, "value": 4000})]);
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 4000}));
}

#[tokio::test]
async fn lead_after_first_payment_does_not_convert() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    lead_at(&app, "ada@example.com", SPRING, PAID + 1).await;
    assert_eq!(leads(&app).await, [json!({"status": "new", "user": null, "value": null})]);
    let nothing = json!({"leads": 1, "conversions": 0, "revenue": 0});
    assert_eq!(campaign(&app, SPRING).await, nothing);
    app.apply([renewal()]).await;
    assert_eq!(campaign(&app, SPRING).await, nothing, "nor by what is paid later");
    // In the second of the payment itself it may have been first.
    lead_at(&app, "ada@example.com", AUTUMN, PAID).await;
    assert_eq!(campaign(&app, AUTUMN).await, json!({"leads": 1, "conversions": 1, "revenue": 6000}));
}

#[tokio::test]
async fn manually_converted_lead_counts_later_payments() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    lead_at(&app, "other@example.com", SPRING, PAID + 1).await;
    app.execute(&format!("update public.leads set converted_to_user_id = '{ADA}', status = 'converted'"))
        .await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 0}));
    app.apply([renewal()]).await;
    assert_eq!(leads(&app).await, [json!({"status": "converted", "user": ADA, "value": 2000})]);
    app.execute(&format!("update public.leads set created_at = to_timestamp({PAID})")).await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 6000}));
}

/// An early lead in one campaign, a late one in another, the sign-up and each payment.
#[tokio::test]
async fn conversions_are_the_same_in_every_order_of_arrival() {
    // Of an order and its reverse, each two acts come both ways.
    let mut orders = Vec::new();
    for seed in 0..3 {
        let mut order: Vec<usize> = (0..6).collect();
        Rng::with_seed(seed).shuffle(&mut order);
        orders.push(order.clone());
        order.reverse();
        orders.push(order);
    }
    for order in orders {
        let app = begin().await;
        for &act in &order {
            match act {
                0 => lead(&app, "ada@example.com", Some(SPRING)).await,
                1 => lead_at(&app, "ada@example.com", AUTUMN, PAID + 5).await,
                2 => {
                    app.sign_up(ADA, "ada@example.com").await;
                    app.apply([signed_up()]).await;
                }
                3 => drop(app.apply(paid()[..1].to_vec()).await),
                4 => drop(app.apply(paid()[1..].to_vec()).await),
                _ => drop(app.apply([renewal(), renewal()]).await),
            }
        }
        let spring = json!({"leads": 1, "conversions": 1, "revenue": 6000});
        assert_eq!(campaign(&app, SPRING).await, spring, "{order:?}");
        let autumn = json!({"leads": 1, "conversions": 0, "revenue": 0});
        assert_eq!(campaign(&app, AUTUMN).await, autumn, "{order:?}");
        let late = format!(
            "select status, converted_to_user_id as it, conversion_value as value from public.leads
             where campaign_id = '{AUTUMN}'"
        );
        assert_eq!(app.rows(&late).await, [json!({"status": "new", "it": null, "value": null})], "{order:?}");
    }
}

#[tokio::test]
async fn api_insert_cannot_backdate_or_probe_members() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    app.execute("grant insert, select on public.leads to anon, authenticated").await;
    app.execute(
        "create policy form on public.leads for all to anon, authenticated using (true) with check (true)",
    )
    .await;
    for role in ["anon", "authenticated"] {
        let mut tx = memberflow::database::begin(&app.database.pool).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("set local role {role}"))).execute(&mut *tx).await.unwrap();
        let returned: Option<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "insert into public.leads (email, campaign_id, created_at)
             values ('ada@example.com', '{SPRING}', '2020-01-01') returning converted_to_user_id"
        )))
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(returned, None, "{role}");
    }
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 2, "conversions": 0, "revenue": 0}));

    // A lead of an existing member is converted, but the insert does not reveal that.
    let returned: Option<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "insert into public.leads (email, campaign_id, created_at)
         values ('ada@example.com', '{AUTUMN}', '2020-01-01') returning converted_to_user_id"
    )))
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(returned, None);
    assert_eq!(campaign(&app, AUTUMN).await, json!({"leads": 1, "conversions": 1, "revenue": 4000}));
}

#[tokio::test]
async fn unconfirmed_or_shared_address_does_not_convert() {
    let app = begin().await;
    lead(&app, "ada@example.com", Some(SPRING)).await;
    app.sign_up(ADA, "ada@example.com").await;
    app.execute("update auth.users set email_confirmed_at = null").await;
    app.apply([signed_up()]).await;
    assert_eq!(leads(&app).await, [json!({"status": "new", "user": null, "value": null})]);

    app.execute("update auth.users set email_confirmed_at = now()").await;
    app.execute("drop index if exists auth.users_email_partial_key").await;
    app.sign_up(TWIN, "Ada@example.com").await;
    app.apply([named("msg_2", ADA), named("msg_3", TWIN)]).await;
    assert_eq!(leads(&app).await, [json!({"status": "new", "user": null, "value": null})]);
}

#[tokio::test]
async fn lead_value_follows_payments_in_any_order() {
    let events = || [vec![signed_up()], paid()].concat();
    for turn in 0..events().len() {
        let app = begin().await;
        let mut events = events();
        events.rotate_left(turn);
        let late_lead = turn % 2 == 0;
        if !late_lead {
            lead(&app, "ada@example.com", Some(SPRING)).await;
        }
        app.sign_up(ADA, "ada@example.com").await;
        for event in events {
            app.apply([event.clone()]).await;
            app.apply([event]).await;
        }
        if late_lead {
            lead(&app, "ada@example.com", Some(SPRING)).await;
        }
        assert_eq!(leads(&app).await, [json!({"status": "converted", "user": ADA, "value": 4000})], "{turn}");
        let spring = json!({"leads": 1, "conversions": 1, "revenue": 4000});
        assert_eq!(campaign(&app, SPRING).await, spring, "{turn}");
    }
}

#[tokio::test]
async fn member_counts_once_per_campaign_even_if_deleted() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    for campaign in [SPRING, SPRING, AUTUMN] {
        lead(&app, "ada@example.com", Some(campaign)).await;
    }
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 2, "conversions": 1, "revenue": 4000}));
    assert_eq!(campaign(&app, AUTUMN).await, json!({"leads": 1, "conversions": 1, "revenue": 4000}));

    app.execute(&format!("delete from auth.users where id = '{ADA}'")).await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 2, "conversions": 1, "revenue": 4000}));

    let one = format!("(select min(id::text)::uuid from public.leads where campaign_id = '{SPRING}')");
    app.execute(&format!("update public.leads set campaign_id = '{AUTUMN}' where id = {one}")).await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 4000}));
    assert_eq!(campaign(&app, AUTUMN).await, json!({"leads": 2, "conversions": 1, "revenue": 4000}));

    app.execute("delete from public.leads").await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 0, "conversions": 0, "revenue": 0}));
    assert_eq!(campaign(&app, AUTUMN).await, json!({"leads": 0, "conversions": 0, "revenue": 0}));
}

#[tokio::test]
async fn campaign_revenue_ignores_other_currencies() {
    let app = begin().await;
    app.execute(&format!("update public.marketing_campaigns set currency = 'eur' where id = '{SPRING}'"))
        .await;
    lead(&app, "ada@example.com", Some(SPRING)).await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply([vec![signed_up()], paid()].concat()).await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 0}));

    app.execute(&format!("update public.marketing_campaigns set currency = 'usd' where id = '{SPRING}'"))
        .await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 4000}));
}

#[tokio::test]
async fn manual_conversion_stays_and_counts() {
    let app = begin().await;
    lead(&app, "offline@example.com", Some(SPRING)).await;
    app.execute("update public.leads set status = 'converted', conversion_value = 700").await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 1, "revenue": 700}));
    app.execute("update public.leads set status = 'lost'").await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 1, "conversions": 0, "revenue": 0}));

    app.execute("delete from public.leads").await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply([signed_up()]).await;
    lead(&app, "ada@example.com", Some(SPRING)).await;
    app.execute("update public.leads set status = 'lost'").await;
    app.apply(paid()).await;
    assert_eq!(leads(&app).await, [json!({"status": "lost", "user": ADA, "value": 4000})]);
}

#[tokio::test]
async fn cost_per_lead_and_return_follow_the_sums() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    app.execute(&format!("update public.marketing_campaigns set total_spent = 1000 where id = '{SPRING}'"))
        .await;
    let ratios =
        "select calculated_cpl, calculated_roi from public.marketing_campaigns where slug = 'spring'";
    assert_eq!(app.rows(ratios).await, [json!({"calculated_cpl": null, "calculated_roi": -1.0})]);
    for address in ["ada@example.com", "b@example.com", "c@example.com"] {
        lead(&app, address, Some(SPRING)).await;
    }
    assert_eq!(app.rows(ratios).await, [json!({"calculated_cpl": 333, "calculated_roi": 3.0})]);
}

#[tokio::test]
async fn decimal_columns_of_a_deployment_hold_major_units() {
    let app = TestApp::begin().await;
    app.execute("alter table public.leads alter column conversion_value type numeric(12, 2)").await;
    app.execute(
        "alter table public.marketing_campaigns alter column revenue_generated type numeric(12, 2),
         alter column total_spent type numeric(12, 2), alter column calculated_cpl type numeric(12, 2)",
    )
    .await;
    make_campaigns(&app).await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    app.execute("update public.marketing_campaigns set total_spent = 12.50").await;
    lead(&app, "ada@example.com", Some(SPRING)).await;
    assert_eq!(leads(&app).await, [json!({"status": "converted", "user": ADA, "value": 40.00})]);
    let figures = "select revenue_generated, calculated_cpl, calculated_roi from public.marketing_campaigns
                   where slug = 'spring'";
    let expected = json!({"revenue_generated": 40.00, "calculated_cpl": 12.50, "calculated_roi": 2.2});
    assert_eq!(app.rows(figures).await, [expected]);
}

#[tokio::test]
async fn recount_sets_campaigns_from_leads() {
    let app = begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply(paid()).await;
    lead(&app, "ada@example.com", Some(SPRING)).await;
    lead(&app, "b@example.com", Some(SPRING)).await;
    app.execute("update public.marketing_campaigns set total_leads = 9, revenue_generated = 9").await;
    app.execute("select ingest.recount_leads()").await;
    assert_eq!(campaign(&app, SPRING).await, json!({"leads": 2, "conversions": 1, "revenue": 4000}));
    let without_leads = json!({"leads": 9, "conversions": 0, "revenue": 9});
    assert_eq!(campaign(&app, AUTUMN).await, without_leads, "nothing is known of it but what it says itself");
}

/// Two campaigns and nobody in them.
async fn begin() -> TestApp {
    let app = TestApp::begin().await;
    make_campaigns(&app).await;
    app
}

async fn make_campaigns(app: &TestApp) {
    app.execute(&format!(
        "insert into public.marketing_campaigns (id, name, slug)
         values ('{SPRING}', 'Spring', 'spring'), ('{AUTUMN}', 'Autumn', 'autumn')"
    ))
    .await;
}

/// A lead that was made a day before anybody paid, whenever it is written.
async fn lead(app: &TestApp, address: &str, campaign: Option<&str>) {
    let campaign = campaign.map_or_else(|| "null".to_owned(), |id| format!("'{id}'"));
    app.execute(&format!(
        "insert into public.leads (email, campaign_id, created_at)
         values ('{address}', {campaign}, to_timestamp({}))",
        BEGIN - 86_400
    ))
    .await;
}

/// A lead that was made half a second into this one.
async fn lead_at(app: &TestApp, address: &str, campaign: &str, second: i64) {
    app.execute(&format!(
        "insert into public.leads (email, campaign_id, created_at)
         values ('{address}', '{campaign}', to_timestamp({second}.5))"
    ))
    .await;
}

async fn leads(app: &TestApp) -> Vec<Value> {
    let leads =
        "select status, converted_to_user_id as \"user\", conversion_value as value from public.leads";
    app.rows(leads).await
}

async fn campaign(app: &TestApp, id: &str) -> Value {
    let sums = format!(
        "select total_leads as leads, total_conversions as conversions, revenue_generated as revenue
         from public.marketing_campaigns where id = '{id}'"
    );
    app.rows(&sums).await.remove(0)
}

/// Ada pays 20.00 a month later.
fn renewal() -> Envelope {
    let mut invoice = paid_invoice("in_2", "cus_1", 2000);
    invoice["created"] = json!(PAID + 2_592_000);
    invoice["status_transitions"]["paid_at"] = json!(PAID + 2_592_000);
    stripe("evt_4", "invoice.paid", 2_592_010, invoice)
}

/// Ada signs up.
fn signed_up() -> Envelope {
    named("msg_1", ADA)
}

fn named(id: &str, user: Uuid) -> Envelope {
    let record =
        json!({"id": user, "email": "ada@example.com", "email_confirmed_at": "2026-02-01T00:00:00Z"});
    row(id, "INSERT", "auth.users", record, json!(null))
}

/// Ada paid 50.00 and got 10.00 back.
fn paid() -> Vec<Envelope> {
    let refund = json!({
        "id": "re_1", "object": "refund", "created": BEGIN + 50, "currency": "usd", "amount": 1000, "charge": "ch_1",
        "status": "succeeded"
    });
    let mut invoice = paid_invoice("in_1", "cus_1", 5000);
    invoice["charge"] = json!("ch_1");
    vec![
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "invoice.paid", 1, invoice),
        stripe("evt_3", "refund.created", 2, refund),
    ]
}
