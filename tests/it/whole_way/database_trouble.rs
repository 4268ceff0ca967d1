//! Postgres is down when the service starts, and comes up later.

use std::net::SocketAddr;
use std::time::Duration;

use memberflow::envelope::Source;
use memberflow::ops::fixture::FixtureEvent;

use super::deployment::{Deployment, Kind, ids};
use super::sender::Sender;
use crate::support::broker::broker_url;
use crate::support::database::server_url;
use crate::support::process::{Serving, Settings, memberflow};
use crate::support::proxy::Proxy;
use crate::support::receiver::eventually;
use crate::support::servers::quiet_address;

/// The deployment's settings with the database behind `address`.
fn behind(deployment: &Deployment, address: SocketAddr) -> Settings {
    let mut url: reqwest::Url = deployment.database.url().parse().unwrap();
    url.set_ip_host(address.ip()).unwrap();
    url.set_port(Some(address.port())).unwrap();
    deployment.settings_with("DATABASE_URL", url.to_string())
}

async fn database_address() -> SocketAddr {
    let url: reqwest::Url = server_url().parse().unwrap();
    let host = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(5432));
    tokio::net::lookup_host(host).await.unwrap().next().unwrap()
}

fn first(deployment: &Deployment, source: Source) -> FixtureEvent {
    deployment.events().into_iter().find(|event| event.source == source).unwrap()
}

#[tokio::test]
async fn full_outage_rejects_stripe_but_not_logins() {
    let deployment = Deployment::new(Kind::Postgres).await;
    let address = quiet_address();
    let mut serving = Serving::all(&behind(&deployment, address));
    let sender = Sender::to(serving.url());

    let refused = sender.post(&first(&deployment, Source::Stripe)).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let hook = first(&deployment, Source::SupabaseAuth);
    let answered = sender.post(&hook).await.unwrap();
    assert_eq!(answered.status(), 200);
    let answer: serde_json::Value = answered.json().await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    let unready = reqwest::get(format!("{}/readyz", serving.url())).await.unwrap();
    assert_eq!(unready.status(), 503);
    let alive = reqwest::get(format!("{}/healthz", serving.url())).await.unwrap();
    assert_eq!(alive.status(), 200);

    let _proxy = Proxy::at(address, database_address().await).await;
    taken_at_last(&sender, &first(&deployment, Source::Stripe)).await;
    let events = deployment.events();
    sender.deliver(&events, 4).await;
    deployment.applied(&ids(&events)).await;
    assert!(serving.is_running());
}

#[tokio::test]
async fn database_outage_events_wait_in_the_broker() {
    let deployment = Deployment::new(Kind::RabbitMq).await;
    assert!(deployment.settings().contains(&("AMQP_URL", broker_url())));
    let address = quiet_address();
    let mut serving = Serving::all(&behind(&deployment, address));
    let sender = Sender::to(serving.url());
    taken_at_last(&sender, &first(&deployment, Source::Stripe)).await;
    let events = deployment.events();
    sender.deliver(&events, 4).await;

    let _proxy = Proxy::at(address, database_address().await).await;
    deployment.applied(&ids(&events)).await;
    assert!(serving.is_running());
}

#[tokio::test]
async fn doctor_exits_with_7_if_database_is_down() {
    let deployment = Deployment::new(Kind::Postgres).await;
    let mut command = memberflow(&behind(&deployment, quiet_address()));
    command.arg("doctor");
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

/// The service recovers by itself; until then it rejects.
async fn taken_at_last(sender: &Sender, event: &FixtureEvent) {
    eventually("the event is taken", async || {
        let response = sender.post(event).await.unwrap();
        if response.status().is_success() {
            return Some(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        None
    })
    .await;
}
