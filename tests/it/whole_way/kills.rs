//! Killed processes: acknowledged events are applied exactly once.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::deployment::{DEADLINE, Deployment, Kind, assert_as_if_applied_directly, ids};
use super::sender::Sender;
use crate::support::process::{Serving, memberflow};
use crate::support::receiver::eventually;

/// The longest that a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Between two posts of one lane: a stream that lasts long enough to be interrupted.
const PAUSE: Duration = Duration::from_millis(10);

const APPLIED: &str = "select count(*) from ingest.events where state = 'applied' and source <> 'internal'";

/// Posts what remains, and checks that the tables are as they must be.
async fn ends_well(deployment: &Deployment, serving: &Serving, sender: &Sender, when: &str) {
    deployment.applied(&sender.taken()).await;
    let events = deployment.events();
    Sender::to(serving.url()).deliver(&events, 8).await;
    deployment.applied(&ids(&events)).await;
    assert_as_if_applied_directly(deployment, when).await;
}

#[tokio::test]
async fn killed_receiver_keeps_accepted_events_on_rabbitmq() {
    a_receiver_killed_in_mid_stream(Kind::RabbitMq).await;
}

#[tokio::test]
async fn killed_receiver_keeps_accepted_events_on_postgres() {
    a_receiver_killed_in_mid_stream(Kind::Postgres).await;
}

async fn a_receiver_killed_in_mid_stream(kind: Kind) {
    let deployment = Deployment::new(kind).await;
    let mut receiver = Serving::roles("receive,relay", &deployment.settings());
    let consumer = Serving::roles("consume", &deployment.settings());
    let (address, events) = (receiver.address.to_string(), deployment.events());
    let sender = Sender::to(receiver.url());
    let killing = async {
        for _ in 0..2 {
            sender.acknowledges(20).await;
            receiver.kill();
            receiver = Serving::at(&address, "receive,relay", &deployment.settings());
        }
        receiver
    };
    let receiver = sender.post_during(&events, (6, PAUSE), killing).await;
    ends_well(&deployment, &receiver, &sender, "after kills of the receiver").await;
    drop(consumer);
}

#[tokio::test]
async fn killed_consumer_is_exactly_once_on_rabbitmq() {
    a_consumer_killed_in_mid_batch(Kind::RabbitMq).await;
}

#[tokio::test]
async fn killed_consumer_is_exactly_once_on_postgres() {
    a_consumer_killed_in_mid_batch(Kind::Postgres).await;
}

async fn a_consumer_killed_in_mid_batch(kind: Kind) {
    let deployment = Deployment::new(kind).await;
    let settings = deployment.settings_with("MEMBERFLOW_BATCH_MAX_EVENTS", "9".to_owned());
    let receiver = Serving::roles("receive,relay", &settings);
    let events = deployment.events();
    let sender = Sender::to(receiver.url());
    sender.deliver(&events, 8).await;
    let (all, kills) = (i64::try_from(ids(&events).len()).unwrap(), 3);
    for kill in 1..=kills {
        let consumer = Serving::roles("consume", &settings);
        let some = all * kill / (kills + 1);
        eventually("some applied", async || (deployment.count(APPLIED).await >= some).then_some(())).await;
        consumer.kill();
    }
    let _consumer = Serving::roles("consume", &settings);
    deployment.applied(&ids(&events)).await;
    assert_as_if_applied_directly(&deployment, "after kills of the consumer").await;
}

#[tokio::test]
async fn shutdown_under_load_loses_nothing_on_rabbitmq() {
    a_service_asked_to_stop_under_load(Kind::RabbitMq).await;
}

#[tokio::test]
async fn shutdown_under_load_loses_nothing_on_postgres() {
    a_service_asked_to_stop_under_load(Kind::Postgres).await;
}

async fn a_service_asked_to_stop_under_load(kind: Kind) {
    let deployment = Deployment::new(kind).await;
    let mut serving = Serving::all(&deployment.settings());
    let events = deployment.events();
    let sender = Sender::to(serving.url());
    let stopping = async {
        while sender.taken().len() < 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        serving.ask_to_stop();
        serving.ended().await
    };
    let posting = sender.post_all(&events, 16, PAUSE);
    let both = async { tokio::join!(posting, stopping) };
    let ((), (status, took)) = tokio::time::timeout(DEADLINE, both).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", serving.log());
    assert!(took < STOP_LIMIT, "{took:?}");

    let next = Serving::all(&deployment.settings());
    ends_well(&deployment, &next, &sender, "after a stop under load").await;
}

#[tokio::test]
async fn process_with_closed_stderr_still_stops() {
    let deployment = Deployment::new(Kind::Postgres).await;
    let mut command = memberflow(&deployment.settings());
    command.args(["serve", "--roles", "consume", "--bind", "127.0.0.1:0"]);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(process.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("listening"), "{said}");
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        if asked.elapsed() > DEADLINE {
            process.kill().unwrap();
            panic!("it does not stop");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(status.code(), Some(0));
}
