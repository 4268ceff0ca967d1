//! Support tickets: whose turn it is, in any order of replies and statuses.

mod api;
mod commands;
mod missed;
mod urgent;

use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::supabase;
use memberflow::ops::tickets::{self, Assignee, Change, ChangeError, Filter};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::migrations::begin_as;
use crate::support::app::{BEGIN, NOW, TestApp};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);
const GRACE: Uuid = Uuid::from_u128(0x62ac_0000_0000_4000_8000_0000_0000_0001);

/// Every order of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        orders = orders
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, next);
                    order
                })
            })
            .collect();
    }
    orders
}

/// A ticket of Ada's, made at [`BEGIN`].
async fn open(app: &TestApp, number: usize) -> Uuid {
    let id = Uuid::from_u128(0xb000 + number as u128);
    app.execute(&format!(
        "insert into public.support_tickets (id, user_id, subject, description, created_at, updated_at)
         values ('{id}', (select id from auth.users where id = '{ADA}'), 'Help {number}', 'It is broken.',
                 to_timestamp({BEGIN}), to_timestamp({BEGIN}))"
    ))
    .await;
    id
}

async fn reply(app: &TestApp, ticket: Uuid, second: i64, is_staff: bool) {
    say(app, ticket, second, is_staff, false).await;
}

/// The same reply twice is one row.
async fn say(app: &TestApp, ticket: Uuid, second: i64, is_staff: bool, is_internal: bool) {
    let id = Uuid::from_u128(ticket.as_u128() * 1000 + u128::try_from(second).unwrap());
    app.execute(&format!(
        "insert into public.support_ticket_replies (id, ticket_id, message, is_staff, is_internal, created_at)
         values ('{id}', '{ticket}', 'x', {is_staff}, {is_internal}, to_timestamp({}))
         on conflict (id) do update set message = excluded.message",
        BEGIN + second
    ))
    .await;
}

async fn set_status(app: &TestApp, ticket: Uuid, second: i64, status: &str) {
    app.execute(&format!(
        "update public.support_tickets set status = '{status}', updated_at = to_timestamp({}) where id = '{ticket}'",
        BEGIN + second
    ))
    .await;
}

/// What is derived, moments as seconds after [`BEGIN`].
async fn derived(app: &TestApp, ticket: Uuid) -> Value {
    let second = |column: &str| format!("extract(epoch from {column})::bigint - {BEGIN} as {column}");
    let columns =
        ["first_response_at", "last_member_reply_at", "last_staff_reply_at", "waiting_since", "resolved_at"];
    let query = format!(
        "select status, waiting_for, reply_count, reopened_count, resolution_seconds, {}
         from public.support_tickets where id = '{ticket}'",
        columns.map(second).join(", ")
    );
    app.rows(&query).await.remove(0)
}

async fn differences(app: &TestApp, fix: bool) -> Vec<String> {
    let mut fields = Vec::new();
    let note = |drift: &supabase::DriftedValue| fields.push(drift.field.clone());
    supabase::run(&app.store, fix, &mut Progress::Silent, note).await.unwrap();
    fields
}

#[tokio::test]
async fn ticket_does_not_depend_on_order() {
    let app = TestApp::begin().await;
    for (number, order) in orders(5).into_iter().enumerate() {
        let ticket = open(&app, number).await;
        for act in order.iter().chain(&order[..2]) {
            match act {
                0 => reply(&app, ticket, 10, true).await,
                1 => reply(&app, ticket, 20, false).await,
                2 => reply(&app, ticket, 30, true).await,
                3 => say(&app, ticket, 50, true, true).await,
                _ => reply(&app, ticket, 40, false).await,
            }
        }
        set_status(&app, ticket, 60, "resolved").await;
        reply(&app, ticket, 70, false).await;
        let expected = json!({
            "status": "open", "waiting_for": "staff", "reply_count": 5, "reopened_count": 1,
            "resolution_seconds": null, "first_response_at": 10, "last_member_reply_at": 70,
            "last_staff_reply_at": 30, "waiting_since": 40, "resolved_at": null
        });
        assert_eq!(derived(&app, ticket).await, expected, "{order:?}");
    }
    assert_eq!(differences(&app, false).await, [""; 0]);
}

/// Resolves the ticket and says when, as an application does that sets both columns.
async fn resolve(app: &TestApp, ticket: Uuid, second: i64) {
    app.execute(&format!(
        "update public.support_tickets set status = 'resolved', resolved_at = to_timestamp({}) where id = '{ticket}'",
        BEGIN + second
    ))
    .await;
}

#[tokio::test]
async fn statuses_and_replies_in_any_order_give_the_same_ticket() {
    let app = TestApp::begin().await;
    for (number, order) in orders(4).into_iter().enumerate() {
        let ticket = open(&app, number).await;
        for act in order.iter().chain(&order[..2]) {
            match act {
                0 => resolve(&app, ticket, 20).await,
                1 => reply(&app, ticket, 30, false).await,
                2 => reply(&app, ticket, 35, true).await,
                _ => resolve(&app, ticket, 40).await,
            }
        }
        let expected = json!({
            "status": "resolved", "waiting_for": null, "reply_count": 2, "reopened_count": 1,
            "resolution_seconds": 40, "first_response_at": 35, "last_member_reply_at": 30,
            "last_staff_reply_at": 35, "waiting_since": null, "resolved_at": 40
        });
        assert_eq!(derived(&app, ticket).await, expected, "{order:?}");
    }
    assert_eq!(differences(&app, false).await, [""; 0]);
}

#[tokio::test]
async fn late_reply_has_the_same_effect() {
    let app = TestApp::begin().await;
    let ticket = open(&app, 1).await;
    set_status(&app, ticket, 60, "resolved").await;
    let resolved = derived(&app, ticket).await;
    assert_eq!([&resolved["resolved_at"], &resolved["resolution_seconds"]], [&json!(60), &json!(60)]);
    assert_eq!([&resolved["waiting_for"], &resolved["waiting_since"]], [&json!(null), &json!(null)]);
    reply(&app, ticket, 50, false).await;
    assert_eq!(derived(&app, ticket).await["status"], "resolved");
    reply(&app, ticket, 80, true).await;
    reply(&app, ticket, 70, false).await;
    let reopened = derived(&app, ticket).await;
    assert_eq!([&reopened["status"], &reopened["waiting_for"]], ["waiting_reply", "member"]);
    set_status(&app, ticket, 90, "closed").await;
    reply(&app, ticket, 100, false).await;
    assert_eq!(derived(&app, ticket).await["status"], "closed");
    app.execute("delete from public.support_ticket_replies where created_at > to_timestamp(0)").await;
    assert_eq!(derived(&app, ticket).await["reply_count"], 0);
}

#[tokio::test]
async fn member_never_sees_or_writes_an_internal_note() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    let ticket = open(&app, 1).await;
    reply(&app, ticket, 10, true).await;
    say(&app, ticket, 20, true, true).await;
    app.execute(
        "create policy all_replies on public.support_ticket_replies for select to authenticated using (true)",
    )
    .await;
    for (role, seen) in [("member", 1), ("admin", 2)] {
        let claims = json!({"role": "authenticated", "sub": ADA, "app_metadata": {"role": role}});
        let mut tx = begin_as(&app.database.pool, "authenticated", &claims).await;
        let rows: i64 = sqlx::query_scalar("select count(*) from public.support_ticket_replies")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(rows, seen, "{role}");
        let note = format!(
            "insert into public.support_ticket_replies (ticket_id, user_id, message, is_internal)
             values ('{ticket}', '{ADA}', 'x', true)"
        );
        let written = sqlx::query(AssertSqlSafe(note)).execute(&mut *tx).await;
        assert_eq!(written.is_ok(), role == "admin", "{role}");
    }
}

#[tokio::test]
async fn replies_do_not_move_manual_statuses() {
    let app = TestApp::begin().await;
    let ticket = open(&app, 1).await;
    reply(&app, ticket, 10, true).await;
    app.execute("select ingest.set_automatic_ticket_status(false)").await;
    reply(&app, ticket, 20, false).await;
    let here = derived(&app, ticket).await;
    assert_eq!([&here["status"], &here["waiting_for"]], ["waiting_reply", "staff"]);
    assert_eq!(differences(&app, false).await, [""; 0]);
}

#[tokio::test]
async fn preexisting_tickets_keep_status_and_times() {
    let app = TestApp::begin().await;
    app.execute("alter table public.support_tickets disable trigger user; ").await;
    app.execute("alter table public.support_ticket_replies disable trigger user").await;
    let ticket = open(&app, 1).await;
    reply(&app, ticket, 10, true).await;
    set_status(&app, ticket, 20, "resolved").await;
    reply(&app, ticket, 30, false).await;
    app.execute("alter table public.support_tickets enable trigger user").await;
    app.execute("alter table public.support_ticket_replies enable trigger user").await;
    assert_eq!(differences(&app, false).await.len(), 1);
    for _ in 0..2 {
        let migration = include_str!("../../../migrations/20251205001400_derive_tickets.sql");
        sqlx::raw_sql(migration).execute(&app.database.pool).await.unwrap();
        let here = derived(&app, ticket).await;
        assert_eq!([&here["status"], &here["resolved_at"]], [&json!("resolved"), &json!(null)]);
        assert_eq!([&here["first_response_at"], &here["reply_count"]], [&json!(10), &json!(2)]);
    }
}

#[tokio::test]
async fn missed_ticket_updates_are_reconciled() {
    let app = TestApp::begin().await;
    let ticket = open(&app, 1).await;
    app.execute("alter function ingest.ticket_story(uuid) rename to lost").await;
    reply(&app, ticket, 10, true).await;
    app.execute("alter function ingest.lost(uuid) rename to ticket_story").await;
    assert_eq!(derived(&app, ticket).await["reply_count"], 0);
    assert_eq!(
        differences(&app, true).await,
        ["public.support_tickets (what follows from replies and statuses)"]
    );
    assert_eq!(derived(&app, ticket).await["reply_count"], 1);
    assert_eq!(differences(&app, false).await, [""; 0]);
}

#[tokio::test]
async fn list_shows_the_longest_waiting_first_page_by_page() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.sign_up(GRACE, "grace@example.com").await;
    for number in 1..=4 {
        open(&app, number).await;
    }
    let ticket = |number: u128| Uuid::from_u128(0xb000 + number);
    // 1 waits since 50, 2 since the beginning, 3 for the member, 4 is resolved.
    reply(&app, ticket(1), 10, true).await;
    reply(&app, ticket(1), 50, false).await;
    reply(&app, ticket(3), 10, true).await;
    set_status(&app, ticket(4), 10, "resolved").await;
    app.execute(&format!(
        "update public.support_tickets set priority = 'urgent', category = 'billing', assigned_to = '{GRACE}'
         where id = '{}'",
        ticket(1)
    ))
    .await;
    let numbers = async |filter: Filter| -> Vec<String> {
        let (mut numbers, mut cursor) = (Vec::new(), None);
        loop {
            let page = tickets::list(&app.database.pool, &filter, cursor.as_deref(), 1).await.unwrap();
            numbers.extend(page.tickets.into_iter().map(|ticket| ticket.subject.replace("Help ", "")));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return numbers;
            }
        }
    };
    assert_eq!(numbers(Filter::default()).await, ["2", "1", "3", "4"]);
    let some = |text: &str| Some(text.to_owned());
    let moment = |second: i64| time::OffsetDateTime::from_unix_timestamp(BEGIN + second).ok();
    for (filter, expected) in [
        (Filter { waiting_for: some("staff"), ..Filter::default() }, &["2", "1"][..]),
        (Filter { waiting_for: some("member"), ..Filter::default() }, &["3"]),
        (Filter { waiting_before: moment(20), ..Filter::default() }, &["2", "3"]),
        (Filter { status: some("resolved"), ..Filter::default() }, &["4"]),
        (Filter { priority: some("urgent"), ..Filter::default() }, &["1"]),
        (Filter { category: some("billing"), ..Filter::default() }, &["1"]),
        (Filter { assignee: Some(Assignee::User(GRACE)), ..Filter::default() }, &["1"]),
        (Filter { assignee: Some(Assignee::Nobody), ..Filter::default() }, &["2", "3", "4"]),
        (Filter { member: Some(GRACE), ..Filter::default() }, &[]),
        (Filter { text: some("HELP 2"), ..Filter::default() }, &["2"]),
        (Filter { text: some("help"), ..Filter::default() }, &["2", "1", "3", "4"]),
        (Filter { text: some("help"), waiting_for: some("staff"), ..Filter::default() }, &["2", "1"]),
        (Filter { text: some("help _"), ..Filter::default() }, &[]),
        (Filter { text: some("help%"), ..Filter::default() }, &[]),
    ] {
        assert_eq!(numbers(filter.clone()).await, expected, "{filter:?}");
    }
    assert!(tickets::list(&app.database.pool, &Filter::default(), Some("x"), 1).await.is_err());
}

#[tokio::test]
async fn staff_actions_are_audited_without_text() {
    let app = TestApp::begin().await;
    app.sign_up(GRACE, "grace@example.com").await;
    let ticket = open(&app, 1).await;
    let pool = &app.database.pool;
    let secret = Change::Reply { message: "Secret".to_owned(), is_internal: true, user_id: Some(GRACE) };
    let answer = Change::Reply { message: "Done.".to_owned(), is_internal: false, user_id: None };
    for change in [secret, answer, Change::Assign(Some(GRACE)), Change::Status("resolved".to_owned())] {
        assert_eq!(tickets::change(pool, "supp-0001", &[change], "grace@crm", NOW).await.unwrap(), ticket);
    }
    let shown = tickets::show(pool, "SUPP-0001").await.unwrap().unwrap();
    assert_eq!(shown.ticket.status.as_deref(), Some("resolved"));
    assert_eq!(shown.ticket.assigned_to, Some(GRACE));
    let mut said: Vec<&str> = shown.timeline.iter().map(|entry| entry.kind.as_str()).collect();
    said.sort_unstable();
    assert_eq!(said, ["note", "reply", "status"]);
    let log = app.rows("select act, arguments || outcome as what from ingest.audit_log order by id").await;
    assert_eq!(
        log,
        [
            json!({"act": "tickets reply", "what": {"ticket_id": ticket, "is_internal": true}}),
            json!({"act": "tickets reply", "what": {"ticket_id": ticket, "is_internal": false}}),
            json!({"act": "tickets assign", "what": {"ticket_id": ticket, "assigned_to": GRACE}}),
            json!({"act": "tickets status", "what": {"ticket_id": ticket, "status": "resolved"}}),
        ]
    );
    for wrong in [
        Change::Status("done".to_owned()),
        Change::Reply { message: " ".to_owned(), is_internal: false, user_id: None },
        Change::Assign(Some(Uuid::from_u128(9))),
    ] {
        // All or none: the status before it is not set either.
        let both = [Change::Status("open".to_owned()), wrong];
        let refused = tickets::change(pool, "SUPP-0001", &both, "grace@crm", NOW).await;
        assert!(matches!(refused, Err(ChangeError::Invalid(_))), "{refused:?}");
    }
    let unknown = tickets::change(pool, "SUPP-9", &[Change::Assign(None)], "grace@crm", NOW).await;
    assert!(matches!(unknown, Err(ChangeError::NotFound(_))), "{unknown:?}");
    assert_eq!(derived(&app, ticket).await["status"], "resolved");
}
