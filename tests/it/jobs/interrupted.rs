//! A job whose process ends is run again, by the same process or another one.

use memberflow::lifecycle::Lifecycle;
use memberflow::ops::jobs::Operation;
use serde_json::{Value, json};

use super::{config, damaged, hold_up, request, run, runner, show, until_state};
use crate::support::api::TOKEN;
use crate::support::app::TestApp;
use crate::support::process::Serving;

/// Lets a job look as one that a process has left.
async fn interrupt(app: &TestApp, id: i64, attempts: i32) {
    app.execute(&format!(
        "update ingest.jobs set state = 'running', started_at = now(), attempts = {attempts} where id = {id}"
    ))
    .await;
}

#[tokio::test]
async fn running_job_whose_lock_is_free_runs_again_until_it_has_failed_often() {
    let app = damaged().await;
    let job = request(&app, Operation::Rebuild, false).await;
    interrupt(&app, job.id, 1).await;
    let again = run(&app, &config(&app), job.id).await;
    assert_eq!((again.state.as_str(), again.attempts), ("done", 2));

    let job = request(&app, Operation::Rebuild, false).await;
    interrupt(&app, job.id, 3).await;
    let failed = run(&app, &config(&app), job.id).await;
    assert_eq!((failed.state.as_str(), failed.attempts), ("failed", 3));
    let error = failed.error.unwrap();
    assert!(error.contains("3 attempts") && error.contains("run `memberflow rebuild --check`"), "{error}");
    let ends =
        app.rows("select outcome ->> 'state' as state from ingest.audit_log where act = 'jobs end'").await;
    assert_eq!(ends, [json!({"state": "done"}), json!({"state": "failed"})]);
}

#[tokio::test]
async fn job_whose_connection_is_lost_runs_again_in_the_same_process() {
    let app = damaged().await;
    let held = hold_up(&app).await;
    let job = request(&app, Operation::ReconcileSupabase, true).await;
    let config = config(&app);
    let (runner, lifecycle) = (runner(&app, &config), Lifecycle::default());
    let losing = async {
        until_state(&app, job.id, "running").await;
        // "jobs" in ASCII.
        app.execute(
            "select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
             where l.locktype = 'advisory' and l.objid = x'6a6f6273'::int and d.datname = current_database()",
        )
        .await;
        held.rollback().await.unwrap();
        let done = until_state(&app, job.id, "done").await;
        assert_eq!(done.attempts, 2);
        lifecycle.stopping.cancel();
    };
    tokio::join!(runner.run(&lifecycle), losing);
}

#[tokio::test]
async fn shutdown_puts_the_job_back_at_once() {
    let app = damaged().await;
    let held = hold_up(&app).await;
    let job = request(&app, Operation::ReconcileSupabase, true).await;
    let config = config(&app);
    let (runner, lifecycle) = (runner(&app, &config), Lifecycle::default());
    let stopping = async {
        until_state(&app, job.id, "running").await;
        lifecycle.stopping.cancel();
    };
    tokio::join!(runner.run(&lifecycle), stopping);
    let put_back = show(&app, job.id).await;
    assert_eq!((put_back.state.as_str(), put_back.attempts), ("waiting", 0));
    held.rollback().await.unwrap();
    assert_eq!(run(&app, &config, job.id).await.state, "done");
}

#[tokio::test]
async fn another_process_runs_the_job_of_one_that_was_killed() {
    let app = damaged().await;
    let held = hold_up(&app).await;
    let settings = vec![("DATABASE_URL", app.database.url()), ("MEMBERFLOW_ADMIN_TOKEN", TOKEN.to_owned())];
    let killed = Serving::roles("api", &settings);
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::new();
    let order = json!({"operation": "reconcile supabase", "is_fix": true}).to_string();
    let asked = client.post(format!("{}/api/jobs", killed.url())).bearer_auth(TOKEN);
    let answer = asked.header("content-type", "application/json").body(order).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let id = answer.json::<Value>().await.unwrap()["id"].as_i64().unwrap();
    until_state(&app, id, "running").await;
    killed.kill();

    let mut other = Serving::roles("api", &settings);
    held.rollback().await.unwrap();
    let done = until_state(&app, id, "done").await;
    assert_eq!((done.attempts, done.requested_by.as_str()), (2, "api"));
    other.ask_to_stop();
    assert!(other.ended().await.0.success());
}
