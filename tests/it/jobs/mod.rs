//! Long operations as jobs: run in the background for whoever requested them, one at a time, and repeated where they were
//! interrupted.

mod interrupted;

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::lifecycle::Lifecycle;
use memberflow::ops::drift;
use memberflow::ops::jobs::run::Runner;
use memberflow::ops::jobs::{self, CancelError, Job, Operation};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::reconciling::account::Account;
use crate::support;
use crate::support::app::{NOW, TestApp, customer, stripe, subscription};
use crate::support::process::memberflow;
use crate::support::receiver::eventually;

pub const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

/// A member whose MRR is not what the events make it.
pub async fn damaged() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
    ])
    .await;
    app.execute("update public.user_revenue_metrics set mrr = 4711").await;
    app
}

fn config(app: &TestApp) -> Config {
    support::config(app.database.url())
}

pub fn runner(app: &TestApp, config: &Config) -> Runner {
    Runner::new(config, &Clock::fixed(NOW), app.database.pool.clone())
}

/// The settings of a process that reads from this account.
fn with_account(app: &TestApp, account: &Account) -> Config {
    Config {
        stripe_api_key: Some(SecretString::from("sk_test_123".to_owned())),
        stripe_api_base: Some(account.base.clone()),
        stripe_requests_per_second: 100,
        ..config(app)
    }
}

/// Requests a job as Ada.
async fn request(app: &TestApp, operation: Operation, is_fix: bool) -> Job {
    jobs::request(&app.database.pool, operation, is_fix, None, "ada", NOW).await.unwrap().0
}

pub async fn show(app: &TestApp, id: i64) -> Job {
    jobs::show(&app.database.pool, id).await.unwrap().unwrap()
}

pub async fn until_state(app: &TestApp, id: i64, state: &str) -> Job {
    eventually(&format!("job {id} is {state}"), async || {
        Some(show(app, id).await).filter(|job| job.state == state)
    })
    .await
}

/// Runs jobs until this one has ended.
async fn run(app: &TestApp, config: &Config, id: i64) -> Job {
    let (runner, lifecycle) = (runner(app, config), Lifecycle::default());
    let ended = eventually("the job ends", async || Some(show(app, id).await).filter(|job| !job.is_active()));
    tokio::select! {
        () = runner.run(&lifecycle) => unreachable!("nothing stops it"),
        job = ended => job,
    }
}

/// Lets no comparison of the database with itself get beyond the tickets until it is rolled back.
pub async fn hold_up(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut held = memberflow::database::begin(&app.database.pool).await.unwrap();
    let lock = "lock table public.support_tickets in access exclusive mode";
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    held
}

async fn mrr(app: &TestApp) -> Value {
    app.rows("select mrr from public.user_revenue_metrics").await[0]["mrr"].clone()
}

#[tokio::test]
async fn comparison_stores_drift_in_the_name_of_who_requested_it() {
    let app = damaged().await;
    let job = request(&app, Operation::Rebuild, false).await;
    assert_eq!((job.state.as_str(), job.attempts), ("waiting", 0));
    let job = run(&app, &config(&app), job.id).await;
    assert_eq!((job.state.as_str(), job.attempts, job.error.as_deref()), ("done", 1, None));
    let result = job.result.unwrap().0;
    assert_eq!(result["check"], true);
    assert!(result["differing"]["public.user_revenue_metrics"].as_i64().unwrap() > 0, "{result}");
    let check = &drift::last(&app.database.pool).await.unwrap()[0];
    assert_eq!((check.name.as_str(), check.actor.as_str(), check.is_fix), ("rebuild", "ada", false));
    assert!(check.remaining > 0 && check.differences.0.iter().any(|it| it.here == json!(4711)), "{check:?}");
    assert_eq!(mrr(&app).await, 4711, "nothing was to be fixed");
}

#[tokio::test]
async fn fix_corrects_rows_and_is_audited_like_any_act() {
    let app = damaged().await;
    let job = request(&app, Operation::Rebuild, true).await;
    let job = run(&app, &config(&app), job.id).await;
    assert_eq!((job.state.as_str(), mrr(&app).await), ("done", json!(1000)));
    let acts = app.rows("select actor, act from ingest.audit_log order by id").await;
    let expected = ["jobs request", "rebuild", "jobs end"].map(|act| json!({"actor": "ada", "act": act}));
    assert_eq!(acts, expected);
    let ends = "select arguments, outcome from ingest.audit_log where act = 'jobs end'";
    assert_eq!(
        app.rows(ends).await,
        [json!({
            "arguments": {"job": job.id, "operation": "rebuild", "is_fix": true}, "outcome": {"state": "done"}
        })]
    );
}

#[tokio::test]
async fn stripe_is_compared_and_fixed_with_the_settings_of_the_process() {
    let (app, account) = (damaged().await, Account::open().await);
    account.has("customers", customer("cus_1", "ada@example.com"));
    account.has("subscriptions", subscription("sub_1", "cus_1", "past_due"));
    let config = with_account(&app, &account);
    let job = request(&app, Operation::ReconcileStripe, true).await;
    let job = run(&app, &config, job.id).await;
    assert_eq!((job.state.as_str(), job.error.as_deref()), ("done", None));
    assert_eq!(job.part.as_deref(), Some("facts that are in no list"));
    let check = &drift::last(&app.database.pool).await.unwrap()[0];
    assert_eq!((check.name.as_str(), check.actor.as_str(), check.found), ("reconcile stripe", "ada", 1));
    let fixed = app.rows("select actor from ingest.audit_log where act = 'reconcile stripe'").await;
    assert_eq!(fixed, [json!({"actor": "ada"})]);
    account.refuses(0, 401);
    let job = request(&app, Operation::ReconcileStripe, false).await;
    let job = run(&app, &config, job.id).await;
    let error = job.error.unwrap();
    assert!(job.state == "failed" && error.contains("Stripe answered 401"), "{error}");
    assert!(error.contains("make a new key"), "{error}");
}

#[tokio::test]
async fn one_object_is_fixed_and_leaves_the_last_comparison() {
    let (app, account) = (damaged().await, Account::open().await);
    account.has("customers", customer("cus_1", "grace@example.com"));
    account.has("subscriptions", subscription("sub_1", "cus_1", "past_due"));
    let config = with_account(&app, &account);
    let all = request(&app, Operation::ReconcileStripe, false).await;
    run(&app, &config, all.id).await;
    let pool = &app.database.pool;
    let ask =
        async |operation, is_fix, object| jobs::request(pool, operation, is_fix, object, "ada", NOW).await;
    let (job, _) = ask(Operation::ReconcileStripe, true, Some("sub_1")).await.unwrap();
    assert_eq!(job.command(), "memberflow reconcile stripe --fix --object sub_1");
    for object in [None, Some("cus_1")] {
        let refused = ask(Operation::ReconcileStripe, true, object).await.unwrap_err().to_string();
        assert!(refused.contains("is waiting and only about sub_1"), "{refused}");
    }
    let (same, is_new) = ask(Operation::ReconcileStripe, false, Some("sub_1")).await.unwrap();
    assert_eq!((same.id, is_new), (job.id, false));

    let job = run(&app, &config, job.id).await;
    assert_eq!((job.state.as_str(), job.error.as_deref()), ("done", None));
    assert_eq!(job.result.unwrap().0["objects"], json!({"subscription": 1}));
    let check = &drift::last(pool).await.unwrap()[0];
    let left: Vec<&str> = check.differences.0.iter().map(|it| it.object.as_str()).collect();
    assert_eq!((check.is_fix, check.found, check.remaining), (false, 2, 1));
    assert_eq!(left, ["customer cus_1"], "the other one is fixed");
    let acts = app.rows("select arguments from ingest.audit_log where act = 'reconcile stripe'").await;
    assert_eq!(acts, [json!({"arguments": {"object": "sub_1"}})]);

    for (operation, object, says) in [
        (Operation::ReconcileTwilio, "sub_1", "only reconcile stripe compares one object"),
        (Operation::ReconcileStripe, "pi_1", "one of prod_, price_"),
    ] {
        let refused = ask(operation, true, Some(object)).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[tokio::test]
async fn job_without_a_needed_setting_fails_with_the_commands_text() {
    let app = TestApp::begin().await;
    for operation in [Operation::ReconcileStripe, Operation::ReconcileTwilio] {
        let job = request(&app, operation, false).await;
        let job = run(&app, &config(&app), job.id).await;
        let error = job.error.unwrap();
        assert!(job.state == "failed" && error.contains("set"), "{error}");
        let settings = vec![("DATABASE_URL", app.database.url())];
        let command = memberflow(&settings).args(operation.as_str().split(' ')).output().unwrap();
        let said = String::from_utf8(command.stderr).unwrap();
        assert!(said.contains(&error), "{said:?} does not say {error:?}");
    }
    let ends = app.rows("select distinct outcome from ingest.audit_log where act = 'jobs end'").await;
    assert_eq!(ends, [json!({"outcome": {"state": "failed"}})]);
}

#[tokio::test]
async fn requests_at_once_are_one_job_of_each_operation() {
    let app = TestApp::begin().await;
    let pool = &app.database.pool;
    let ask = |operation, actor| jobs::request(pool, operation, false, None, actor, NOW);
    let (one, other, another) = tokio::join!(
        ask(Operation::Rebuild, "ada"),
        ask(Operation::Rebuild, "bob"),
        ask(Operation::ReconcileSupabase, "ada")
    );
    let (one, other, another) = (one.unwrap(), other.unwrap(), another.unwrap());
    assert_eq!(one.0, other.0);
    assert!(one.1 != other.1 && another.1, "one of the requests made it");
    assert_ne!(one.0.id, another.0.id);
    let requests = app.rows("select act from ingest.audit_log").await;
    assert_eq!(requests.len(), 2);
    jobs::cancel(pool, one.0.id, "ada", NOW).await.unwrap();
    let (next, is_new) = ask(Operation::Rebuild, "ada").await.unwrap();
    assert!(is_new && next.id > another.0.id);
}

#[tokio::test]
async fn two_processes_run_each_job_once() {
    let app = damaged().await;
    let first = request(&app, Operation::ReconcileSupabase, false).await;
    let second = request(&app, Operation::Rebuild, false).await;
    let config = config(&app);
    let (one, other, lifecycle) = (runner(&app, &config), runner(&app, &config), Lifecycle::default());
    let ended = async {
        until_state(&app, first.id, "done").await;
        until_state(&app, second.id, "done").await;
        lifecycle.stopping.cancel();
    };
    tokio::join!(one.run(&lifecycle), other.run(&lifecycle), ended);
    for id in [first.id, second.id] {
        assert_eq!(show(&app, id).await.attempts, 1);
    }
}

#[tokio::test]
async fn cancelled_job_stops_and_another_can_be_requested() {
    let app = damaged().await;
    let held = hold_up(&app).await;
    let job = request(&app, Operation::ReconcileSupabase, true).await;
    let waiting = request(&app, Operation::Rebuild, true).await;
    let config = config(&app);
    let (runner, lifecycle) = (runner(&app, &config), Lifecycle::default());
    let cancelling = async {
        until_state(&app, job.id, "running").await;
        for id in [waiting.id, job.id] {
            jobs::cancel(&app.database.pool, id, "grace", NOW).await.unwrap();
        }
        held.rollback().await.unwrap();
        let next = request(&app, Operation::ReconcileSupabase, false).await;
        until_state(&app, next.id, "done").await;
        lifecycle.stopping.cancel();
    };
    tokio::join!(runner.run(&lifecycle), cancelling);
    let cancelled = show(&app, job.id).await;
    assert_eq!((cancelled.state.as_str(), cancelled.result), ("cancelled", None));
    assert_eq!(show(&app, waiting.id).await.attempts, 0);
    let acts = app.rows("select actor from ingest.audit_log where act = 'jobs cancel'").await;
    assert_eq!(acts, [json!({"actor": "grace"}), json!({"actor": "grace"})]);
    let pool = &app.database.pool;
    let again = jobs::cancel(pool, job.id, "grace", NOW).await.unwrap_err();
    assert!(matches!(&again, CancelError::Ended { state, .. } if state == "cancelled"), "{again}");
    assert!(matches!(jobs::cancel(pool, 99, "grace", NOW).await, Err(CancelError::NotFound(99))));
}

#[tokio::test]
async fn cancelled_jobs_statement_ends_in_the_database() {
    const WAITING: &str = "select from pg_locks l join pg_database d on d.oid = l.database
        where not l.granted and l.locktype = 'relation' and d.datname = current_database()";
    let app = damaged().await;
    let held = hold_up(&app).await;
    let job = request(&app, Operation::ReconcileSupabase, false).await;
    let config = config(&app);
    let (runner, lifecycle) = (runner(&app, &config), Lifecycle::default());
    let cancelling = async {
        let waiting = async |count: usize| (app.rows(WAITING).await.len() == count).then_some(());
        eventually("the statement waits", async || waiting(1).await).await;
        jobs::cancel(&app.database.pool, job.id, "grace", NOW).await.unwrap();
        eventually("the statement has ended", async || waiting(0).await).await;
        held.rollback().await.unwrap();
        lifecycle.stopping.cancel();
    };
    tokio::join!(runner.run(&lifecycle), cancelling);
}

#[tokio::test]
async fn job_that_ended_long_ago_is_deleted_with_the_next_request() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.jobs (operation, is_fix, state, requested_by, requested_at, ended_at)
         select 'rebuild', false, state, 'ada', '2026-01-01Z', ended_at::timestamptz
         from (values ('done', '2026-08-22 11:59Z'), ('done', '2026-08-22 12:01Z'), ('running', null))
             jobs (state, ended_at)",
    )
    .await;
    let left = "select id from ingest.jobs order by id";
    let again = jobs::request(&app.database.pool, Operation::Rebuild, false, None, "ada", NOW);
    let (_, is_new) = again.await.unwrap();
    assert_eq!((is_new, app.rows(left).await.len()), (false, 3), "nothing was made");
    let made = request(&app, Operation::ReconcileStripe, false).await;
    assert_eq!(app.rows(left).await, [2, 3, made.id].map(|id| json!({"id": id})));
}
