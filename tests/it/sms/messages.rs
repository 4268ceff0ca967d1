//! The rows of messages: statuses, numbers, owners, and completion of the application's rows.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::parked;
use memberflow::project::twilio::words;
use memberflow::store::{Store, StoreSettings};

use super::{OURS, THEIRS, callback, event, event_of, incoming, member_with_phone, sid, text};
use crate::support::app::{NOW, TestApp};
use crate::support::receiver::TWILIO_ACCOUNT;

const LOG: &str = "insert into public.sms_messages
    (direction, from_number, to_number, body, status, twilio_sid, media_urls) values ('outbound', '+15550100', '+12025550112',
     'See you on Thursday', 'sent', '$sid', null)";

#[tokio::test]
async fn callback_before_row_keeps_text_and_status() {
    let app = TestApp::begin().await;
    let user = member_with_phone(&app, 0xa, "202 555 0112").await;
    app.apply([callback(1, 5, "undelivered", "30003"), callback(1, 3, "sent", "")]).await;
    let all = "select status, twilio_status, error_code, error_message, body, user_id, recorded_by from public.sms_messages";
    let before = format!("failed undelivered 30003 30003 Unreachable destination handset  {user} memberflow");
    assert_eq!(sorted(&text(&app, all).await), sorted(&before));
    app.execute(&LOG.replace("$sid", &sid(1))).await;
    let after = format!(
        "failed undelivered 30003 30003 Unreachable destination handset See you on Thursday {user} null"
    );
    assert_eq!(sorted(&text(&app, all).await), sorted(&after));
}

fn sorted(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn application_row_is_completed_not_duplicated() {
    let app = TestApp::begin().await;
    app.execute(&LOG.replace("$sid", &sid(1))).await;
    app.apply([callback(1, 3, "delivered", "")]).await;
    // What the application's own route does with a late report.
    app.execute(&format!("update public.sms_messages set status = 'sent' where twilio_sid = '{}'", sid(1)))
        .await;
    assert_eq!(
        text(&app, "select status || ' ' || body as t from public.sms_messages").await,
        "delivered See you on Thursday"
    );
}

#[tokio::test]
async fn all_pictures_are_kept_with_their_types() {
    let app = TestApp::begin().await;
    let pictures = event(
        1,
        1,
        &[
            ("From", THEIRS),
            ("To", OURS),
            ("Body", ""),
            ("NumMedia", "2"),
            ("MediaUrl0", "https://x/0"),
            ("MediaContentType0", "image/png"),
            ("MediaUrl1", "https://x/1"),
            ("MediaContentType1", "image/gif"),
        ],
    );
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, media_urls)
         values ('inbound', '{THEIRS}', '{OURS}', '', 'received', '{}', '{{https://x/0}}')", sid(1))).await;
    app.apply([pictures]).await;
    let row = "select array_to_string(media_urls || media_types, ' ') as t from public.sms_messages";
    assert_eq!(text(&app, row).await, "https://x/0 https://x/1 image/png image/gif");
}

#[tokio::test]
async fn messages_belong_to_owner_of_the_number() {
    let app = TestApp::begin().await;
    app.apply([incoming(1, 1, "Hello?")]).await;
    let whose = "select coalesce(user_id::text, lead_id::text, 'nobody') as t from public.sms_messages";
    assert_eq!(text(&app, whose).await, "nobody");
    app.execute(
        "insert into public.leads (id, type, email, phone) values
        ('00000000-0000-0000-0000-0000000000e1', 'demo', 'lead@example.com', '(202) 555-0112')",
    )
    .await;
    assert_eq!(app.store.recompute_due().await.unwrap(), 0, "looked for a minute ago at most");
    let later = app.store_at(NOW + time::Duration::minutes(2));
    assert_eq!(later.recompute_due().await.unwrap(), 1);
    assert_eq!(text(&app, whose).await, "00000000-0000-0000-0000-0000000000e1");
    assert!(app.rows("select * from ingest.unmatched_numbers").await.is_empty());
}

#[tokio::test]
async fn number_of_several_members_is_flagged() {
    let app = TestApp::begin().await;
    let first = member_with_phone(&app, 0xa, "+12025550112").await;
    let second = member_with_phone(&app, 0xb, "2025550112").await;
    app.apply([incoming(1, 1, "Hello?")]).await;
    assert_eq!(
        text(&app, "select coalesce(user_id::text, 'nobody') as t from public.sms_messages").await,
        "nobody"
    );
    let flagged =
        "select array_to_string(users, ' ') as t from ingest.unmatched_numbers where number = '12025550112'";
    assert_eq!(text(&app, flagged).await, format!("{first} {second}"));
    app.apply([event(2, 2, &[("From", "+15550199"), ("To", OURS), ("Body", "Hi")])]).await;
    let filter = parked::Filter { reason: Some("unmatched_number".to_owned()), ..parked::Filter::default() };
    let listed = parked::list(&app.database.pool, &filter, 9).await.unwrap();
    let listed: Vec<(&str, &str)> =
        listed.iter().map(|it| (it.subject.as_str(), it.detail.as_str())).collect();
    let several = format!("several have this number: {first}, {second}");
    assert_eq!(
        listed,
        [("+12025550112", several.as_str()), ("+15550199", "a member or lead with this number")]
    );
}

#[tokio::test]
async fn contradicting_final_statuses_are_parked_until_one_is_later() {
    let app = TestApp::begin().await;
    let final_one = |status, error, done_at| {
        let parameters = [("From", OURS), ("To", THEIRS), ("MessageStatus", status), ("ErrorCode", error)];
        event(1, 2, &[&parameters[..], &[("RawDlrDoneDate", done_at)]].concat())
    };
    app.apply([final_one("delivered", "", ""), final_one("undelivered", "30003", "")]).await;
    let filter =
        parked::Filter { reason: Some("contradicting_status".to_owned()), ..parked::Filter::default() };
    let listed = parked::list(&app.database.pool, &filter, 9).await.unwrap();
    let listed: Vec<(&str, &str)> =
        listed.iter().map(|it| (it.subject.as_str(), it.detail.as_str())).collect();
    assert_eq!(
        listed,
        [(sid(1).as_str(), "Twilio reported delivered and undelivered, and not which came last")]
    );
    let reasons = parked::reasons(&app.database.pool).await.unwrap();
    let reason = reasons.iter().find(|it| it.reason == "contradicting_status").unwrap();
    assert_eq!((reason.waiting, reason.oldest_subject.as_str()), (1, sid(1).as_str()));
    assert!(reason.fix.contains("memberflow reconcile twilio --fix"), "{reason:?}");

    app.apply([final_one("delivered", "", "2611201159"), final_one("undelivered", "30003", "2611201200")])
        .await;
    assert_eq!(parked::list(&app.database.pool, &filter, 9).await.unwrap(), []);
    assert_eq!(text(&app, "select status from public.sms_messages").await, "failed");
}

#[tokio::test]
async fn account_then_active_profile_takes_precedence() {
    let app = TestApp::begin().await;
    let active = member_with_phone(&app, 0xa, "+12025550112").await;
    let other = member_with_phone(&app, 0xb, "+12025550112").await;
    app.execute(&format!("update public.user_profiles set is_draft = true where user_id = '{other}'")).await;
    app.apply([incoming(1, 1, "one")]).await;
    app.execute(
        "create table public.user_accounts (user_id uuid primary key, phone text, sms_opt_in boolean)",
    )
    .await;
    app.execute(&format!("insert into public.user_accounts values ('{other}', '12025550112', true)")).await;
    app.apply([incoming(2, 2, "two")]).await;
    let whose = "select string_agg(user_id::text, ' ' order by body) as t from public.sms_messages";
    assert_eq!(text(&app, whose).await, format!("{active} {other}"));
}

#[tokio::test]
async fn other_account_is_stored_and_not_counted() {
    let app = TestApp::begin().await;
    let config = Config {
        twilio_account_sid: Some(TWILIO_ACCOUNT.to_owned()),
        ..crate::support::config(app.database.url())
    };
    let store = Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
    let other = "AC00000000000000000000000000000002";
    store.apply(&[event_of(other, 1, 1, &[("MessageStatus", "sent"), ("To", THEIRS)])]).await.unwrap();
    let flag = "select not_counted as t from ingest.inbox";
    assert_eq!(text(&app, flag).await, format!("other_twilio_account:{other}"));
    assert!(app.rows("select * from public.sms_messages").await.is_empty());
}

#[tokio::test]
async fn sql_and_rust_agree_on_twilio_statuses() {
    let app = TestApp::begin().await;
    for word in [
        "accepted",
        "scheduled",
        "queued",
        "sending",
        "sent",
        "partially_delivered",
        "delivered",
        "undelivered",
        "failed",
        "canceled",
        "read",
        "receiving",
        "received",
    ] {
        let there = text(&app, &format!("select ingest.sms_status('{word}') as t")).await;
        assert_eq!(Some(there.as_str()), words::status(word).map(|(status, _)| status), "{word}");
    }
    assert_eq!(text(&app, "select ingest.sms_status('of_tomorrow') as t").await, "of_tomorrow");
}

#[tokio::test]
async fn numbers_are_compared_as_people_write_them() {
    let app = TestApp::begin().await;
    for (stored, number, country, same) in [
        ("+1 (202) 555-0112", "12025550112", "1", true),
        ("202.555.0112", "12025550112", "1", true),
        ("001 202 555 0112", "12025550112", "1", true),
        ("12025550112", "12025550112", "44", true),
        ("07911 123456", "447911123456", "44", true),
        ("07911 123456", "17911123456", "44", false),
        ("+2025550112", "12025550112", "1", false),
        ("550112", "12025550112", "1", false),
    ] {
        let query = format!("select ingest.is_number('{stored}', '{number}', '{country}')::text as t");
        assert_eq!(text(&app, &query).await, same.to_string(), "{stored} {country}");
    }
}
