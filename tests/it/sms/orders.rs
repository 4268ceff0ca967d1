//! Reports, messages and what the application writes, in every order: the row at the end is the same one.

use memberflow::envelope::Envelope;

use super::{OURS, THEIRS, callback, event, incoming, member_with_phone, sid, text};
use crate::support::app::TestApp;

/// One thing that happens.
#[derive(Clone)]
enum Act {
    Report(Envelope),
    Write(String),
}

const ROW: &str = "select concat_ws('|', direction, from_number, to_number, body, status, twilio_status, error_code, error_message,
        num_segments, coalesce(array_to_string(media_urls, ','), ''), user_id, ticket_id) as t from public.sms_messages";

async fn perform(app: &TestApp, acts: &[&Act]) {
    for act in acts {
        match act {
            Act::Report(event) => drop(app.apply([event.clone()]).await),
            Act::Write(statement) => app.execute(statement).await,
        }
    }
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let with = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |at| with(order, at))).collect()
}

async fn every_order_gives(acts: &[Act], expected: &str) {
    let app = TestApp::begin().await;
    let user = member_with_phone(&app, 0xa, THEIRS).await;
    app.execute(
        "insert into public.support_tickets (id, ticket_number, subject, description)
        values ('00000000-0000-0000-0000-0000000000b1', 'SUPP-1', 's', 'd')",
    )
    .await;
    for order in orders(acts.len()) {
        let performed: Vec<&Act> = order.iter().map(|at| &acts[*at]).collect();
        perform(&app, &performed).await;
        assert_eq!(text(&app, ROW).await, expected.replace("$user", &user.to_string()), "{order:?}");
        // Once more, whatever happened: nothing changes.
        perform(&app, &performed.into_iter().filter(|act| matches!(act, Act::Report(_))).collect::<Vec<_>>())
            .await;
        assert_eq!(text(&app, ROW).await, expected.replace("$user", &user.to_string()), "{order:?} again");
        app.empty(&["public.sms_messages", "ingest.sms_facts", "ingest.inbox"]).await;
    }
}

/// As the application logs what it has sent: after Twilio has taken it.
fn log() -> Act {
    Act::Write(format!(
        "insert into public.sms_messages
             (direction, from_number, to_number, body, status, twilio_sid, ticket_id, media_urls)
         values ('outbound', '{OURS}', '{THEIRS}', 'Your call is on Thursday', 'sent', '{}',
                 '00000000-0000-0000-0000-0000000000b1', null)",
        sid(1)
    ))
}

/// As the application's own callback route does: update, else insert without a text.
fn route(direction: &str, word: &str) -> Act {
    Act::Write(format!(
        "with there as (update public.sms_messages set status = '{word}' where twilio_sid = '{0}' returning id)
         insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid)
         select '{direction}', '{OURS}', '{THEIRS}', '', '{word}', '{0}' where not exists (select from there)",
        sid(1)
    ))
}

#[tokio::test]
async fn outgoing_message_ends_the_same_in_every_order() {
    let reports = ["sent", "undelivered", "queued"]
        .map(|word| Act::Report(callback(1, 1, word, if word == "undelivered" { "30005" } else { "" })));
    let [sent, undelivered, queued] = reports;
    let acts = [sent, undelivered, queued, log(), route("outbound", "sent")];
    let expected = format!(
        "outbound|{OURS}|{THEIRS}|Your call is on Thursday|failed|undelivered|30005|30005 Unknown destination handset||$user|00000000-0000-0000-0000-0000000000b1"
    );
    every_order_gives(&acts, &expected).await;
}

#[tokio::test]
async fn incoming_message_ends_the_same_in_every_order() {
    let picture = [
        ("From", THEIRS),
        ("To", OURS),
        ("Body", "Look"),
        ("NumSegments", "1"),
        ("MediaUrl0", "https://x/0"),
    ];
    let write = Act::Write(format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, media_urls, ticket_id)
         values ('inbound', '{THEIRS}', '{OURS}', 'Look', 'received', '{}', null, '00000000-0000-0000-0000-0000000000b1')",
        sid(1)
    ));
    let acts = [Act::Report(event(1, 1, &picture)), write];
    let expected = format!(
        "inbound|{THEIRS}|{OURS}|Look|received|received|1|https://x/0|$user|00000000-0000-0000-0000-0000000000b1"
    );
    every_order_gives(&acts, &expected).await;
}

#[tokio::test]
async fn both_writing_at_once_leave_one_row_with_everything() {
    let app = TestApp::begin().await;
    member_with_phone(&app, 0xa, THEIRS).await;
    for number in 0..20 {
        let statement = format!(
            "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid)
             values ('outbound', '{OURS}', '{THEIRS}', 'Hello', 'sent', '{}')",
            sid(number)
        );
        let reports = async { app.apply([callback(number, 1, "delivered", "")]).await };
        tokio::join!(app.execute(&statement), reports);
    }
    let rows = "select concat_ws(' ', count(*), count(distinct twilio_sid), min(body), max(body), min(status), max(status)) as t
        from public.sms_messages";
    assert_eq!(text(&app, rows).await, "20 20 Hello Hello delivered delivered");
    app.apply([incoming(99, 1, "Hi")]).await;
}
