//! The broker goes down, stalls, blocks, or comes back: no accepted event is lost, without manual action.

use std::time::{Duration, Instant};

use memberflow::envelope::Source;
use tokio::time::{sleep, timeout};

use super::setup::{DEADLINE, Kind, Setup, event, events, eventually, expect};
use crate::support::broker::{TestBroker, broker_address, broker_url_at};
use crate::support::consuming::{Consuming, ack};
use crate::support::proxy::{Mode, Proxy};
use crate::support::servers::quiet_address;

async fn behind(proxy: &Proxy) -> Setup {
    let url = broker_url_at(proxy.address);
    Setup::with(Kind::RabbitMq, |config| config.amqp_url = Some(url.into())).await
}

#[tokio::test]
async fn unreachable_broker_events_come_from_postgres() {
    let address = quiet_address();
    let url = broker_url_at(address);
    let setup =
        Setup::not_yet_connected(TestBroker::new(), |config| config.amqp_url = Some(url.into())).await;
    let sent = events(700);
    setup.enqueue_all(&sent).await;
    assert_eq!(setup.pending().await, 700);
    let said = setup.broker_state().unwrap_err();
    assert!(said.contains("not connected to the broker"), "{said}");

    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    assert_eq!(setup.pending().await, 0);
    let _proxy = Proxy::at(address, broker_address()).await;
    eventually("the broker is well", async || setup.broker_state().is_ok()).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn breaking_connections_lose_no_event() {
    let proxy = Proxy::to(broker_address()).await;
    let setup = behind(&proxy).await;
    let sent = events(1200);
    let mut consumer = Consuming::begin(&setup.queue);
    let accepting = async {
        for (round, some) in sent.chunks(12).enumerate() {
            setup.enqueue_all(some).await;
            sleep(Duration::from_millis(50)).await;
            // From "before anything is declared" to "in the middle of everything".
            if round % (3 + round % 7) == 0 {
                proxy.cut();
            }
        }
    };
    tokio::join!(accepting, expect(&mut consumer, &sent));
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn silent_broker_falls_back_and_recovers() {
    let proxy = Proxy::to(broker_address()).await;
    let setup = behind(&proxy).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let sent = events(90);
    setup.enqueue_all(&sent[..30]).await;
    expect(&mut consumer, &sent[..30]).await;

    proxy.set(Mode::Stall);
    setup.enqueue_all(&sent[30..60]).await;
    assert!(setup.pending().await >= 30, "nobody else could have taken them");
    eventually("the silence is noticed", async || setup.broker_state().is_err()).await;
    setup.enqueue_all(&sent[60..]).await;

    proxy.set(Mode::Pass);
    expect(&mut consumer, &sent[30..]).await;
    assert_eq!(setup.pending().await, 0);
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn mute_peer_does_not_block() {
    let proxy = Proxy::to(broker_address()).await;
    proxy.set(Mode::Stall);
    let url = broker_url_at(proxy.address);
    let setup =
        Setup::not_yet_connected(TestBroker::new(), |config| config.amqp_url = Some(url.into())).await;
    eventually("the silence is noticed", async || {
        setup.broker_state().is_err_and(|said| said.contains("did not answer"))
    })
    .await;
    eventually("the attempt's thread is gone", async || {
        !std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
            let name = std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default();
            name.starts_with("lapin")
        })
    })
    .await;
    setup.enqueue(event(Source::Stripe, 1)).await;
    assert_eq!(setup.pending().await, 1);
    proxy.set(Mode::Pass);
    eventually("the broker is well", async || setup.broker_state().is_ok()).await;
    setup.stop().await;
}

/// `connection.blocked` and `connection.unblocked`, as the broker sends them.
fn connection_frame(method: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&10_u16.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[1, 0, 0][..], &length, &payload, &[0xce]].concat()
}

#[tokio::test]
async fn blocked_broker_falls_back_at_once() {
    let proxy = Proxy::to(broker_address()).await;
    let setup = behind(&proxy).await;
    setup.enqueue(event(Source::Stripe, 0)).await;
    assert_eq!(setup.pending().await, 0, "the broker had it");

    proxy.send_to_clients(connection_frame(60, b"\x06no mem"));
    eventually("the alarm is seen", async || setup.broker_state().is_err_and(|said| said.contains("no mem")))
        .await;
    let sent = events(20);
    let before = Instant::now();
    setup.enqueue_all(&sent).await;
    assert_eq!(setup.pending().await, 20);
    assert!(before.elapsed() < DEADLINE / 2, "nothing waited for the broker");

    proxy.send_to_clients(connection_frame(61, b""));
    eventually("the end of the alarm is seen", async || setup.broker_state().is_ok()).await;
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    assert_eq!(setup.pending().await, 0);
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn batch_of_lost_connection_is_redelivered() {
    let proxy = Proxy::to(broker_address()).await;
    let setup = behind(&proxy).await;
    let sent = events(30);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let batch = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
    proxy.cut();
    // Only a consumer that has reconnected sees them again, and by then the old tags mean nothing.
    let again = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
    ack(batch).await;
    drop(again);
    expect(&mut consumer, &sent).await;
    drop(consumer);
    setup.stop().await;
}
