//! Damage of every kind in every derived table is found and repaired, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::Duration;

use super::{NOW, PopulatedApp, run, store};
use crate::support::dump;

/// What is done to a table, and how many of its rows differ then.
type Damage = &'static [(&'static str, &'static str, i64)];

const CHANGED: Damage = &[
    (
        "ingest.stripe_facts",
        "update ingest.stripe_facts set state = state || '{\"amount\": 77}'
         where id = (select min(id) from ingest.stripe_facts where kind = 'charge')",
        1,
    ),
    (
        "ingest.claims",
        "update ingest.claims set claimed_users = '{x}'
         where object_id = (select min(object_id) from ingest.claims where strength = 1) and strength = 1",
        1,
    ),
    (
        "ingest.customer_emails",
        "update ingest.customer_emails set reported_at = reported_at + interval '1 day'
         where object_id = (select min(object_id) from ingest.customer_emails where role = 'given')",
        1,
    ),
    (
        "ingest.customers",
        "update ingest.customers set user_id = gen_random_uuid()
         where id = (select min(id) from ingest.customers where user_id is not null)",
        1,
    ),
    (
        "ingest.payments",
        "update ingest.payments set collected = collected + 1 where id = (select min(id) from ingest.payments)",
        1,
    ),
    (
        "ingest.customer_revenue",
        "update ingest.customer_revenue set mrr = mrr + 1, collected = collected - 1 where (customer_id, currency) in
             (select customer_id, currency from ingest.customer_revenue order by 1, 2 limit 3)",
        3,
    ),
    (
        "ingest.logins",
        "update ingest.logins set logged_in_at = logged_in_at + interval '1 second'
         where session_id = (select min(session_id) from ingest.logins)",
        1,
    ),
    (
        "ingest.row_facts",
        "update ingest.row_facts set amount = amount + 1
         where (relation, row_id) = (select relation, row_id from ingest.row_facts order by 1, 2 limit 1)",
        1,
    ),
    (
        "ingest.activity",
        "update ingest.activity set logins = logins + 1 where user_id in (select user_id from ingest.activity limit 1)",
        1,
    ),
    (
        "ingest.stripe_versions",
        "update ingest.stripe_versions set state = state || '{\"status\": \"paused\"}' where kind = 'subscription'
         and id = (select min(id) from ingest.stripe_versions where kind = 'subscription')
         and occurred_at = (select max(occurred_at) from ingest.stripe_versions o where o.id = stripe_versions.id)",
        1,
    ),
    (
        "ingest.sms_facts",
        "update ingest.sms_facts set status = 'failed', body = 'x' where sid = (select min(sid) from ingest.sms_facts)",
        1,
    ),
    (
        "ingest.sms_consent_ledger",
        "update ingest.sms_consent_ledger set opted_in = not opted_in
         where sid = (select min(sid) from ingest.sms_consent_ledger)",
        1,
    ),
    (
        "public.sms_consents",
        "update public.sms_consents set opted_in = not opted_in
         where number = (select min(number) from public.sms_consents)",
        1,
    ),
    (
        "public.sms_messages",
        "alter table public.sms_messages disable trigger user;
         update public.sms_messages set status = 'sent', twilio_status = 'sent' where status = 'delivered';
         alter table public.sms_messages enable trigger user",
        1,
    ),
    (
        "public.mrr_movements",
        "update public.mrr_movements set mrr_before = mrr_before + 1, mrr_after = mrr_after + 1,
             user_id = (select id from auth.users where id <> user_id limit 1)
         where id in (select id from public.mrr_movements where superseded_at is null order by id limit 2)",
        2,
    ),
    (
        "ingest.mrr_totals",
        "update ingest.mrr_totals set amount = amount + 5 where (currency, day, kind) in
             (select currency, day, kind from ingest.mrr_totals where movements > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "ingest.mrr_cohorts",
        "update ingest.mrr_cohorts set customers = customers + 1 where (currency, cohort, month) in
             (select currency, cohort, month from ingest.mrr_cohorts where amount > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "public.customer_subscriptions",
        "update public.customer_subscriptions set status = 'unpaid', trial_end = now(), promo_code = 'FRIEND'
         where stripe_subscription_id = (select min(stripe_subscription_id) from public.customer_subscriptions)",
        1,
    ),
    (
        "public.payment_history",
        "update public.payment_history set amount = amount + 1
         where id in (select id from public.payment_history order by id limit 3)",
        3,
    ),
    (
        "public.user_revenue_metrics",
        "update public.user_revenue_metrics set mrr = mrr + 1
         where user_id in (select user_id from public.user_revenue_metrics order by 1 limit 2)",
        2,
    ),
    (
        "public.user_revenue_by_currency",
        "update public.user_revenue_by_currency set ltv = ltv + 1
         where user_id = (select user_id from public.user_revenue_by_currency where currency = 'jpy')",
        2,
    ),
    (
        "public.user_activity_metrics",
        "update public.user_activity_metrics set total_logins = total_logins + 1, engagement_status = 'champion'
         where user_id in (select user_id from public.user_activity_metrics order by 1 limit 2)",
        2,
    ),
];

const DELETED: Damage = &[
    (
        "ingest.stripe_facts",
        "delete from ingest.stripe_facts where id = (select max(id) from ingest.stripe_facts where kind = 'charge')",
        1,
    ),
    (
        "ingest.stripe_links",
        "delete from ingest.stripe_links
         where (id, other) in (select id, other from ingest.stripe_links order by id, other limit 2)",
        2,
    ),
    (
        "ingest.claims",
        "delete from ingest.claims
         where strength = 1 and object_id = (select max(object_id) from ingest.claims where strength = 1)",
        1,
    ),
    (
        "ingest.customer_emails",
        "delete from ingest.customer_emails
         where object_id = (select max(object_id) from ingest.customer_emails where role = 'given')",
        1,
    ),
    (
        "ingest.customers",
        "delete from ingest.customers where id = (select max(id) from ingest.customers where user_id is not null)",
        1,
    ),
    ("ingest.payments", "delete from ingest.payments where id = (select max(id) from ingest.payments)", 1),
    ("ingest.customer_revenue", "delete from ingest.customer_revenue where currency = 'jpy'", 1),
    (
        "ingest.logins",
        "delete from ingest.logins where session_id = (select max(session_id) from ingest.logins)",
        1,
    ),
    (
        "ingest.row_facts",
        "delete from ingest.row_facts
         where (relation, row_id) = (select relation, row_id from ingest.row_facts order by 1, 2 limit 1)",
        1,
    ),
    (
        "ingest.activity",
        "delete from ingest.activity where user_id in (select user_id from ingest.activity limit 1)",
        1,
    ),
    (
        "ingest.parked",
        "delete from ingest.parked where (subject, reason) in (select subject, reason from ingest.parked limit 1)",
        1,
    ),
    (
        "ingest.stripe_versions",
        "delete from ingest.stripe_versions where id = (select min(id) from ingest.stripe_versions)
         and occurred_at = (select min(occurred_at) from ingest.stripe_versions o where o.id = stripe_versions.id)",
        1,
    ),
    (
        "ingest.sms_facts",
        "delete from ingest.sms_facts where sid = (select min(sid) from ingest.sms_facts)",
        1,
    ),
    (
        "ingest.sms_consent_ledger",
        "delete from ingest.sms_consent_ledger where sid = (select min(sid) from ingest.sms_consent_ledger)",
        1,
    ),
    (
        "public.sms_consents",
        "delete from public.sms_consents where number = (select min(number) from public.sms_consents)",
        1,
    ),
    (
        "public.sms_messages",
        "delete from public.sms_messages where twilio_sid = (select max(twilio_sid) from public.sms_messages)",
        1,
    ),
    (
        "public.mrr_movements",
        "delete from public.mrr_movements
         where id in (select id from public.mrr_movements where superseded_at is null order by id limit 2)",
        2,
    ),
    (
        "ingest.mrr_totals",
        "delete from ingest.mrr_totals where (currency, day, kind) in
             (select currency, day, kind from ingest.mrr_totals where movements > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "ingest.mrr_cohorts",
        "delete from ingest.mrr_cohorts where (currency, cohort, month) in
             (select currency, cohort, month from ingest.mrr_cohorts where amount > 0 order by 1, 2, 3 limit 1)",
        1,
    ),
    (
        "public.payment_history",
        "delete from public.payment_history where id in (select id from public.payment_history order by id limit 2)",
        2,
    ),
    (
        "public.user_revenue_metrics",
        "delete from public.user_revenue_metrics where user_id =
             (select user_id from public.user_revenue_metrics order by user_id limit 1)",
        1,
    ),
    (
        "public.user_revenue_by_currency",
        "delete from public.user_revenue_by_currency where currency = 'jpy'",
        1,
    ),
    (
        "public.user_activity_metrics",
        "delete from public.user_activity_metrics where user_id in
             (select user_id from public.user_activity_metrics order by user_id limit 1)",
        1,
    ),
];

const ADDED: Damage = &[
    (
        "ingest.stripe_facts",
        "insert into ingest.stripe_facts select 'cus_nobody', kind, null, occurred_at, final, event_id, tied, state
         from ingest.stripe_facts where kind = 'customer' limit 1",
        1,
    ),
    ("ingest.stripe_links", "insert into ingest.stripe_links values ('in_x', 'pi_x')", 1),
    (
        "ingest.claims",
        "insert into ingest.claims values ('cus_x', 1, 'cus_x', '{}', null, now(), now(), 'evt_x')",
        1,
    ),
    (
        "ingest.customer_emails",
        "insert into ingest.customer_emails values ('cus_x', 'x@example.com', 'cus_x', 'given', null, now(), 2, 'evt_x')",
        1,
    ),
    ("ingest.customers", "insert into ingest.customers values ('cus_x', gen_random_uuid(), 'metadata')", 1),
    (
        "ingest.payments",
        "insert into ingest.payments select 'in_x', customer_id, currency, 1, 0, 0, gen_random_uuid(), state
         from ingest.payments limit 1",
        1,
    ),
    ("ingest.customer_revenue", "insert into ingest.customer_revenue values ('cus_x', 'usd', 1)", 1),
    ("ingest.logins", "insert into ingest.logins values ('x', gen_random_uuid(), now())", 1),
    (
        "ingest.row_facts",
        "insert into ingest.row_facts values
             ('public.journal_entries', 'x', gen_random_uuid(), true, 0, now(), false, 'msg_x', false)",
        1,
    ),
    ("ingest.activity", "insert into ingest.activity values (gen_random_uuid(), 1)", 1),
    ("ingest.parked", "insert into ingest.parked values ('sub_x', 'no_tier', 'price_x', now())", 1),
    (
        "ingest.stripe_versions",
        "insert into ingest.stripe_versions select id, now(), final, kind, event_id, wants_lines, state
         from ingest.stripe_versions where kind = 'subscription' limit 1",
        1,
    ),
    (
        "ingest.sms_facts",
        "insert into ingest.sms_facts select 'SM_x', null, direction, from_number, to_number, body, media_urls, media_types,
             status, twilio_status, error_code, error_message, num_segments, messaging_service_sid, tied, received_at, state
         from ingest.sms_facts limit 1",
        1,
    ),
    (
        "ingest.sms_consent_ledger",
        "insert into ingest.sms_consent_ledger values ('SM_x', '1', null, null, true, true, 'keyword', 'START', now())",
        1,
    ),
    (
        "public.sms_consents",
        "insert into public.sms_consents values ('1', true, 'keyword', 'START', 'SM_x', now())",
        1,
    ),
    (
        "public.mrr_movements",
        "insert into public.mrr_movements
             (customer_id, currency, effective_at, recorded_at, kind, delta, mrr_before, mrr_after, calc_version)
         select customer_id, currency, '2020-02-02', now(), 'new', 1, 0, 1, 1 from public.mrr_movements limit 1",
        1,
    ),
    ("ingest.mrr_totals", "insert into ingest.mrr_totals values ('xts', '2020-02-02', 'new', 1, 5)", 1),
    ("ingest.mrr_cohorts", "insert into ingest.mrr_cohorts values ('xts', '2020-02-01', '2020-03-01', 1, 5)", 1),
    (
        "public.customer_subscriptions",
        "insert into public.customer_subscriptions
             (user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id)
         select s.user_id, s.membership_tier_id, s.stripe_customer_id, f.id
         from public.customer_subscriptions s, ingest.stripe_facts f
         where f.kind = 'subscription' and not exists (
             select from public.customer_subscriptions o where o.stripe_subscription_id = f.id)
         limit 1",
        1,
    ),
    (
        "public.payment_history",
        "insert into public.payment_history (id, user_id, amount, status)
         select (select history_id from ingest.payments where id = 'in_x'), user_id, 1, 'succeeded'
         from public.payment_history limit 1",
        1,
    ),
    (
        "public.user_revenue_metrics",
        "insert into public.user_revenue_metrics (user_id, mrr)
         select user_id, 5 from public.user_activity_metrics a
         where not exists (select from public.user_revenue_metrics r where r.user_id = a.user_id) limit 1",
        1,
    ),
    (
        "public.user_revenue_by_currency",
        "insert into public.user_revenue_by_currency (user_id, currency, mrr)
         select user_id, 'xts', 5 from public.user_revenue_metrics order by user_id limit 1",
        1,
    ),
];

#[tokio::test]
async fn consistent_tables_need_no_repair() {
    let populated = PopulatedApp::lived(1).await;
    populated.assert_sound("untouched").await;
    let before = dump::everything(&populated.database.pool).await;
    let (report, differences) = populated.rebuild().await;
    assert_eq!((report.differing_rows(), differences), (0, vec![]));
    let after = dump::everything(&populated.database.pool).await;
    assert_eq!(populated.text("select count(*) from ingest.audit_log").await, "(1)");
    dump::assert_same(&before, &after, "rebuilt");
    assert_eq!(populated.text("select nspname from pg_namespace where nspname = 'ingest_rebuild'").await, "");
}

/// A population with something parked, and with a subscription that has no row for it.
async fn populated() -> PopulatedApp {
    let populated = PopulatedApp::found(1).await;
    let events = populated.shuffled(7);
    populated.execute("delete from public.membership_tiers where name like '%Starter%'").await;
    super::apply(&populated.store, events).await;
    populated.end().await;
    populated
}

#[tokio::test]
async fn exactly_the_damaged_rows_are_repaired() {
    let populated = populated().await;
    let sound = dump::everything(&populated.database.pool).await;
    for damage in [CHANGED, DELETED, ADDED] {
        for (_, statement, _) in damage {
            populated.execute(statement).await;
        }
        let expected: BTreeMap<String, i64> =
            damage.iter().map(|(table, _, rows)| ((*table).to_owned(), *rows)).collect();
        let (report, differences) = populated.check().await;
        assert_eq!(report.differing, expected, "{differences:#?}");
        assert_eq!(report.differing_rows(), i64::try_from(differences.len()).unwrap());

        let (mended, _) = populated.rebuild().await;
        assert_eq!(mended.differing, expected);
        populated.assert_sound("mended").await;
        let mut after = dump::everything(&populated.database.pool).await;
        // What the application wrote into a row stays.
        for row in after.get_mut("public.customer_subscriptions").unwrap() {
            *row = row.replace("\"promo_code\": \"FRIEND\"", "\"promo_code\": null");
        }
        dump::assert_same(&sound, &after, "mended");
    }
    assert_eq!(
        populated.text("select act, count(*) from ingest.audit_log group by act").await,
        "(rebuild,3)"
    );
    assert_eq!(
        populated.text("select promo_code from public.customer_subscriptions where promo_code <> ''").await,
        "(FRIEND)"
    );
}

#[tokio::test]
async fn lost_subscription_is_restored_with_its_payments() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    let pointing: i64 = sqlx::query_scalar(
        "with lost as (delete from public.customer_subscriptions where stripe_subscription_id =
             (select max(stripe_subscription_id) from public.customer_subscriptions) returning id)
         select count(*) from public.payment_history where subscription_id in (select id from lost)",
    )
    .fetch_one(&populated.database.pool)
    .await
    .unwrap();
    let (report, _) = populated.rebuild().await;
    assert!(pointing > 0);
    assert_eq!(report.differing["public.customer_subscriptions"], 1);
    assert_eq!(report.differing["public.payment_history"], pointing);
    assert_eq!(report.differing.len(), 2);
    dump::assert_same(&sound, &dump::everything(&populated.database.pool).await, "mended");
}

#[tokio::test]
async fn difference_names_row_and_columns() {
    let populated = PopulatedApp::lived(1).await;
    populated
        .execute(
            "update public.user_revenue_metrics set mrr = 123456, subscription_tier = 'None such'
         where user_id = (select user_id from public.user_revenue_metrics order by user_id limit 1)",
        )
        .await;
    let (_, differences) = populated.check().await;
    let [difference] = &differences[..] else { panic!("{differences:#?}") };
    assert_eq!(difference.key.keys().collect::<Vec<_>>(), ["user_id"]);
    let before = Value::Object(difference.before.clone().unwrap());
    assert_eq!(before, serde_json::json!({"mrr": 123_456, "subscription_tier": "None such"}));
    let after = difference.after.clone().unwrap();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["mrr", "subscription_tier"]);
    assert_ne!(after["subscription_tier"], "None such");
}

#[tokio::test]
async fn all_tables_are_restored_from_events() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    populated.execute(
        "truncate ingest.stripe_facts, ingest.stripe_versions, public.mrr_movements, ingest.stripe_links, ingest.customers, ingest.claims, ingest.customer_emails, ingest.payments,
             ingest.customer_revenue, ingest.logins, ingest.row_facts, ingest.activity, ingest.parked,
             public.payment_history, public.customer_subscriptions, public.user_revenue_metrics,
             public.user_revenue_by_currency, public.user_activity_metrics",
    )
    .await;
    populated.rebuild().await;
    let after = dump::everything(&populated.database.pool).await;
    dump::assert_same(&sound, &after, "rebuilt from nothing");
}

#[tokio::test]
async fn ledger_repair_supersedes_movements() {
    let populated = PopulatedApp::lived(1).await;
    populated
        .execute(
            "update public.mrr_movements set delta = delta + 1, mrr_after = mrr_after + 1
         where id = (select min(id) from public.mrr_movements where superseded_at is null and delta <> -1)",
        )
        .await;
    let rows = "select count(*) from public.mrr_movements";
    let before = populated.text(rows).await;
    let (report, _) = populated.rebuild().await;
    assert_eq!(report.differing, BTreeMap::from([("public.mrr_movements".to_owned(), 1)]));
    assert_ne!(populated.text(rows).await, before, "the wrong one stays beside the right one");
    populated.assert_sound("mended").await;
}

#[tokio::test]
async fn manual_values_survive_a_rebuild() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(
        "update public.user_activity_metrics set engagement_status = 'at_risk', engagement_status_is_manual = true,
             health_status = 'churned', health_status_is_manual = true, custom_tags = '{vip}', admin_notes = 'call',
             tokens_used = 9",
    )
    .await;
    populated.assert_sound("set by hand").await;
    populated.execute("update public.user_activity_metrics set total_logins = 999").await;
    populated.rebuild().await;
    let hand = "select distinct engagement_status, health_status, custom_tags, admin_notes, tokens_used
                from public.user_activity_metrics";
    assert_eq!(populated.text(hand).await, "(at_risk,churned,{vip},call,9)");
    assert_eq!(
        populated.text("select 1 from public.user_activity_metrics where total_logins = 999").await,
        ""
    );
}

#[tokio::test]
async fn health_follows_manual_engagement() {
    let populated = PopulatedApp::lived(1).await;
    populated.execute(
        "update public.user_activity_metrics set engagement_status = 'at_risk', engagement_status_is_manual = true",
    )
    .await;
    // As the next event about them would have it.
    let users: Vec<uuid::Uuid> = sqlx::query_scalar("select user_id from public.user_activity_metrics")
        .fetch_all(&populated.database.pool)
        .await
        .unwrap();
    populated.store.recompute(BTreeSet::new(), users.into_iter().collect()).await.unwrap();
    assert_eq!(
        populated.text("select 1 from public.user_activity_metrics where health_status = 'healthy'").await,
        ""
    );
    populated.assert_sound("at risk by hand").await;
}

#[tokio::test]
async fn passing_time_is_not_a_difference() {
    let populated = PopulatedApp::lived(1).await;
    for days in [1, 8, 40, 400] {
        let later = store(&populated.database, NOW + Duration::days(days));
        let (_, differences) = run(&later, true).await.unwrap();
        assert_eq!(differences, [], "{days} days later");
    }
    // What has become overdue by then stays so: time does not go back.
    let later = store(&populated.database, NOW + Duration::days(400));
    populated.execute("update public.user_activity_metrics set engagement_status = 'champion'").await;
    let (report, _) = run(&later, false).await.unwrap();
    assert_eq!(report.differing.len(), 1, "{:?}", report.differing);
    let (_, differences) = run(&later, true).await.unwrap();
    assert_eq!(differences, [], "mended later, looked at from then");
}
