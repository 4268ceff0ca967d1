//! `memberflow forget`: the person is removed, accounting stays, and nobody else is affected.

mod others;
mod terminal;
mod traces;

use memberflow::envelope::Envelope;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::forget::{Done, ForgetError, ForgetPlan};
use memberflow::store::rebuild::{Rebuild, RowDifference};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{BEGIN, TestApp, customer, paid_invoice, row, stripe, subscription};
use crate::support::process::{Settings, memberflow};

const ANN: Uuid = Uuid::from_u128(0xa);
const BOB: Uuid = Uuid::from_u128(0xb);
const ADDRESS: &str = "ann@example.com";
/// The end of another address, of another customer's id and of another person's name.
const OTHERS_ADDRESS: &str = "joann@example.com";
/// What must not be found anywhere afterwards.
const TRACES: [&str; 5] = ["Ann", "Archer", "ann@example.com", "ann.old@example.com", "555-0100"];

#[tokio::test]
async fn person_is_removed_accounting_stays() {
    let app = lives().await;
    let books = books(&app).await;
    let (plan, done) = forget(&app, ADDRESS).await;
    assert_eq!((plan.user_id, plan.account_is_there), (Some(ANN), true));
    assert!(plan.customers.0.len() == 1 && done["events emptied"] >= 6, "{plan:?} {done:?}");
    assert_eq!(traces(&app).await, [] as [String; 0]);
    assert_eq!(books, self::books(&app).await);
    assert_eq!(drift(&app).await, []);

    let emptied = app.rows("select event_id from ingest.inbox where pruned_at is not null").await;
    assert!(emptied.iter().all(|it| !it["event_id"].as_str().unwrap().starts_with("bob")), "{emptied:?}");
    let acts = app.rows("select act, arguments, outcome from ingest.audit_log").await;
    assert_eq!((acts.len(), &acts[0]["arguments"]), (1, &json!({"user_id": ANN})));
    let leads = app.rows("select count(*) as leads, count(first_name) as names from public.leads").await;
    assert_eq!(leads, [json!({"leads": 1, "names": 0})]);
}

#[tokio::test]
async fn deleted_account_is_forgotten_by_id() {
    let app = lives().await;
    app.execute(&format!("delete from auth.users where id = '{ANN}'")).await;
    let gone = json!({"id": ANN, "email": ADDRESS, "raw_user_meta_data": {"name": "Ann Archer"}});
    app.apply([row("ann_gone", "DELETE", "auth.users", Value::Null, gone)]).await;
    let (plan, _) = forget(&app, &ANN.to_string()).await;
    assert_eq!((plan.user_id, plan.account_is_there), (Some(ANN), false));
    assert_eq!(traces(&app).await, [] as [String; 0]);
    assert_eq!(drift(&app).await, []);
    // What comes later is applied to the books.
    app.apply([stripe("ann_later", "invoice.paid", 900, paid_invoice("in_later", "cus_1", 500))]).await;
    let collected =
        app.rows("select sum(collected) as it from ingest.payments where customer_id = 'cus_1'").await;
    assert_eq!(collected, [json!({"it": 3000})]);
    assert_eq!(drift(&app).await, []);
}

#[tokio::test]
async fn dry_run_lists_and_changes_nothing() {
    let app = lives().await;
    let before = traces(&app).await;
    let listed = plan(&app, ADDRESS).await;
    assert_eq!(traces(&app).await, before);
    assert_eq!(app.rows("select 1 from ingest.audit_log").await, [] as [Value; 0]);
    let shown = serde_json::to_value(&listed).unwrap();
    assert_eq!(shown["customers"], json!({"count": 1, "ids": ["cus_1"]}));
    let uses: Vec<_> =
        shown["addresses"].as_array().unwrap().iter().map(|it| (&it["address"], &it["use"])).collect();
    assert_eq!(
        uses,
        [(&json!("ann.old@example.com"), &json!("own_rows")), (&json!(ADDRESS), &json!("followed"))]
    );

    let (again, done) = forget(&app, &ANN.to_string()).await;
    assert_eq!(again, listed);
    let counts = [
        ("events", "events emptied"),
        ("leads", "leads emptied"),
        ("tickets", "tickets emptied"),
        ("messages", "messages deleted"),
        ("dead_letters", "dead letters dropped"),
    ];
    for (what, did) in counts {
        assert_eq!(shown[what]["count"], done[did], "{what}");
    }
}

#[tokio::test]
async fn outdated_plan_is_rejected() {
    let app = lives().await;
    let listed = plan(&app, ADDRESS).await;
    app.apply([stripe("ann_late", "customer.updated", 70, customer("cus_1", ADDRESS))]).await;
    let refused = app.store.forget(&listed, "test").await;
    assert!(matches!(refused, Err(ForgetError::Changed)), "{refused:?}");
    forget(&app, ADDRESS).await;
    assert_eq!(traces(&app).await, [] as [String; 0]);
}

#[tokio::test]
async fn command_lists_and_asks_for_confirmation() {
    let app = lives().await;
    let (exit, said) = run(&app, &["forget", ADDRESS]);
    assert!(exit == 2 && said.contains("--dry-run") && said.contains("--yes"), "{said}");
    assert_eq!(run(&app, &["forget", "nobody@example.com", "--yes"]).0, 5);
    let (exit, said) = run(&app, &["forget", ADDRESS, "--dry-run"]);
    for part in
        ["would be forgotten", "delete it at Supabase", ADDRESS, "customers: 1: cus_1", "stripe/ann_1"]
    {
        assert!(exit == 0 && said.contains(part), "{part}: {said}");
    }
    let (exit, said) = run(&app, &["forget", ADDRESS, "--yes", "--json"]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["list"]["customers"]["count"], 1);
    assert_eq!(traces(&app).await, [] as [String; 0]);
    let away: Settings = vec![("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none".to_owned())];
    let output = memberflow(&away).args(["forget", ADDRESS, "--yes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
}

#[tokio::test]
async fn forget_is_rejected_during_a_rebuild() {
    let app = lives().await;
    let under_way = Rebuild::begin(&app.store).await.unwrap();
    let refused = app.store.forget(&plan(&app, ADDRESS).await, "test").await;
    assert!(matches!(refused, Err(ForgetError::RebuildIsRunning)), "{refused:?}");
    under_way.end().await.unwrap();
}

/// Ann and Bob, with all their data.
async fn lives() -> TestApp {
    TestApp::prepared("two lives", make_lives).await
}

async fn make_lives(app: &TestApp) {
    app.name_tier("Pro", "price_pro").await;
    for (user, email) in [(ANN, ADDRESS), (BOB, OTHERS_ADDRESS)] {
        app.sign_up(user, email).await;
    }
    app.apply(life("ann", ANN, "cus_1", ADDRESS, "Ann Archer")).await;
    app.apply(life("bob", BOB, "cus_10", OTHERS_ADDRESS, "Bob Banner")).await;
    let dead = stripe("ann_dead", "invoice.paid", 5, json!({"id": "in_dead", "customer_email": ADDRESS}));
    app.store.dead_letter(&[(dead, "of Ann@Example.com".to_owned())]).await.unwrap();
    app.execute(&format!(
        "insert into public.leads (email, first_name, last_name, phone, message, converted_to_user_id)
         values ('Ann@Example.com', 'Ann', 'Archer', '555-0100', 'I am Ann', '{ANN}')"
    ))
    .await;
    app.execute(&format!(
        "insert into public.support_tickets (user_id, subject, description, guest_email)
         values ('{ANN}', 'Ann asks', 'Yours, Ann', '{ADDRESS}')"
    ))
    .await;
    app.execute(
        "insert into public.support_ticket_replies (ticket_id, message) select id, 'Dear Ann' from public.support_tickets",
    )
    .await;
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, user_id)
         values ('inbound', '555-0100', '1', 'Ann here', '{ANN}')"
    ))
    .await;
    app.execute(&format!(
        "update public.user_activity_metrics set admin_notes = 'call Ann' where user_id = '{ANN}'"
    ))
    .await;
    assert_eq!(drift(app).await, []);
}

fn life(who: &str, user: Uuid, id: &str, email: &str, name: &str) -> Vec<Envelope> {
    let mut person = customer(id, email);
    person["name"] = json!(name);
    person["phone"] = json!("555-0100");
    let mut earlier = person.clone();
    earlier["email"] = json!(if who == "ann" { "ann.old@example.com" } else { "bob.old@example.com" });
    let mut invoice = paid_invoice(&format!("in_{who}"), id, 1000);
    invoice["customer_name"] = json!(name);
    let charge = json!({
        "id": format!("ch_{who}"), "object": "charge", "customer": id, "status": "succeeded", "captured": true,
        "paid": true, "amount": 1500, "amount_captured": 1500, "amount_refunded": 0, "currency": "usd",
        "created": BEGIN + 50, "payment_intent": format!("pi_{who}"), "description": format!("A session for {name}"),
        "billing_details": {"name": name, "email": email}
    });
    let method = json!({"id": format!("pm_{who}"), "object": "payment_method", "customer": id,
                        "billing_details": {"name": name, "email": email}});
    let account = json!({"id": user, "email": email, "raw_user_meta_data": {"name": name}});
    let event = |nth: usize, kind: &str, second: i64, object: Value| {
        stripe(&format!("{who}_{nth}"), kind, second, object)
    };
    vec![
        event(1, "customer.created", 0, earlier),
        event(2, "customer.updated", 5, person),
        event(3, "customer.subscription.created", 10, subscription(&format!("sub_{who}"), id, "active")),
        event(4, "invoice.paid", 20, invoice),
        event(5, "charge.succeeded", 50, charge),
        event(6, "payment_method.attached", 60, method),
        row(&format!("{who}_7"), "INSERT", "auth.users", account, Value::Null),
    ]
}

async fn plan(app: &TestApp, who: &str) -> ForgetPlan {
    app.store.plan_forget(who).await.unwrap().unwrap()
}

async fn forget(app: &TestApp, who: &str) -> (ForgetPlan, Done) {
    let plan = plan(app, who).await;
    let done = app.store.forget(&plan, "test").await.unwrap();
    (plan, done)
}

/// Money, ledger, subscriptions and counts: of everybody.
async fn books(app: &TestApp) -> Vec<Value> {
    app.rows(
        "select 'payment' as it, to_jsonb(h) - 'description' as row from public.payment_history h
         union all select 'revenue', to_jsonb(r) - array['updated_at', 'last_calculated_at']
                   from public.user_revenue_metrics r
         union all select 'movement', to_jsonb(m) from public.mrr_movements m
         union all select 'subscription', to_jsonb(s) - 'updated_at' from public.customer_subscriptions s
         union all select 'customer', to_jsonb(c) from ingest.customers c
         union all select 'fact', to_jsonb(f) from ingest.stripe_facts f where f.id like '%bob%'
         order by 1, 2",
    )
    .await
}

/// Rows of any of our tables about Ann, including bytea columns.
async fn traces(app: &TestApp) -> Vec<String> {
    // Words, so that Joann is not taken for Ann.
    let pattern = format!("\\m({})\\M", TRACES.map(|trace| trace.replace('.', "\\.")).join("|"));
    rows_with(app, &pattern).await.into_iter().filter(|row| !row.contains("Bob")).collect()
}

/// Rows of any table of ours whose text matches, each with its table; bytes as the text that they are.
async fn rows_with(app: &TestApp, pattern: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_schema || '.' || table_name from information_schema.tables
         where table_schema in ('public', 'ingest') and table_type = 'BASE TABLE'",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let text = format!(
            "select t::text || coalesce(encode(decode(substr(to_jsonb(t) ->> 'body', 3), 'hex'), 'escape'), '') as it
             from {table} t where to_jsonb(t) ->> 'body' like '\\\\x%'
             union all select t::text from {table} t where to_jsonb(t) ->> 'body' is null
                or to_jsonb(t) ->> 'body' not like '\\\\x%'"
        );
        let query = format!("select '{table}: ' || it from ({text}) as t where it ~* $1");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(pattern)
            .fetch_all(&app.database.pool)
            .await
            .unwrap();
        found.extend(rows);
    }
    found.sort();
    found
}

async fn drift(app: &TestApp) -> Vec<RowDifference> {
    let mut differences = Vec::new();
    let show = |difference| {
        differences.push(difference);
        true
    };
    rebuild::run(&app.store, true, &mut Progress::Silent, show).await.unwrap();
    differences
}

/// The exit code, and what was said: on stdout where it went well.
fn run(app: &TestApp, args: &[&str]) -> (i32, String) {
    let settings: Settings = vec![("DATABASE_URL", app.database.url())];
    let output = memberflow(&settings).args(args).output().unwrap();
    let said = if output.status.success() { output.stdout } else { [output.stdout, output.stderr].concat() };
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}
