//! A job is requested on a page and followed on its own, which shows by itself how far it is.

use memberflow::lifecycle::Lifecycle;
use serde_json::json;

use super::app::full_app;
use super::{Console, axe};
use crate::jobs::{runner, until_state};

/// Set in a page that is not loaded again.
const STAYS: &str = "window.stays = true";

#[tokio::test]
async fn jobs_are_followed_and_cancelled_on_their_pages() {
    let console = Console::signed_in(full_app().await).await;
    running_job_is_cancelled_on_its_page(&console).await;
    job_shows_its_progress_and_its_result_by_itself(&console).await;
    console.close().await;
}

async fn job_shows_its_progress_and_its_result_by_itself(console: &Console) {
    let (app, chromium) = (&console.app, &console.chromium);
    console.go("/console/attention").await;
    chromium.click("[aria-label='Compare now: rebuild']").await;
    chromium.wait_for_path("/console/jobs/3").await;
    chromium.wait_for("#job", "waiting").await;
    chromium.run(STAYS, json!([])).await;

    app.execute(
        "update ingest.jobs set state = 'running', part = 'resolving events', done = 30, total = 100 where id = 3",
    )
    .await;
    chromium.wait_for("#job", "resolving events, 30 of 100").await;
    chromium.wait_until("document.querySelector('progress').value === 30").await;
    axe::assert_clean(chromium, "a job that runs").await;
    chromium.run("document.querySelector('#job button').focus()", json!([])).await;
    app.execute("update ingest.jobs set done = 60 where id = 3").await;
    chromium.wait_for("#job", "resolving events, 60 of 100").await;
    chromium.wait_until("document.activeElement.innerText === 'Cancel'").await;

    // What was only said above is done.
    app.execute("update ingest.jobs set state = 'waiting' where id = 3").await;
    app.execute("update ingest.jobs set state = 'cancelled' where id = 2").await;
    let config = crate::support::config(app.database.url());
    let (runner, lifecycle) = (runner(app, &config), Lifecycle::default());
    let following = async {
        until_state(app, 3, "done").await;
        chromium.wait_for("#job", "done").await;
        chromium.wait_for("#job", "customers").await;
        lifecycle.stopping.cancel();
    };
    tokio::join!(runner.run(&lifecycle), following);
    chromium.wait_until("window.stays && !document.querySelector('progress, #job form')").await;
    assert_eq!(chromium.run("return document.getElementById('changed').hidden", json!([])).await, true);
    chromium.click_on("#job", "What differed").await;
    chromium.wait_for("#drift ~ .card:last-of-type", "rebuild").await;
}

async fn running_job_is_cancelled_on_its_page(console: &Console) {
    let chromium = &console.chromium;
    console.go("/console/jobs").await;
    chromium.click_on("#list", "2").await;
    chromium.wait_for_path("/console/jobs/2").await;
    chromium.click_on("#job", "Cancel").await;
    chromium.wait_for("#job", "cancelled").await;
    let acts = console
        .app
        .rows("select actor, arguments -> 'job' as job from ingest.audit_log where act = 'jobs cancel'");
    assert_eq!(acts.await, [json!({"actor": "ada", "job": 2})]);
}
