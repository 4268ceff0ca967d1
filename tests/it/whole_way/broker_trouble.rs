//! The broker goes away and comes back while events come in: all accepted events are applied, and no process
//! exits.

use std::time::Duration;

use super::deployment::{Deployment, Kind, assert_as_if_applied_directly, ids};
use super::sender::Sender;
use crate::support::broker::{broker_address, broker_url_at};
use crate::support::process::Serving;
use crate::support::proxy::{Mode, Proxy};
use crate::support::receiver::eventually;

/// How often the process has logged `message`.
fn times(process: &Serving, message: &str) -> usize {
    process.log().matches(message).count()
}

/// Waits until the process has logged `message` once more than `before`.
async fn logs(process: &Serving, message: &str, before: usize) {
    eventually(message, async || (times(process, message) > before).then_some(())).await;
}

#[tokio::test]
async fn broker_outage_accepts_and_applies_every_event() {
    let deployment = Deployment::new(Kind::RabbitMq).await;
    let proxy = Proxy::to(broker_address()).await;
    let settings = deployment.settings_with("AMQP_URL", broker_url_at(proxy.address));
    let mut receiver = Serving::roles("receive,relay", &settings);
    let mut consumer = Serving::roles("consume", &settings);
    let events = deployment.events();
    let sender = Sender::to(receiver.url());
    let mut connections = 0;
    let trouble = async {
        for mode in [Mode::Refuse, Mode::Pass, Mode::Stall, Mode::Refuse] {
            logs(&receiver, "connected to the broker", connections).await;
            sender.acknowledges(10).await;
            connections = times(&receiver, "connected to the broker");
            let breaks = times(&receiver, "broker down");
            proxy.set(mode);
            proxy.cut();
            logs(&receiver, "broker down", breaks).await;
            sender.acknowledges(10).await;
            proxy.set(Mode::Pass);
        }
    };
    sender.post_during(&events, (3, Duration::from_millis(15)), trouble).await;

    let taken = sender.taken();
    deployment.applied(&taken).await;
    // Postgres is the fallback, so no provider notices.
    let not_hooks = events.iter().filter(|event| event.source != memberflow::envelope::Source::SupabaseAuth);
    assert_eq!(taken, ids(not_hooks));
    sender.deliver(&events, 8).await;
    deployment.applied(&ids(&events)).await;
    assert!(receiver.is_running() && consumer.is_running());
    assert_as_if_applied_directly(&deployment, "after the broker's absences").await;
}
