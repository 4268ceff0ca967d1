//! Twilio's API compared with the reports of messages: missed ones are found and joined.

use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::ops::reconcile::supabase;
use memberflow::ops::reconcile::twilio::{
    self, DriftedMessage, MessageDrift, Options, ReconcileError, Report,
};
use memberflow::ops::twilio_api::{SentRange, TwilioApi, TwilioApiError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sms::{OURS, THEIRS, callback, incoming, sid, text};
use crate::support::app::TestApp;
use crate::support::process::{Settings, memberflow};
use crate::support::twilio_api::{TwilioAccount, message};

const COMPARE: Options = Options { fix: false, sent: SentRange { since: None, until: None } };
const FIX: Options = Options { fix: true, sent: SentRange { since: None, until: None } };

async fn compared(
    account: &TwilioAccount,
    app: &TestApp,
    options: Options,
) -> Result<(Report, Vec<DriftedMessage>), ReconcileError> {
    let api = TwilioApi::new(&account.config(app.database.url())).unwrap().unwrap();
    let mut drifted = Vec::new();
    let show = |one: &DriftedMessage| drifted.push(one.clone());
    let report = twilio::run(&app.store, &api, options, &mut Progress::Silent, &mut None, show).await?;
    Ok((report, drifted))
}

/// Each message that differs in one line: `SM…1 status,error_code`.
async fn lines(account: &TwilioAccount, app: &TestApp, options: Options) -> Vec<String> {
    let line = |one: &DriftedMessage| {
        let fields: Vec<&str> = one.fields.iter().map(|field| field.field).collect();
        let how = if one.drift == MessageDrift::Missing { "missing".to_owned() } else { fields.join(",") };
        format!("{} {how}", one.sid.trim_start_matches("SM").trim_start_matches('0'))
    };
    let mut lines: Vec<String> = compared(account, app, options).await.unwrap().1.iter().map(line).collect();
    lines.sort();
    lines
}

fn inbound(number: u32, body: &str) -> Value {
    message(&sid(number), "inbound", THEIRS, OURS, body, "received")
}

fn outbound(number: u32, status: &str) -> Value {
    message(&sid(number), "outbound-api", OURS, THEIRS, "See you on Thursday", status)
}

fn with(mut message: Value, field: &str, value: Value) -> Value {
    message[field] = value;
    message
}

const ROWS: &str = "select string_agg(concat_ws('|', direction, body, status, twilio_status, error_code, error_message, num_segments,
        coalesce(array_to_string(media_urls, ','), '')), ';' order by twilio_sid) as t from public.sms_messages";

#[tokio::test]
async fn missed_messages_are_imported_once_with_consent() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    account.has(inbound(1, "Hello"));
    account.has(with(outbound(2, "undelivered"), "error_code", json!(30005)));
    account.has(with(inbound(3, "STOP"), "date_created", json!("Thu, 19 Nov 2026 13:00:00 +0000")));
    account.has(outbound(4, "delivered"));
    account.has(with(inbound(5, ""), "num_media", json!("1")));
    account.has_file(&sid(5), "ME1", "image/png");
    account.has(inbound(6, "Your code is 123456"));
    let all = ["1 missing", "2 missing", "3 missing", "4 missing", "5 missing", "6 missing"];
    assert_eq!(lines(&account, &app, COMPARE).await, all);
    assert!(app.rows("select * from ingest.events").await.is_empty(), "only looked at");
    assert_eq!(lines(&account, &app, FIX).await, all);
    assert_eq!(lines(&account, &app, FIX).await, [""; 0]);
    let media = format!(
        "https://api.twilio.com/2010-04-01/Accounts/{}/Messages/{}/Media/ME1",
        crate::support::receiver::TWILIO_ACCOUNT,
        sid(5)
    );
    let expected = [
        "inbound|Hello|received|received|1|".to_owned(),
        "outbound|See you on Thursday|failed|undelivered|30005|30005 Unknown destination handset|1|"
            .to_owned(),
        "inbound|STOP|received|received|1|".to_owned(),
        "outbound|See you on Thursday|delivered|delivered|1|".to_owned(),
        format!("inbound||received|received|1|{media}"),
        "inbound|(one-time code, not kept)|received|received|1|".to_owned(),
    ];
    assert_eq!(text(&app, ROWS).await, expected.join(";"));
    let consent = "select concat_ws(' ', opted_in::text, keyword, to_char(changed_at at time zone 'utc', 'DD HH24:MI')) as t
        from public.sms_consents";
    assert_eq!(text(&app, consent).await, "false STOP 19 13:00");

    // The callbacks come after all: nothing is doubled, and nothing is taken back.
    app.apply([incoming(1, 1, "Hello"), callback(4, 1, "sent", ""), incoming(3, 1, "STOP")]).await;
    assert_eq!(text(&app, ROWS).await, expected.join(";"));
    assert_eq!(lines(&account, &app, COMPARE).await, [""; 0]);
}

#[tokio::test]
async fn reported_messages_show_no_drift() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid)
         values ('outbound', '{OURS}', '{THEIRS}', 'See you on Thursday', 'sent', '{}')",
        sid(2)
    ))
    .await;
    app.apply([incoming(1, 1, "Hello"), callback(2, 1, "delivered", ""), callback(2, 2, "sent", "")]).await;
    account.has(inbound(1, "Hello"));
    account.has(outbound(2, "delivered"));
    let (report, drifted) = compared(&account, &app, COMPARE).await.unwrap();
    assert_eq!((report.messages, drifted), (2, Vec::new()));
}

#[tokio::test]
async fn lost_callbacks_and_texts_are_fixed() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    app.apply([callback(1, 1, "sent", "")]).await;
    app.apply([callback(2, 1, "delivered", ""), callback(2, 1, "undelivered", "30003")]).await;
    account.has(outbound(1, "delivered"));
    account.has(with(outbound(2, "undelivered"), "error_code", json!(30003)));
    let expected = ["1 body,status", "2 body,status,error_code,tied"];
    assert_eq!(lines(&account, &app, FIX).await, expected);
    let row = "select string_agg(concat_ws(' ', m.status, m.twilio_status, m.error_code, m.body, f.tied::text), ';' order by f.sid) as t
        from public.sms_messages m join ingest.sms_facts f on f.sid = m.twilio_sid";
    let expected =
        "delivered delivered See you on Thursday false;failed undelivered 30003 See you on Thursday false";
    assert_eq!(text(&app, row).await, expected);
    assert_eq!(lines(&account, &app, COMPARE).await, [""; 0]);
}

#[tokio::test]
async fn rate_limits_are_retried_and_the_next_run_finds_the_rest() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    for number in 1..=5 {
        account.has(inbound(number, "Hello"));
    }
    // Past the first token, which does not open: the second page is refused once, and the third for good.
    account.refuses(2, 429);
    account.refuses(4, 403);
    let Err(ReconcileError::Api(TwilioApiError::Refused { status: 403, .. })) =
        compared(&account, &app, FIX).await
    else {
        panic!("not refused");
    };
    assert_eq!(text(&app, "select count(*) as t from public.sms_messages").await, "4");
    assert_eq!(account.asked().len(), 5, "{:?}", account.asked());
    assert_eq!(lines(&account, &app, FIX).await, ["1 missing"]);
}

#[tokio::test]
async fn ended_run_says_where_to_resume() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    for number in 1..=6 {
        let sent = format!("Thu, 19 Nov 2026 12:00:0{number} +0000");
        account.has(with(inbound(number, "Hello"), "date_sent", json!(sent)));
    }
    let settings = settings(&account, &app);
    // Past the first token, which does not open: the first page comes, and the second does not.
    account.refuses(2, 403);
    let (code, _, stderr) = run(&settings, "backfill twilio").await;
    let hint = "`--until 2026-11-19T12:00:05Z` resumes there";
    assert!(code == 4 && stderr.contains(hint), "{stderr}");
    let begun = account.asked().len();
    let (code, stdout, stderr) = run(&settings, "backfill twilio --until 2026-11-19T12:00:05Z").await;
    assert!(code == 0 && stdout.contains("       5  messages, 4 not known, 0 differ\n"), "{stdout}{stderr}");
    assert!(account.asked()[begun].contains("DateSent%3C=2026-11-19T12%3A00%3A05Z"), "{:?}", account.asked());
    account.refuses(0, 403);
    let (_, _, stderr) = run(&settings, "reconcile twilio").await;
    assert!(stderr.contains("Nothing was read yet: run it again"), "{stderr}");
}

#[tokio::test]
async fn circular_list_ends_bad_messages_are_counted() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    account.has(json!({"sid": "SM1", "status": "received"}));
    let (report, _) = compared(&account, &app, FIX).await.unwrap();
    assert_eq!((report.messages, report.unreadable), (0, 1));
    account.repeats();
    let circle = compared(&account, &app, FIX).await;
    assert!(matches!(circle, Err(ReconcileError::Api(TwilioApiError::InvalidResponse(_)))), "{circle:?}");
}

#[tokio::test]
async fn messages_of_a_forgotten_person_stay_forgotten() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    app.apply([incoming(1, 1, "Hello")]).await;
    account.has(inbound(1, "Hello"));
    // What forgetting leaves: the event's name.
    app.execute("update ingest.inbox set body = '', pruned_at = now()").await;
    app.execute("delete from ingest.sms_facts").await;
    app.execute("delete from public.sms_messages").await;
    assert_eq!(lines(&account, &app, FIX).await, [""; 0]);
    assert!(app.rows("select * from public.sms_messages").await.is_empty());
}

#[tokio::test]
async fn forgotten_messages_without_report_or_row_stay_forgotten() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    let user = Uuid::from_u128(1);
    app.sign_up(user, "ann@example.com").await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, phone, is_active, is_draft) values ('{user}', '{THEIRS}', true, false)"
    ))
    .await;
    // A row that the application has deleted, and one of which no callback came.
    app.apply([incoming(1, 1, "Hello")]).await;
    app.execute("delete from public.sms_messages").await;
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, user_id)
         values ('outbound', '{OURS}', '{THEIRS}', 'See you on Thursday', 'sent', '{}', '{user}')",
        sid(2)
    ))
    .await;
    account.has(inbound(1, "Hello"));
    account.has(outbound(2, "delivered"));
    let plan = app.store.plan_forget("ann@example.com").await.unwrap().unwrap();
    assert_eq!(plan.crm.reports.all(), [sid(1)]);
    app.store.forget(&plan, "test").await.unwrap();

    rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert_eq!(lines(&account, &app, FIX).await, [""; 0]);
    for left in
        ["public.sms_messages", "ingest.sms_facts", "ingest.events where source = 'twilio' and body <> ''"]
    {
        assert_eq!(app.rows(&format!("select * from {left}")).await, [] as [Value; 0], "{left}");
    }
}

/// Bob has the number, too: the reports of the deleted row may be his.
#[tokio::test]
async fn reports_of_a_shared_number_are_left_alone() {
    let app = TestApp::begin().await;
    for (user, email) in [(1, "ann@example.com"), (2, "bob@example.com")] {
        let user = Uuid::from_u128(user);
        app.sign_up(user, email).await;
        app.execute(&format!(
            "insert into public.user_profiles (user_id, phone, is_active, is_draft) values ('{user}', '{THEIRS}', true, false)"
        ))
        .await;
    }
    app.apply([incoming(1, 1, "Hello")]).await;
    app.execute("delete from public.sms_messages").await;
    let plan = app.store.plan_forget("ann@example.com").await.unwrap().unwrap();
    assert_eq!(plan.crm.reports.all(), [""; 0]);
}

#[tokio::test]
async fn differing_rows_are_named_until_a_rebuild() {
    let app = TestApp::begin().await;
    app.apply([incoming(1, 1, "Hello"), incoming(2, 2, "Hi"), callback(3, 1, "sent", "")]).await;
    let found = async || {
        let mut found = Vec::new();
        let show = |it: &supabase::DriftedValue| {
            found.push((it.here.clone(), it.recount.clone(), it.fixed_by.command()));
        };
        supabase::run(&app.store, false, &mut Progress::Silent, show).await.unwrap();
        found.sort();
        found
    };
    assert_eq!(found().await, []);
    app.execute("alter table public.sms_messages disable trigger user").await;
    app.execute(&format!("update public.sms_messages set status = 'failed' where twilio_sid = '{}'", sid(1)))
        .await;
    app.execute(&format!("delete from public.sms_messages where twilio_sid = '{}'", sid(2))).await;
    app.execute("alter table public.sms_messages enable trigger user").await;
    let some = |text: String| Some(text);
    let gone = some(format!("{{\"twilio_sid\": \"{}\"}}", sid(2)));
    let (here, recount) =
        (some("{\"status\": \"failed\"}".to_owned()), some("{\"status\": \"received\"}".to_owned()));
    let rebuild = "memberflow rebuild";
    assert_eq!(found().await, [(None, gone, rebuild), (here, recount, rebuild)]);
    memberflow::ops::rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert_eq!(found().await, []);
}

fn settings(account: &TwilioAccount, app: &TestApp) -> Settings {
    vec![
        ("DATABASE_URL", app.database.url()),
        ("TWILIO_ACCOUNT_SID", crate::support::receiver::TWILIO_ACCOUNT.to_owned()),
        ("TWILIO_AUTH_TOKENS", crate::support::receiver::TWILIO_TOKENS.to_owned()),
        ("TWILIO_API_BASE", account.base.clone()),
    ]
}

async fn run(settings: &Settings, args: &str) -> (i32, String, String) {
    let (settings, args) = (settings.clone(), args.to_owned());
    let output =
        tokio::task::spawn_blocking(move || memberflow(&settings).args(args.split(' ')).output().unwrap());
    let output = output.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn twilio_commands_print_drift_and_exit_codes() {
    let (account, app) = (TwilioAccount::open().await, TestApp::begin().await);
    account.has(inbound(1, "Hello"));
    app.apply([callback(2, 1, "sent", "")]).await;
    account.has(outbound(2, "delivered"));
    let mut settings = settings(&account, &app);
    let (code, stdout, stderr) = run(&settings, "reconcile twilio").await;
    assert_eq!(code, 6, "{stdout}{stderr}");
    assert!(stdout.contains(&format!("inbound {}: not known here\n", sid(1))), "{stdout}");
    let line = "here -> at Twilio\n    body: null -> \"See you on Thursday\"\n    status: \"sent\" -> \"delivered\"\n";
    assert!(stdout.contains(line), "{stdout}");
    assert!(
        stdout.contains("messages that differ: 2; `memberflow reconcile twilio --fix` fixes them"),
        "{stdout}"
    );
    let (code, stdout, _) = run(&settings, "reconcile twilio --json").await;
    let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((code, &summary["summary"]["missing"]), (6, &json!(1)));

    let (code, stdout, stderr) = run(&settings, "backfill twilio --since 2026-01-01").await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("       2  messages, 1 not known, 1 differ\n"), "{stdout}");
    assert!(account.asked().iter().any(|it| it.contains("DateSent%3E=2026-01-01T00%3A00%3A00Z")));
    let (code, stdout, _) = run(&settings, "reconcile twilio --fix").await;
    assert!(code == 0 && stdout.contains("no drift: the messages match Twilio"), "{stdout}");
    let audit = app.rows("select act, outcome -> 'mended' as mended from ingest.audit_log").await;
    assert_eq!(audit, [json!({"act": "reconcile twilio", "mended": 2})]);

    settings[2].1 = "not-the-token-of-this-account".to_owned();
    let (code, _, stderr) = run(&settings, "reconcile twilio").await;
    assert!(
        code == 4 && stderr.contains("Twilio answered 401: Authenticate; set TWILIO_ACCOUNT_SID"),
        "{stderr}"
    );
    settings.remove(2);
    let (code, _, stderr) = run(&settings, "backfill twilio").await;
    assert!(code == 2 && stderr.contains("TWILIO_AUTH_TOKENS are not both set"), "{stderr}");
}
