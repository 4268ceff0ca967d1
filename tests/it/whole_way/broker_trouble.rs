//! The broker goes away and comes back while events come in: all accepted events are applied, and no process
//! exits.

use std::time::Duration;

use super::deployment::{Deployment, Kind, assert_as_if_applied_directly, ids};
use super::sender::Sender;
use crate::support::broker::{broker_address, broker_url_at};
use crate::support::process::Serving;
use crate::support::proxy::{Mode, Proxy};

#[tokio::test]
async fn broker_outage_accepts_and_applies_every_event() {
    let deployment = Deployment::new(Kind::RabbitMq).await;
    let proxy = Proxy::to(broker_address()).await;
    let settings = deployment.settings_with("AMQP_URL", broker_url_at(proxy.address));
    let mut receiver = Serving::roles("receive,relay", &settings);
    let mut consumer = Serving::roles("consume", &settings);
    let events = deployment.events();
    let sender = Sender::to(receiver.url());
    let trouble = async {
        for (round, mode) in [Mode::Refuse, Mode::Pass, Mode::Stall, Mode::Refuse].into_iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(150 + 40 * round as u64)).await;
            proxy.set(mode);
            proxy.cut();
            tokio::time::sleep(Duration::from_millis(250)).await;
            proxy.set(Mode::Pass);
        }
    };
    tokio::join!(sender.post_all(&events, 3, Duration::from_millis(15)), trouble);

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
