//! Compares the members' rows with a recount, and the facts with their tables.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::Envelope;
use memberflow::ops::backfill::tables;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::supabase::{self, DriftedValue, FixedBy, Report};
use memberflow::project::supabase::ActivityTables;
use memberflow::store::backfill::ImportScope;
use memberflow::store::{Store, StoreSettings};
use serde_json::json;
use uuid::Uuid;

use super::charge;
use crate::support::app::{NOW, TestApp, customer, row, stripe, subscription};
use crate::support::process::memberflow;

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);
const OTHER: Uuid = Uuid::from_u128(0xbbbb_bbbb_bbbb_4bbb_8bbb_bbbb_bbbb_bbbb);

fn row_events() -> Vec<Envelope> {
    let at = "2026-11-19T12:00:00Z";
    let id = |number: u128| Uuid::from_u128(number);
    let file = json!({"id": id(1), "owner_id": MEMBER, "metadata": {"size": 1_048_576}, "updated_at": at});
    let vision = json!({"id": id(2), "user_id": MEMBER, "is_draft": false, "updated_at": at});
    let entry = json!({"id": id(3), "user_id": MEMBER, "updated_at": at});
    let session = json!({"id": id(4), "user_id": MEMBER, "created_at": at});
    let null = json!(null);
    vec![
        row("wh_1", "INSERT", "storage.objects", file, null.clone()),
        row("wh_2", "INSERT", "public.vision_versions", vision, null.clone()),
        row("wh_3", "INSERT", "public.journal_entries", entry, null.clone()),
        row("wh_4", "INSERT", "auth.sessions", session, null),
    ]
}

/// A consistent member with rows.
async fn in_step() -> TestApp {
    TestApp::prepared("in step", make_in_step).await
}

async fn make_in_step(app: &TestApp) {
    app.store.initial_import().await.unwrap();
    app.name_tier("Pro", "price_pro").await;
    app.sign_up(MEMBER, "ada@example.com").await;
    app.sign_up(OTHER, "bob@example.com").await;
    app.execute(&format!(
        "insert into storage.objects (id, owner_id, metadata) values ('{}', '{MEMBER}', '{{\"size\": 1048576}}')",
        Uuid::from_u128(1)
    ))
    .await;
    for (table, id) in [("vision_versions", 2), ("journal_entries", 3)] {
        let id = Uuid::from_u128(id);
        app.execute(&format!("insert into public.{table} (id, user_id) values ('{id}', '{MEMBER}')")).await;
    }
    app.execute("update public.vision_versions set is_draft = false").await;
    app.execute(&format!(
        "insert into auth.sessions (id, user_id, created_at) values ('{}', '{MEMBER}', now() + interval '1 year')",
        Uuid::from_u128(4)
    ))
    .await;
    app.apply(row_events()).await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 0, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "charge.succeeded", 0, charge("ch_1", "cus_1", 500)),
    ])
    .await;
}

async fn compared(app: &TestApp, fix: bool) -> (Report, Vec<String>) {
    let mut lines = Vec::new();
    let show = |it: &DriftedValue| {
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        lines.push(format!(
            "{} {} -> {} by {}",
            it.field,
            value(&it.here),
            value(&it.recount),
            it.fixed_by.command()
        ));
    };
    let report = supabase::run(&app.store, fix, &mut Progress::Silent, show).await.unwrap();
    (report, lines)
}

#[tokio::test]
async fn consistent_members_show_no_drift() {
    let app = in_step().await;
    let (report, lines) = compared(&app, false).await;
    assert_eq!((lines, report), (Vec::new(), Report::default()));
}

#[tokio::test]
async fn rows_that_differ_from_counts_are_rederived() {
    let app = in_step().await;
    app.execute(
        "update public.user_activity_metrics set total_logins = 9, s3_file_count = 0, total_storage_mb = 2",
    )
    .await;
    app.execute("update public.user_revenue_metrics set mrr = 7, ltv = 7").await;
    app.execute("delete from public.user_revenue_by_currency").await;
    let fix = FixedBy::Reconcile.command();
    let expected = [
        format!("public.user_activity_metrics.total_logins 9 -> 1 by {fix}"),
        format!("public.user_activity_metrics.s3_file_count 0 -> 1 by {fix}"),
        format!("public.user_activity_metrics.total_storage_mb 2.00 -> 1.00 by {fix}"),
        format!("public.user_revenue_by_currency.mrr  -> {{\"usd\": 1000}} by {fix}"),
        format!("public.user_revenue_by_currency.total_spent  -> {{\"usd\": 500}} by {fix}"),
        format!("public.user_revenue_by_currency.ltv  -> {{\"usd\": 500}} by {fix}"),
        format!("public.user_revenue_metrics.mrr 7 -> 1000 by {fix}"),
        format!("public.user_revenue_metrics.ltv 7 -> 500 by {fix}"),
    ];
    assert_eq!(compared(&app, false).await.1, expected);
    let (report, lines) = compared(&app, true).await;
    assert_eq!((lines.as_slice(), report.fixed_members, report.differing.len()), (&expected[..], 1, 0));
    assert_eq!(compared(&app, false).await.1, [""; 0]);
}

#[tokio::test]
async fn wrong_lead_conversions_are_fixed() {
    let app = in_step().await;
    let lead = Uuid::from_u128(9);
    app.execute(&format!(
        "insert into public.leads (id, email, created_at) values ('{lead}', 'Ada@example.com', '2025-12-01')"
    ))
    .await;
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    // As somebody leaves them who works past the triggers.
    let behind = "do $$ begin set local session_replication_role = replica; update public.leads set";
    let fix = FixedBy::Reconcile.command();
    app.execute(&format!("{behind} conversion_value = 1; end $$")).await;
    let value = format!("public.leads.conversion_value {{\"{lead}\": 1}} -> {{\"{lead}\": 500}} by {fix}");
    assert_eq!(compared(&app, true).await.1, [value]);
    app.execute(&format!("{behind} converted_to_user_id = null, status = 'new'; end $$")).await;
    let conversion = format!("public.leads.converted_to_user_id (leads to convert)  -> 1 by {fix}");
    assert_eq!(compared(&app, true).await.1, [conversion]);
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    let leads = app.rows("select status, converted_to_user_id, conversion_value from public.leads").await;
    // Moved behind the first payment, it led to nothing.
    let moved = "do $$ begin set local session_replication_role = replica;
                 update public.leads set created_at = '2026-06-01'; end $$";
    app.execute(moved).await;
    let already = format!("public.leads.converted_to_user_id (leads of members already) 1 ->  by {fix}");
    assert_eq!(compared(&app, true).await.1[0], already);
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    assert_eq!(app.rows("select status from public.leads").await, [json!({"status": "new"})]);
    let converted = json!({"status": "converted", "converted_to_user_id": MEMBER, "conversion_value": 500});
    assert_eq!(leads, [converted]);
}

#[tokio::test]
async fn wrong_campaign_sums_are_recounted() {
    let app = in_step().await;
    let (spring, autumn) = (Uuid::from_u128(20), Uuid::from_u128(21));
    app.execute(&format!(
        "insert into public.marketing_campaigns (id, name, slug, total_spent)
         values ('{spring}', 'Spring', 'spring', 1000), ('{autumn}', 'Autumn', 'autumn', 7)"
    ))
    .await;
    for email in ["ada@example.com", "Ada@example.com", "nobody@example.com"] {
        app.execute(&format!(
            "insert into public.leads (email, campaign_id, created_at) values ('{email}', '{spring}', '2025-12-01')"
        ))
        .await;
    }
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    let behind = "do $$ begin set local session_replication_role = replica;";
    let campaign = "public.marketing_campaigns";
    let fix = FixedBy::Reconcile.command();
    // Sums that went astray; one that its campaign's leads never reported stays as the application has it.
    app.execute(&format!(
        "{behind} update {campaign} set total_leads = 9, total_conversions = 0, revenue_generated = 1,
                         calculated_cpl = 5, calculated_roi = null where id = '{spring}';
                  update {campaign} set total_leads = 3 where id = '{autumn}'; end $$"
    ))
    .await;
    let lines = compared(&app, false).await.1;
    assert_eq!(
        lines[..3],
        [
            format!("{campaign}.total_leads 9 -> 3 by {fix}"),
            format!("{campaign}.total_conversions 0 -> 1 by {fix}"),
            format!("{campaign}.revenue_generated 1 -> 500 by {fix}"),
        ]
    );
    assert!(
        lines.len() == 5 && lines[4].starts_with(&format!("{campaign}.calculated_roi  -> ")),
        "{lines:?}"
    );
    let (report, _) = compared(&app, true).await;
    assert_eq!((report.fixed_campaigns, report.differing.len()), (1, 0));
    // A lead that went past the triggers.
    app.execute(&format!("{behind} delete from public.leads where email = 'nobody@example.com'; end $$"))
        .await;
    assert_eq!(compared(&app, true).await.1, [format!("{campaign}.total_leads 3 -> 2 by {fix}"),]);
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    let sums = app
        .rows(&format!(
            "select total_leads, total_conversions, revenue_generated, calculated_cpl, calculated_roi
             from {campaign} order by slug desc"
        ))
        .await;
    let spring = json!({"total_leads": 2, "total_conversions": 1, "revenue_generated": 500,
                        "calculated_cpl": 500, "calculated_roi": -0.5});
    assert_eq!((&sums[0], &sums[1]["total_leads"]), (&spring, &json!(3)));
}

#[tokio::test]
async fn configured_tables_are_compared() {
    let mut app = in_step().await;
    let table = "public.audio_tracks:owner:audio_generated_count:kind=song".parse().unwrap();
    let further = "public.letters:owner:journal_entry_count".parse().unwrap();
    let config = Config {
        activity_tables: ActivityTables::default().with(table).with(further),
        ..crate::support::config(app.database.url())
    };
    app.store = Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
    app.execute("create table public.audio_tracks (id bigint primary key, owner uuid, kind text)").await;
    app.execute("create table public.letters (id bigint primary key, owner uuid)").await;
    let backfill =
        async || tables::run(&app.store, &[ImportScope::Activity], &mut Progress::Silent).await.unwrap();
    app.execute(&format!(
        "insert into public.audio_tracks values (1, '{MEMBER}', 'song'), (2, '{MEMBER}', 'noise'), (3, null, 'song')"
    ))
    .await;
    app.execute(&format!("insert into public.letters values (1, '{MEMBER}')")).await;
    let by = FixedBy::Backfill.command();
    assert_eq!(
        compared(&app, false).await.1,
        [
            format!("public.audio_tracks (audio_tracks)  -> 1 by {by}"),
            format!("public.letters (journal_entries)  -> 1 by {by}"),
        ]
    );
    backfill().await;
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    let (fix, rebuild) = (FixedBy::Reconcile.command(), FixedBy::Rebuild.command());
    app.execute("update public.user_activity_metrics set audio_generated_count = 4").await;
    let shown = format!("public.user_activity_metrics.audio_generated_count 4 -> 1 by {fix}");
    assert!(compared(&app, true).await.1.contains(&shown));
    assert_eq!(compared(&app, false).await.1, [""; 0]);
    app.execute("update ingest.activity set journal_entries = 1 where journal_entries = 2").await;
    let kept = format!("ingest.activity.journal_entries 1 -> 2 by {rebuild}");
    assert!(compared(&app, false).await.1.contains(&kept));
    app.execute("drop table public.audio_tracks").await;
    assert_eq!(compared(&app, false).await.0.skipped, ["public.audio_tracks".to_owned()].into());
}

/// A login that only the audit log knew of, within a second of its session.
#[tokio::test]
async fn login_with_two_kinds_of_evidence_is_no_drift() {
    let app = in_step().await;
    app.execute(&format!(
        "insert into auth.audit_log_entries (instance_id, id, payload, created_at)
         select '00000000-0000-0000-0000-000000000000', gen_random_uuid(),
                json_build_object('action', 'login', 'actor_id', '{MEMBER}'), timestamptz '2026-11-19T12:00:00Z' + n
         from unnest(array[interval '0.5 s', interval '-1 day']) n"
    ))
    .await;
    tables::run(&app.store, &[ImportScope::Activity], &mut Progress::Silent).await.unwrap();
    let session = row(
        "wh_5",
        "INSERT",
        "auth.sessions",
        json!({"id": Uuid::from_u128(5), "user_id": MEMBER, "created_at": "2026-11-18T12:00:00Z"}),
        json!(null),
    );
    app.apply([session]).await;
    assert_eq!(compared(&app, false).await.1, [""; 0]);
}

#[tokio::test]
async fn differing_counts_name_the_fixing_command() {
    let app = in_step().await;
    app.execute("update ingest.activity set journal_entries = 5").await;
    app.execute(&format!("insert into public.vision_versions (user_id, is_draft) values ('{OTHER}', false)"))
        .await;
    app.execute(&format!("insert into storage.objects (owner_id) values ('{OTHER}'), ('no user'), (null)"))
        .await;
    app.execute(&format!(
        "insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), '{OTHER}', now() + interval '1 year')"
    ))
    .await;
    let (report, lines) = compared(&app, true).await;
    assert_eq!(
        lines,
        [
            "auth.sessions (logins)  -> 1 by memberflow backfill activity",
            "public.user_activity_metrics.journal_entry_count 1 -> 5 by memberflow reconcile supabase --fix",
            "ingest.activity.journal_entries 5 -> 1 by memberflow rebuild",
            "public.vision_versions (visions)  -> 1 by memberflow backfill activity",
            "storage.objects (files)  -> 1 by memberflow backfill activity",
        ]
    );
    let left: Vec<_> = report.differing.into_iter().collect();
    assert_eq!(left, [("memberflow backfill activity", 3), ("memberflow rebuild", 1)]);
}

#[tokio::test]
async fn command_prints_drift_and_its_fix() {
    let app = in_step().await;
    app.execute("update public.user_activity_metrics set vision_count = 4").await;
    app.execute("drop table public.journal_entries").await;
    let settings = vec![("DATABASE_URL", app.database.url())];
    let run = async |args: &str| {
        let (settings, args) = (settings.clone(), args.to_owned());
        let output = tokio::task::spawn_blocking(move || {
            memberflow(&settings).args(args.split(' ')).output().unwrap()
        });
        let output = output.await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, stdout) = run("reconcile supabase").await;
    let line = format!("{MEMBER} public.user_activity_metrics.vision_count: here 4 -> counted 1\n");
    assert!(code == 6 && stdout.contains(&line), "{stdout}");
    assert!(stdout.contains("missing or unreadable: public.journal_entries"), "{stdout}");
    assert!(
        stdout.ends_with("fields that differ: 1; `memberflow reconcile supabase --fix` fixes them\n"),
        "{stdout}"
    );
    let (code, stdout) = run("reconcile supabase --fix --json").await;
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (code, &last["summary"]["mended_members"], &last["summary"]["differing"]),
        (3, &json!(1), &json!({}))
    );
}
