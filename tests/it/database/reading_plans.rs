//! Queries of the API and the CLI use indexes, whatever the table statistics say.

use std::collections::BTreeSet;

use memberflow::clock::Clock;
use memberflow::ops::dead_letters::{self, Limits, Selection};
use memberflow::ops::events::{self, State};
use memberflow::ops::ledger::{About, Cell, CohortMonth, Month, Question};
use memberflow::ops::members::{Direction, Filter, PageRequest, Sort, SortBy};
use memberflow::ops::throughput::{self, Period};
use memberflow::ops::{audit, campaigns, ledger, members, messages, overview, parked, sources, tickets};
use memberflow::store::events::pending;
use sqlx::PgPool;
use uuid::Uuid;

use crate::applying::plans::{self, GROWING, Growing};
use crate::applying::statements::{app_with_members, asked_by, everything};
use crate::support::app::{NOW, TestApp, customer, stripe};

/// Rows of others in each table, where there is no more time.
const OTHERS: i32 = 12_000;

/// Tables that grow with members, tickets and leads, besides those that batches write.
const READ: [Growing; 9] = [
    ("auth.users", "'id', md5('user' || n)::uuid, 'email', n || '@other.org', 'phone', null"),
    ("public.user_profiles", "'id', md5('profile' || n)::uuid, 'user_id', md5('user' || n)::uuid"),
    ("public.leads", "'id', md5('lead' || n)::uuid, 'email', n || '@other.org'"),
    (
        "ingest.counted_leads",
        "'lead_id', md5('lead' || n)::uuid, 'campaign_id', md5('campaign' || n % 99)::uuid",
    ),
    (
        "public.support_tickets",
        "'id', md5('ticket' || n)::uuid, 'user_id', md5('user' || n)::uuid, 'ticket_number', 'T-other-' || n",
    ),
    ("public.support_ticket_replies", "'id', md5('reply' || n)::uuid, 'ticket_id', md5('ticket' || n)::uuid"),
    (
        "public.sms_messages",
        "'id', md5('sms' || n)::uuid, 'from_number', '+1999' || n, 'to_number', '+1888' || n, 'twilio_sid', null",
    ),
    ("ingest.audit_log", "'id', 1000000 + n, 'actor', 'other_' || n, 'act', 'act_' || n"),
    ("ingest.ticket_changes", "'number', 1000000 + n, 'ticket_id', md5('ticket' || n)::uuid"),
];

#[tokio::test]
async fn read_paths_never_scan_growing_tables() {
    assert_found_by_index(OTHERS).await;
}

#[tokio::test]
#[ignore = "takes minutes: a million rows in each table"]
async fn read_paths_never_scan_a_million_rows() {
    assert_found_by_index(1_000_000).await;
}

async fn assert_found_by_index(others: i32) {
    let app = app_with_members(3).await;
    for event in everything(3, "before") {
        app.apply([event]).await;
    }
    some_of_everything(&app).await;
    let growing: Vec<Growing> = GROWING.into_iter().chain(READ).collect();
    plans::grow(&app, &growing, others).await;
    let read = asked_by(read_everything(&app.database.pool)).await;
    let statements: BTreeSet<String> = read.into_iter().collect();
    assert!(statements.len() > 40, "{statements:#?}");
    plans::assert_found_by_index(&app, statements, &growing).await;
}

/// A row at least in each table that batches do not write.
async fn some_of_everything(app: &TestApp) {
    for (id, reason) in [("evt_dead_1", "too often"), ("evt_dead_2", "too often")] {
        let event = stripe(id, "customer.created", 0, customer("cus_dead", "dead@example.com"));
        app.store.dead_letter(&[(event, reason.to_owned())]).await.unwrap();
    }
    let waiting = ["evt_waiting_1", "evt_waiting_2"]
        .map(|id| stripe(id, "customer.created", 0, customer("cus_waiting", "waiting@example.com")));
    pending::insert(&app.database.pool, &waiting).await.unwrap();
    for statement in [
        "insert into ingest.audit_log (at, actor, act, arguments, outcome) values (now(), 'ada', 'rebuild', '{}', '{}')",
        "insert into ingest.logins (session_id, user_id, logged_in_at, evidence, counted)
         values ('session', md5('user')::uuid, now(), 0, true)",
        "insert into ingest.parked (subject, reason, detail, parked_at) values ('cus', 'unknown_user', 'no user', now())",
        "insert into public.marketing_campaigns (name, slug) values ('Spring', 'spring')",
        "insert into public.leads (email, utm_campaign) values ('a@example.com', 'spring')",
        "insert into public.user_profiles (user_id, first_name, last_name, phone, is_active)
         select id, 'Ada', 'Lovelace', '+1202' || row_number() over (), true from auth.users",
        "insert into public.support_tickets (id, user_id, subject, description, ticket_number)
         select md5('one')::uuid, id, 'Help', 'It is broken.', 'T-1' from auth.users limit 1",
        "insert into public.support_ticket_replies (ticket_id, message, is_staff) values (md5('one')::uuid, 'x', false)",
        "insert into public.sms_messages (direction, from_number, to_number, body)
         select 'inbound', '+12025550100', '+1', n::text from generate_series(1, 3) n",
    ] {
        app.execute(statement).await;
    }
}

/// Everything that the CRM and operators read about members and events.
async fn read_everything(pool: &PgPool) {
    read_members(pool).await;
    let user = Uuid::from_u128(1);
    for about in [About::User(user), About::Customer("cus_1".to_owned())] {
        for at in [None, Some(NOW)] {
            assert!(ledger::explain_at(pool, &about, at, NOW).await.unwrap().is_some());
        }
    }
    assert_eq!(events::trace(pool, "evt_in_1_before").await.unwrap().len(), 1);
    read_revenue(pool, user).await;
    read_events(pool).await;
    read_acts(pool).await;
    for (reason, subject) in
        [(None, None), (Some("unknown_user"), None), (None, Some("cus")), (Some("no_tier"), Some("cus"))]
    {
        let (reason, subject) = (reason.map(str::to_owned), subject.map(str::to_owned));
        let filter = parked::Filter { reason, subject, ..parked::Filter::default() };
        let page = parked::page(pool, &filter, None, 1).await.unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = parked::page(pool, &filter, Some(&cursor), 1).await.unwrap();
            parked::page(pool, &filter, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
        let subjects = parked::subjects(pool, &filter).await.unwrap();
        parked::events(pool, &subjects).await.unwrap();
    }
    overview::overview(pool, NOW).await.unwrap();
    sources::count(pool, NOW).await.unwrap();
    for period in Period::ALL {
        throughput::read(pool, period, None, NOW).await.unwrap();
    }
    read_messages(pool).await;
    parked::reasons(pool).await.unwrap();
    read_tickets(pool, user).await;
    for (status, after) in [(None, None), (Some("active"), Some("a"))] {
        campaigns::list(pool, status, after, 50).await.unwrap();
    }
    assert!(campaigns::show(pool, "spring").await.unwrap().is_some());
    act_on_dead_letters(pool).await;
}

async fn read_revenue(pool: &PgPool, user: Uuid) {
    for (at, user_id) in [(None, None), (Some(NOW), None), (None, Some(user))] {
        for known_at in [None, Some(NOW)] {
            ledger::mrr_at(pool, &Question { at, known_at, user_id }, NOW).await.unwrap();
        }
    }
    let months = ledger::months(None, None, NOW).unwrap();
    ledger::waterfall(pool, &months, Some(NOW)).await.unwrap();
    let rows = ledger::waterfall(pool, &months, None).await.unwrap().rows;
    assert!(!ledger::cohorts(pool, &months).await.unwrap().cohorts.is_empty());
    let new = rows.iter().find(|row| row.movements.new > 1).unwrap();
    read_cohort(pool, &new.currency, new.month).await;
    for known_at in [None, Some(NOW)] {
        let (currency, month) = (new.currency.clone(), new.month);
        let cell = Cell { currency, month, kind: "new".to_owned(), known_at };
        let page = ledger::movements(pool, &cell, None, 1).await.unwrap();
        assert!(page.next_cursor.is_some());
        ledger::movements(pool, &cell, page.next_cursor.as_deref(), 1).await.unwrap();
    }
}

async fn read_cohort(pool: &PgPool, currency: &str, began: Month) {
    let cohort = CohortMonth { currency: currency.to_owned(), began, month: Month::of(NOW) };
    let page = ledger::cohort_customers(pool, &cohort, None, 1).await.unwrap();
    let behind = ledger::cohort_customers(pool, &cohort, page.next_cursor.as_deref(), 1).await.unwrap();
    ledger::cohort_customers(pool, &cohort, behind.prev_cursor.as_deref(), 1).await.unwrap();
}

async fn read_events(pool: &PgPool) {
    let text = |text: &str| Some(text.to_owned());
    for filter in [
        events::Filter::default(),
        events::Filter { event_type: text("invoice.*"), ..events::Filter::default() },
        events::Filter {
            source: text("twilio"),
            since: Some(NOW),
            until: Some(NOW),
            ..events::Filter::default()
        },
        events::Filter { subject: text("sub_1"), ..events::Filter::default() },
        events::Filter {
            subject: text("in_1_before"),
            related: true,
            state: Some(State::Applied),
            ..events::Filter::default()
        },
        events::Filter {
            member: text("1@example.com"),
            event_type: text("invoice.*"),
            ..events::Filter::default()
        },
        events::Filter {
            state: Some(State::Applied),
            since: Some(time::OffsetDateTime::UNIX_EPOCH),
            ..events::Filter::default()
        },
        events::Filter { state: Some(State::Waiting), ..events::Filter::default() },
        events::Filter { state: Some(State::Failing), ..events::Filter::default() },
        events::Filter { state: Some(State::Dead), ..events::Filter::default() },
    ] {
        let page = events::list(pool, &filter, None, 1).await.unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = events::list(pool, &filter, Some(&cursor), 1).await.unwrap();
            events::list(pool, &filter, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
    }
    assert!(events::show(pool, "stripe", "evt_dead_1").await.unwrap().is_some());
    let all = events::list(pool, &events::Filter::default(), None, 200).await.unwrap().events;
    let owners = events::owners(pool, &all).await.unwrap();
    assert!(owners.iter().any(Option::is_some) && owners.iter().any(Option::is_none));
}

async fn read_messages(pool: &PgPool) {
    let text = |text: &str| Some(text.to_owned());
    for filter in [
        messages::Filter::default(),
        messages::Filter { number: text("+12025550100"), ..messages::Filter::default() },
        messages::Filter {
            member: Some(Uuid::from_u128(1)),
            status: text("sent"),
            ..messages::Filter::default()
        },
        messages::Filter { since: Some(NOW), direction: text("inbound"), ..messages::Filter::default() },
    ] {
        let page = messages::list(pool, &filter, None, 1).await.unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = messages::list(pool, &filter, Some(&cursor), 1).await.unwrap();
            messages::list(pool, &filter, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
    }
}

async fn read_acts(pool: &PgPool) {
    let text = |text: &str| Some(text.to_owned());
    for filter in [
        audit::Filter::default(),
        audit::Filter { actor: text("ada"), ..audit::Filter::default() },
        audit::Filter { act: text("rebuild"), since: Some(NOW), ..audit::Filter::default() },
        audit::Filter { member: Some(Uuid::from_u128(1)), act: text("rebuild"), ..audit::Filter::default() },
        audit::Filter {
            actor: text("ada"),
            act: text("rebuild"),
            until: Some(NOW),
            ..audit::Filter::default()
        },
    ] {
        let page = audit::list(pool, &filter, None, 1).await.unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = audit::list(pool, &filter, Some(&cursor), 1).await.unwrap();
            audit::list(pool, &filter, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
    }
}

async fn act_on_dead_letters(pool: &PgPool) {
    let text = |text: &str| Some(text.to_owned());
    let clock = Clock::fixed(NOW);
    for selection in [
        Selection::default(),
        Selection { ids: vec![1, 2], ..Selection::default() },
        Selection { source: text("stripe"), event_type: text("invoice.*"), ..Selection::default() },
        Selection { reason: text("often"), since: Some(NOW), ..Selection::default() },
    ] {
        let page = dead_letters::page(pool, &selection, None, 1).await.unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = dead_letters::page(pool, &selection, Some(&cursor), 1).await.unwrap();
            dead_letters::page(pool, &selection, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
        dead_letters::count(pool, &selection).await.unwrap();
        dead_letters::causes(pool, &selection).await.unwrap();
        let limits = Limits { most: Some(1), ..Limits::default() };
        dead_letters::redrive(pool, &selection, limits, "ada", &clock).await.unwrap();
        dead_letters::drop_all(pool, &selection, limits, "ada", &clock).await.unwrap();
    }
}

async fn read_members(pool: &PgPool) {
    let sorts = [
        SortBy::CreatedAt,
        SortBy::Email,
        SortBy::Name,
        SortBy::Mrr,
        SortBy::Ltv,
        SortBy::TotalSpent,
        SortBy::LastLoginAt,
    ];
    let text = |text: &str| Some(text.to_owned());
    for by in sorts {
        for direction in [Direction::Asc, Direction::Desc] {
            let sort = Sort { by, direction };
            let mut request = PageRequest { sort, limit: 1, ..PageRequest::default() };
            request.cursor = members::list(pool, &request, NOW).await.unwrap().next_cursor;
            assert!(request.cursor.is_some());
            members::list(pool, &request, NOW).await.unwrap();
        }
        for filter in [
            Filter { text: text("ada"), ..Filter::default() },
            Filter { text: text("1202"), ..Filter::default() },
            Filter { status: text("past_due"), ..Filter::default() },
            Filter { tier: text("Pro"), ..Filter::default() },
            Filter { engagement_status: text("at_risk"), ..Filter::default() },
            Filter { health_status: text("needs_attention"), ..Filter::default() },
            Filter { since: Some(NOW), ..Filter::default() },
        ] {
            let sort = Sort { by, direction: by.natural_direction() };
            members::list(pool, &PageRequest { filter, sort, ..PageRequest::default() }, NOW).await.unwrap();
        }
    }
    let user = members::find_by_email(pool, "1@example.com").await.unwrap()[0];
    assert!(members::show(pool, user, "1", NOW).await.unwrap().is_some());
    for kind in [None].into_iter().chain(members::TIMELINE_KINDS.map(Some)) {
        let page = members::timeline(pool, user, kind, None, 1).await.unwrap().unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = members::timeline(pool, user, kind, Some(&cursor), 1).await.unwrap().unwrap();
            members::timeline(pool, user, kind, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
    }
    let page = members::events(pool, user, None, 1).await.unwrap().unwrap();
    let behind = members::events(pool, user, page.next_cursor.as_deref(), 1).await.unwrap().unwrap();
    members::events(pool, user, behind.prev_cursor.as_deref(), 1).await.unwrap();
}

async fn read_tickets(pool: &PgPool, user: Uuid) {
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        tickets::Filter::default(),
        tickets::Filter { status: text("open"), ..tickets::Filter::default() },
        tickets::Filter {
            waiting_for: text("staff"),
            waiting_before: Some(NOW),
            ..tickets::Filter::default()
        },
        tickets::Filter { priority: text("urgent"), category: text("billing"), ..tickets::Filter::default() },
        tickets::Filter { assignee: Some(tickets::Assignee::Nobody), ..tickets::Filter::default() },
        tickets::Filter { assignee: Some(tickets::Assignee::User(user)), ..tickets::Filter::default() },
        tickets::Filter { member: Some(user), ..tickets::Filter::default() },
        tickets::Filter { text: text("help"), ..tickets::Filter::default() },
    ];
    for filter in filters {
        let page = tickets::list(pool, &filter, None, 1).await.unwrap();
        if let Some(cursor) = page.next_cursor {
            let behind = tickets::list(pool, &filter, Some(&cursor), 1).await.unwrap();
            tickets::list(pool, &filter, behind.prev_cursor.as_deref(), 1).await.unwrap();
        }
    }
    assert!(tickets::show(pool, "t-1").await.unwrap().is_some());
}
