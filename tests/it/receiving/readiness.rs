//! `/readyz` does no I/O: many probes and a slow database do not affect deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::broker::url_at;
use crate::support::database::TestDatabase;
use crate::support::population::Population;
use crate::support::process::{Serving, Settings};
use crate::support::proxy::{Mode, Proxy};
use crate::support::receiver::{STRIPE_SECRETS, SUPABASE_SECRETS, eventually};
use crate::whole_way::sender::Sender;

/// Far enough that ten connections could ask the database for a hundred of the questions a second: 400 would have to wait
/// for longer than anybody waits for a connection.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// A receiver whose database is behind a proxy.
async fn behind_proxy(database: &TestDatabase) -> (Proxy, Serving) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let server = database.options();
    let server = lookup_host((server.get_host(), server.get_port())).await.unwrap().next().unwrap();
    let proxy = Proxy::to(server).await;
    let settings: Settings = vec![
        ("DATABASE_URL", url_at(&database.url(), proxy.address)),
        ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
        ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
    ];
    let serving = Serving::roles("receive", &settings);
    (proxy, serving)
}

async fn readiness(client: &reqwest::Client, url: &str) -> (u16, Value) {
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_flood_rejects_no_delivery() {
    let database = TestDatabase::migrated().await;
    let (proxy, serving) = behind_proxy(&database).await;
    let sender = Sender::to(serving.url());
    let good = &Population::read().fixture_events(1)[..31];
    sender.deliver(&good[..1], 1).await;
    proxy.set_round_trip(ROUND_TRIP);
    let (url, client) = (format!("{}/readyz", serving.url()), reqwest::Client::new());
    let (mut flood, answered) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..400 {
        let (client, url, answered) = (client.clone(), url.clone(), answered.clone());
        flood.spawn(async move {
            loop {
                let (status, answer) = readiness(&client, &url).await;
                assert_eq!(status, 200, "{answer}");
                assert!(answer["checked_seconds_ago"].as_f64().unwrap() < 30.0, "{answer}");
                answered.fetch_add(1, Ordering::Relaxed);
                // Several times what the connections could, and no more: the machine has other things to do.
                sleep(Duration::from_secs(1)).await;
            }
        });
    }
    eventually("the flood", async || (answered.load(Ordering::Relaxed) > 800).then_some(())).await;
    for events in good[1..].chunks(5) {
        let answers = join_all(events.iter().map(|event| sender.post(event))).await;
        for answer in answers {
            assert_eq!(answer.unwrap().status(), 200, "{}", serving.log());
        }
    }
    assert!(flood.try_join_next().is_none(), "every question was answered");
}

#[tokio::test]
async fn stalled_check_serves_last_result_and_logs_once() {
    let database = TestDatabase::migrated().await;
    let (proxy, serving) = behind_proxy(&database).await;
    let (url, client) = (format!("{}/readyz", serving.url()), reqwest::Client::new());
    eventually("the first check", async || (readiness(&client, &url).await.0 == 200).then_some(())).await;
    proxy.set(Mode::Stall);
    let age = async || {
        let (status, answer) = readiness(&client, &url).await;
        (status == 200).then(|| answer["checked_seconds_ago"].as_f64().unwrap())
    };
    // A check a second ends in time; a stalled one leaves its predecessor to be shown.
    eventually("the last result to age", async || age().await.filter(|age| *age > 1.5)).await;
    let down = || serving.log().matches("dependency down").count();
    eventually("the check to give up", async || (readiness(&client, &url).await.0 == 503).then_some(()))
        .await;
    eventually("further checks", async || {
        let (_, answer) = readiness(&client, &url).await;
        answer["checked_seconds_ago"].as_f64().filter(|age| *age > 2.5)
    })
    .await;
    assert_eq!(down(), 1, "{}", serving.log());
    proxy.set(Mode::Pass);
    eventually("the database again", async || (readiness(&client, &url).await.0 == 200).then_some(())).await;
    assert_eq!((down(), serving.log().matches("dependency up again").count()), (1, 1));
}
