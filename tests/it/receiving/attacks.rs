//! Attacks: good events are still accepted, and nothing else is stored.

use std::iter;
use std::net::SocketAddr;

use memberflow::http::connection_limit::raise_open_files;
use rustix::process::{Resource, getrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::database::TestDatabase;
use crate::support::population::Population;
use crate::support::process::{Serving, Settings};
use crate::support::receiver::{
    STRIPE_SECRETS, SUPABASE_SECRETS, TestReceiver, assert_problem, eventually, stall,
};
use crate::whole_way::sender::Sender;

fn event(number: usize) -> String {
    format!(r#"{{"id":"evt_{number}","type":"t","created":1}}"#)
}

/// Sends events one after the other; each must be taken.
async fn good_ones_are_taken(receiver: &TestReceiver, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(receiver.stripe(event(number)).send().await.unwrap().status(), 200);
    }
}

/// Opens connections that say `said` and then nothing more.
async fn silent(address: SocketAddr, count: usize, said: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn idle_or_slow_connections_block_nobody() {
    let receiver = TestReceiver::with(|config| config.max_requests = 4).await;
    // Five thousand, where both ends of so many may be open in one process.
    raise_open_files();
    let files = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize);
    let count = (files / 9).min(5000 / 3);
    let idle = silent(receiver.address, count, "").await;
    let half_headers = silent(receiver.address, count, "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n").await;
    let half_bodies = "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{";
    let half_bodies = silent(receiver.address, count, half_bodies).await;
    good_ones_are_taken(&receiver, 0..20).await;
    drop((idle, half_headers, half_bodies));
    assert_eq!(receiver.pending().await.len(), 20);
}

#[tokio::test]
async fn excess_connections_are_evicted_for_new_ones() {
    let database = TestDatabase::migrated().await;
    let settings: Settings = vec![
        ("DATABASE_URL", database.url()),
        ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
        ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
    ];
    let mut serving = Serving::with_open_files(128, "receive", &settings);
    let good = &Population::read().fixture_events(1)[..20];
    let sender = Sender::to(serving.url());
    sender.deliver(&good[..1], 1).await;
    let idle = silent(serving.address, 300, "").await;
    sender.deliver(good, 4).await;
    let half_headers = silent(serving.address, 300, "POST / HTTP/1.1\r\n").await;
    sender.deliver(good, 4).await;
    assert!(serving.is_running());
    assert!(!serving.log().contains("accept failed"), "{}", serving.log());
    drop((idle, half_headers));
}

#[tokio::test]
async fn floods_of_bad_deliveries_block_nobody() {
    let receiver = TestReceiver::with(|config| config.body_limit_bytes = 64 * 1024).await;
    let deep = format!(r#"{{"type":"t","created":1,"x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    let mut floods = JoinSet::new();
    for number in 0..300 {
        let forged = receiver.post("/webhooks/stripe", event(number));
        let forged = forged.header("stripe-signature", "t=1764158400,v1=00").build().unwrap();
        let unsigned = receiver.post("/webhooks/stripe", event(number)).build().unwrap();
        let long = receiver.stripe(" ".repeat(480 * 1024)).build().unwrap();
        let deep = receiver.stripe(deep.clone()).build().unwrap();
        let request = match number % 4 {
            0 => forged,
            1 => unsigned,
            2 => long,
            _ => deep,
        };
        let client = receiver.client.clone();
        floods.spawn(async move { client.execute(request).await.unwrap().status().as_u16() });
    }
    good_ones_are_taken(&receiver, 1000..1020).await;
    let mut statuses: Vec<u16> = iter::from_fn(|| floods.try_join_next()).map(Result::unwrap).collect();
    assert!(statuses.len() < 300, "the flood's answers wait, those to good deliveries do not");
    statuses.extend(floods.join_all().await);
    for status in statuses {
        assert!([200, 400, 413].contains(&status), "{status}");
    }
    let pending = receiver.pending().await;
    assert_eq!(pending.len(), 20);
    assert!(pending.iter().all(|event| event.event_id.starts_with("evt_10")));
}

#[tokio::test]
async fn overload_is_shed_and_accepted_on_retry() {
    let receiver = TestReceiver::with(|config| config.max_requests = 4).await;
    let lock = stall(&receiver.database.pool).await;
    let mut under_way = JoinSet::new();
    for number in 0..4 {
        under_way.spawn(receiver.stripe(event(number)).send());
    }
    eventually("all places to be taken", async || {
        let response = receiver.post("/webhooks/stripe", "{}").send().await.unwrap();
        (response.status() == 429).then_some(())
    })
    .await;
    for number in 4..24 {
        assert_problem(receiver.stripe(event(number)).send().await.unwrap(), 429, "overloaded").await;
    }
    lock.rollback().await.unwrap();
    under_way.join_all().await;
    eventually("a place to be free", async || {
        (receiver.stripe(event(4)).send().await.unwrap().status() == 200).then_some(())
    })
    .await;
}
