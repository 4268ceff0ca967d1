//! The tables do not depend on how events arrive: by HTTP or directly, in order or not, repeated, over either
//! queue, through one process or several.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::deployment::{DEADLINE, Deployment, Kind, assert_as_if_applied_directly, fixtures_folder, ids};
use super::sender::Sender;
use crate::support::dump;
use crate::support::process::{Serving, memberflow};

/// Consumers that listen for pending events: each has a connection for that, on which it counts them now and then.
const LISTENING: &str = "
    select count(*) from pg_stat_activity
    where datname = current_database() and query ~ '(memberflow_events|as waiting$)' and pid <> pg_backend_pid()";

/// Shuffled replays, each with every event twice, over what is applied already. The orders themselves are `applying`'s.
const REPLAYS: u64 = 2;

#[tokio::test]
async fn repeated_shuffled_replay_over_rabbitmq() {
    replayed_again_and_again(Kind::RabbitMq).await;
}

#[tokio::test]
async fn repeated_shuffled_replay_over_postgres() {
    replayed_again_and_again(Kind::Postgres).await;
}

async fn replayed_again_and_again(kind: Kind) {
    let deployment = Deployment::new(kind).await;
    let serving = Serving::all(&deployment.settings());
    let mut posted = deployment.events().len();
    replay(&deployment, &serving, &["--concurrency", "16"]).await;
    resolved(&deployment, &serving, posted).await;
    deployment.applied(&ids(&deployment.events())).await;
    assert_as_if_applied_directly(&deployment, "replayed once").await;

    let once = deployment.tables().await;
    for seed in 1..=REPLAYS {
        let seed = seed.to_string();
        replay(&deployment, &serving, &["--shuffle", &seed, "--duplicate", "2"]).await;
        posted += 2 * deployment.events().len();
        resolved(&deployment, &serving, posted).await;
        dump::assert_same(&once, &deployment.tables().await, &format!("replayed with seed {seed}"));
    }
}

#[tokio::test]
async fn two_consumers_share_one_rabbitmq_queue() {
    two_consumers_share_one_queue(Kind::RabbitMq).await;
}

#[tokio::test]
async fn two_consumers_share_one_postgres_queue() {
    two_consumers_share_one_queue(Kind::Postgres).await;
}

async fn two_consumers_share_one_queue(kind: Kind) {
    let deployment = Deployment::new(kind).await;
    // Small batches, so that both have something to do.
    let settings = deployment.settings_with("MEMBERFLOW_BATCH_MAX_EVENTS", "7".to_owned());
    let receiver = Serving::roles("receive,relay", &settings);
    let consumers = [Serving::roles("consume", &settings), Serving::roles("consume", &settings)];
    let deadline = Instant::now() + DEADLINE;
    while deployment.count(LISTENING).await < 2 {
        assert!(Instant::now() < deadline, "one of them never takes pending events");
        sleep(Duration::from_millis(20)).await;
    }
    let mut events = deployment.events();
    fastrand::Rng::with_seed(7).shuffle(&mut events);
    let sender = Sender::to(receiver.url());
    loop {
        sender.deliver(&events, 16).await;
        deployment.applied(&ids(&events)).await;
        // One may have taken everything while the other was still starting.
        if applied_by(&consumers[0]).await > 0 && applied_by(&consumers[1]).await > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "one of them has nothing to do");
    }
    assert_as_if_applied_directly(&deployment, "through two consumers").await;
}

/// Posts all fixtures with `memberflow replay`.
async fn replay(deployment: &Deployment, serving: &Serving, flags: &[&str]) {
    let mut command = memberflow(&deployment.settings());
    command.arg("replay").arg(fixtures_folder()).args(["--url", &serving.url()]).args(flags);
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Waits until the service has come to terms with as many deliveries as were posted. Those that come again to Postgres
/// are known for that as they are accepted: there nothing may be pending.
async fn resolved(deployment: &Deployment, serving: &Serving, posted: usize) {
    let deadline = Instant::now() + DEADLINE;
    let is_settled = async || match deployment.broker {
        Some(_) => applied_by(serving).await >= posted,
        None => deployment.count("select count(*) from ingest.events where state = 'pending'").await == 0,
    };
    while !is_settled().await {
        assert!(Instant::now() < deadline, "not all was applied:\n{}", serving.log());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Events that a consumer says it applied, new or not.
async fn applied_by(serving: &Serving) -> usize {
    let figures = reqwest::get(format!("{}/metrics", serving.url())).await.unwrap().text().await.unwrap();
    let applied = figures.lines().filter(|line| line.starts_with("memberflow_events_applied_total{"));
    applied.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}
