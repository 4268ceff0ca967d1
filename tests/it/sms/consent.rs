//! Who may be texted: the ledger, the answer for a number, and the columns that follow.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::{Envelope, twilio};
use memberflow::ops::members;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::{Store, StoreSettings};
use serde_json::json;
use time::Duration;
use time::format_description::well_known::Rfc2822;

use super::{OURS, THEIRS, begin, callback, event, incoming, member_with_phone, sid, text};
use crate::support::app::{NOW, TestApp};
use crate::support::receiver::TWILIO_ACCOUNT;

async fn answer(app: &TestApp) -> String {
    let row = "select coalesce(string_agg(concat_ws(' ', opted_in::text, source, keyword, twilio_sid), ';'), 'nothing') as t
        from public.sms_consents where number = '12025550112'";
    text(app, row).await
}

/// Applies the events in every rotation of their order, each on empty tables; all must end the same.
async fn ends(app: &TestApp, events: &[Envelope], expected: &str) {
    for turn in 0..events.len() {
        for reversed in [false, true] {
            let mut order = events.to_vec();
            order.rotate_left(turn);
            if reversed {
                order.reverse();
            }
            for event in order {
                app.apply([event]).await;
            }
            assert_eq!(answer(app).await, expected, "{turn} {reversed}");
            app.empty(&[
                "public.sms_messages",
                "public.sms_consents",
                "ingest.sms_consent_ledger",
                "ingest.sms_facts",
                "ingest.inbox",
            ])
            .await;
        }
    }
}

fn through(message: u32, second: i64, body: &str, to: &str, service: &str) -> Envelope {
    event(message, second, &[("From", THEIRS), ("To", to), ("Body", body), ("MessagingServiceSid", service)])
}

#[tokio::test]
async fn latest_keyword_per_sender_decides_in_any_order() {
    let app = TestApp::begin().await;
    let (s1, s2, s3) = (sid(1), sid(2), sid(3));
    for (events, expected) in [
        (vec![incoming(1, 1, "STOP")], format!("false keyword STOP {s1}")),
        (vec![incoming(1, 1, "STOP"), incoming(2, 2, "start")], format!("true keyword START {s2}")),
        (
            vec![incoming(1, 1, "START"), incoming(2, 2, "Stop it"), incoming(3, 3, "stop")],
            format!("false keyword STOP {s3}"),
        ),
        (vec![incoming(1, 1, "Yes")], "nothing".to_owned()),
        (vec![incoming(1, 1, "QUIT"), incoming(2, 2, "Yes")], format!("true keyword YES {s2}")),
        (vec![incoming(1, 1, "Yes"), incoming(2, 2, "QUIT")], format!("false keyword QUIT {s2}")),
        (vec![callback(1, 1, "failed", "21610")], format!("false error_21610 {s1}")),
        (
            vec![callback(1, 1, "failed", "21610"), incoming(2, 2, "UNSTOP")],
            format!("true keyword UNSTOP {s2}"),
        ),
        (vec![incoming(1, 1, "Hello"), incoming(2, 2, "HELP")], "nothing".to_owned()),
    ] {
        ends(&app, &events, &expected).await;
    }
}

#[tokio::test]
async fn opt_out_of_one_sender_is_not_undone_by_another() {
    let app = TestApp::begin().await;
    let (s1, s2) = (sid(1), sid(2));
    let other = "+15550101";
    for (events, expected) in [
        (
            vec![through(1, 1, "STOP", OURS, ""), through(2, 2, "START", other, "")],
            format!("false keyword STOP {s1}"),
        ),
        (
            vec![through(1, 1, "STOP", OURS, "MG1"), through(2, 2, "START", other, "MG1")],
            format!("true keyword START {s2}"),
        ),
        (
            vec![through(1, 1, "STOP", OURS, "MG1"), through(2, 2, "START", OURS, "")],
            format!("true keyword START {s2}"),
        ),
    ] {
        ends(&app, &events, &expected).await;
    }
}

#[tokio::test]
async fn opt_out_type_takes_precedence_over_text() {
    let app = TestApp::begin().await;
    let stop = event(1, 1, &[("From", THEIRS), ("To", OURS), ("Body", "ARRET"), ("OptOutType", "STOP")]);
    ends(&app, &[stop], &format!("false opt_out_type ARRET {}", sid(1))).await;
    let help = event(1, 1, &[("From", THEIRS), ("To", OURS), ("Body", "END"), ("OptOutType", "HELP")]);
    ends(&app, &[help], "nothing").await;
}

async fn columns(app: &TestApp) -> String {
    let rows = "select concat_ws(' ', (select concat_ws('/', sms_opt_in, sms_opt_out_date is not null, sms_consent_date is not null) from public.leads),
                    (select sms_opt_in::text from public.user_accounts)) as t";
    text(app, rows).await
}

async fn with_columns() -> TestApp {
    let app = TestApp::begin().await;
    let user = member_with_phone(&app, 0xa, "202-555-0112").await;
    app.execute("create table public.user_accounts (id uuid primary key, phone text, sms_opt_in boolean, sms_opt_in_date timestamptz)").await;
    app.execute(&format!("insert into public.user_accounts values ('{user}', '{THEIRS}', true, null)")).await;
    app.execute("insert into public.leads (type, email, phone, sms_opt_in) values ('demo', 'l@example.com', '2025550112', true)").await;
    app
}

#[tokio::test]
async fn consent_columns_follow_text_messages() {
    let app = with_columns().await;
    app.apply([incoming(1, 1, "STOP")]).await;
    assert_eq!(columns(&app).await, "f/t/f false");
    app.apply([incoming(2, 2, "START")]).await;
    assert_eq!(columns(&app).await, "t/t/t true");
    // Somebody takes consent away in a form: a text that says nothing of it does not give it back.
    app.execute("update public.user_accounts set sms_opt_in = false").await;
    app.apply([incoming(3, 3, "Thanks")]).await;
    assert_eq!(columns(&app).await, "t/t/t false");
}

#[tokio::test]
async fn only_configured_consent_tables_follow() {
    let app = with_columns().await;
    let config =
        Config { sms_consent_tables: vec!["leads".to_owned()], ..crate::support::config(app.database.url()) };
    let store = Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
    store.apply(&[incoming(1, 1, "STOP")]).await.unwrap();
    assert_eq!(columns(&app).await, "f/t/f true");
}

#[tokio::test]
async fn member_shows_consent_and_its_message() {
    let app = with_columns().await;
    let user = uuid::Uuid::from_u128(0xa);
    let shown = async || {
        let member = members::show(&app.database.pool, user, "1", NOW).await.unwrap().unwrap();
        serde_json::to_value(member.texting).unwrap()
    };
    assert_eq!(shown().await["may_be_texted"], true, "the account's form says so");
    app.apply([incoming(1, 1, "Please stop")]).await;
    assert_eq!(shown().await["numbers"].as_array().unwrap().len(), 0);
    app.apply([incoming(2, 2, "Stop.")]).await;
    let said = shown().await;
    assert_eq!(said["may_be_texted"], false);
    let number = &said["numbers"][0];
    assert_eq!(
        (&number["number"], &number["body"], &number["twilio_sid"]),
        (&THEIRS.into(), &"Stop.".into(), &sid(2).into())
    );
    app.apply([incoming(3, 3, "START")]).await;
    assert_eq!(shown().await["may_be_texted"], true);
    app.execute("update public.user_accounts set sms_opt_in = false").await;
    assert_eq!(shown().await["may_be_texted"], false, "a form said no after that");
}

#[tokio::test]
async fn earlier_consent_applies_once_number_is_known() {
    let app = TestApp::begin().await;
    app.apply([incoming(1, 1, "STOP")]).await;
    app.execute("insert into public.leads (type, email, phone, sms_opt_in) values ('demo', 'l@example.com', '2025550112', true)").await;
    app.store_at(NOW + time::Duration::minutes(2)).recompute_due().await.unwrap();
    assert_eq!(text(&app, "select sms_opt_in::text as t from public.leads").await, "false");
}

/// The message of the pair as Twilio's API lists it.
fn listed(message: u32, number: &str, body: &str) -> Envelope {
    let at = (begin() + Duration::seconds(50)).format(&Rfc2822).unwrap();
    let shown = json!({
        "sid": sid(message), "account_sid": TWILIO_ACCOUNT, "direction": "inbound", "status": "received",
        "from": number, "to": OURS, "body": body, "date_created": at, "date_updated": at,
    });
    twilio::from_api(&shown, &[], begin() + Duration::seconds(60)).unwrap().envelope
}

/// What may be reported of one message, whichever report comes first.
fn reports(message: u32, number: &str) -> Vec<Envelope> {
    let webhook = |body: &str, kind: &str| {
        let mut parameters = vec![("From", number), ("To", OURS), ("Body", body)];
        parameters.extend((!kind.is_empty()).then_some(("OptOutType", kind)));
        event(message, 55, &parameters)
    };
    vec![
        listed(message, number, "END"),
        listed(message, number, "START"),
        listed(message, number, "Hello"),
        webhook("END", "HELP"),
        webhook("END", ""),
        webhook("end", "START"),
        webhook("Thanks", ""),
        event(
            message,
            56,
            &[("From", OURS), ("To", number), ("MessageStatus", "failed"), ("ErrorCode", "21610")],
        ),
    ]
}

/// Those of them that are the webhook of an incoming message.
const WEBHOOKS: std::ops::Range<usize> = 3..7;

/// Consent of one number, wherever it is written.
async fn consent_of(app: &TestApp, number: &str) -> String {
    let digits = number.trim_start_matches('+');
    let rows = format!(
        "select concat_ws(' | ',
            (select string_agg(concat_ws(' ', opted_in, source, keyword, received_at), ',' order by received_at)
             from ingest.sms_consent_ledger where number = '{digits}'),
            (select concat_ws(' ', opted_in, source, keyword, changed_at) from public.sms_consents where number = '{digits}'),
            (select sms_opt_in::text from public.leads where phone = '{number}')) as t"
    );
    text(app, &rows).await
}

#[tokio::test]
async fn consent_is_the_same_in_both_orders_of_any_two_reports() {
    let app = TestApp::begin().await;
    let kinds = reports(0, THEIRS).len();
    let mut message = 100;
    // Alone, and after an earlier opt-in or opt-out.
    for earlier in ["", "START", "STOP"] {
        for (first, second) in (0..kinds).flat_map(|a| (a + 1..kinds).map(move |b| (a, b))) {
            // Of one message Twilio posts one webhook: another is a repeat of it.
            if WEBHOOKS.contains(&first) && WEBHOOKS.contains(&second) {
                continue;
            }
            let mut ends = Vec::new();
            for order in [[first, second], [second, first]] {
                message += 2;
                let number = format!("+1202666{message:04}");
                app.execute(&format!(
                    "insert into public.leads (type, email, phone, sms_opt_in)
                     values ('demo', '{message}@example.com', '{number}', {})",
                    first % 2 == 0
                ))
                .await;
                if !earlier.is_empty() {
                    app.apply([event(message + 1, 1, &[("From", &number), ("To", OURS), ("Body", earlier)])])
                        .await;
                }
                for report in order {
                    app.apply([reports(message, &number).swap_remove(report)]).await;
                }
                ends.push(consent_of(&app, &number).await);
            }
            assert_eq!(ends[0], ends[1], "reports {first} and {second} after {earlier:?}");
        }
    }
    let mut differences = Vec::new();
    let show = |difference| {
        differences.push(difference);
        true
    };
    let report = rebuild::run(&app.store, true, &mut Progress::Silent, show).await.unwrap();
    assert_eq!(differences, []);
    assert_eq!(report.differing_rows(), 0);
}

#[tokio::test]
async fn withdrawn_opt_out_gives_columns_back_unless_the_application_changed_them() {
    let help = || event(1, 55, &[("From", THEIRS), ("To", OURS), ("Body", "END"), ("OptOutType", "HELP")]);
    let app = with_columns().await;
    app.apply([listed(1, THEIRS, "END")]).await;
    assert_eq!(
        (columns(&app).await, answer(&app).await),
        ("f/t/f false".to_owned(), format!("false keyword END {}", sid(1)))
    );
    app.apply([help()]).await;
    assert_eq!((columns(&app).await.as_str(), answer(&app).await.as_str()), ("t/f/f true", "nothing"));

    let app = with_columns().await;
    app.apply([listed(1, THEIRS, "START")]).await;
    app.execute("update public.leads set sms_opt_in = false").await;
    app.apply([help()]).await;
    assert_eq!(columns(&app).await, "f/f/f true", "a form said no since");
}

#[tokio::test]
async fn rebuild_repairs_consent_and_the_columns_that_follow() {
    let app = with_columns().await;
    app.apply([incoming(1, 1, "STOP")]).await;
    for statement in [
        "delete from public.sms_consents",
        "delete from ingest.sms_consent_ledger",
        "update public.leads set sms_opt_in = true",
    ] {
        app.execute(statement).await;
    }
    rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert_eq!(
        (columns(&app).await, answer(&app).await),
        ("f/t/f false".to_owned(), format!("false keyword STOP {}", sid(1)))
    );
}
