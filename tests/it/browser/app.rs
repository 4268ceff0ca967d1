//! What the pages show here: Ada with everything that a member can have, many others, and what went wrong.

use uuid::Uuid;

use crate::console::events::dead;
use crate::console::pages::{ADA, CAMPAIGN, TICKET, ada};
use crate::support::app::TestApp;

/// More than a page holds.
const OTHERS: u128 = 60;

pub async fn full_app() -> TestApp {
    let app = ada().await;
    for n in 1..=OTHERS {
        app.sign_up(Uuid::from_u128(n), &format!("member-{n:02}@example.com")).await;
    }
    app.execute(
        "insert into ingest.parked values ('cus_9', 'unknown_user', 'nobody has this address', now())",
    )
    .await;
    dead(&app, 2, "broken").await;
    dead(&app, 101, "unreadable").await;
    app.execute(
        "insert into ingest.audit_log (actor, act, arguments, outcome, at)
         values ('grace', 'members change', '{\"health_status\": \"healthy\"}', '{\"changed\": 1}', now())",
    )
    .await;
    for counted in [
        "insert into ingest.throughput (span_s, at, source, events, freshness_p50_s, freshness_p99_s)
         select 60, '2026-11-20 12:00Z'::timestamptz - n * interval '1 minute', 'stripe', n, 0.2, n
         from generate_series(1, 90) n",
        "insert into ingest.backlog (span_s, at, waiting, oldest_s)
         select 60, '2026-11-20 12:00Z'::timestamptz - n * interval '1 minute', n, n from generate_series(1, 90) n",
    ] {
        app.execute(counted).await;
    }
    app.execute(
        "insert into ingest.jobs (operation, is_fix, state, requested_by, requested_at, started_at, ended_at, attempts,
                                  part, done, total, result)
         values ('reconcile stripe', false, 'done', 'grace', now(), now(), now(), 1, '/refunds', 3, 0,
                 '{\"fix\": false, \"drifted\": {\"subscription\": 7}, \"took_s\": 2.5}'),
                ('reconcile supabase', true, 'running', 'grace', now(), now(), null, 1,
                 'deriving members again', 30, 100, null)",
    )
    .await;
    app.execute(&format!(
        "insert into public.support_ticket_replies (ticket_id, user_id, message, is_staff, created_at)
         values ('{TICKET}', '{ADA}', 'It still does not.', false, '2026-11-20 11:00Z')"
    ))
    .await;
    app.execute(&format!(
        "insert into public.sms_messages (user_id, direction, from_number, to_number, body, status)
         values ('{ADA}', 'inbound', '+15550100001', '+15550100002', 'Call me.', 'received')"
    ))
    .await;
    app
}

/// Every page, with something that it shows of the above.
pub fn pages() -> Vec<(String, &'static str)> {
    [
        ("/console".to_owned(), "10.00 USD"),
        ("/console?period=24h&source=stripe".to_owned(), "Last 24 hours"),
        ("/console/members?sort=mrr".to_owned(), "Ada Lovelace"),
        (format!("/console/members/{ADA}"), "MRR new: 0.00 USD → 10.00 USD"),
        (format!("/console/members/{ADA}?kind=payment&date=2026-01-31"), "Show it as of now"),
        (format!("/console/members/{ADA}/events"), "evt_2"),
        ("/console/tickets".to_owned(), "No engine"),
        (format!("/console/tickets/{TICKET}"), "It still does not."),
        ("/console/revenue?from=2026-01&to=2026-06".to_owned(), "2026-06"),
        ("/console/revenue/movements?currency=usd&month=2026-01&kind=new".to_owned(), "ada@example.com"),
        ("/console/revenue/cohort?currency=usd&began=2026-01&month=2026-03".to_owned(), "ada@example.com"),
        ("/console/messages".to_owned(), "Call me."),
        ("/console/campaigns".to_owned(), "Spring"),
        (format!("/console/campaigns/{CAMPAIGN}"), "lead@example.com"),
        ("/console/events?source=stripe&state=applied".to_owned(), "customer.subscription.created"),
        ("/console/events/stripe/evt_2?body=true".to_owned(), "livemode"),
        ("/console/events/stripe/evt_2/fixture".to_owned(), "memberflow replay evt_2.json"),
        ("/console/attention".to_owned(), "Type 101 to confirm"),
        ("/console/parked?reason=unknown_user".to_owned(), "nobody has this address"),
        ("/console/jobs".to_owned(), "reconcile supabase, fix"),
        ("/console/jobs/1".to_owned(), "drifted: subscription"),
        ("/console/jobs/2".to_owned(), "deriving members again, 30 of 100"),
        ("/console/audit".to_owned(), "members change"),
        ("/console/settings".to_owned(), "What fixes it"),
    ]
    .into()
}
