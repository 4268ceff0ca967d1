//! How fast events are accepted: printed, never asserted. Run with `--run-ignored all --no-capture`.

use std::time::Instant;

use bytes::Bytes;
use memberflow::envelope::Source;

use super::setup::{Kind, Setup, event, expect};
use crate::support::consuming::Consuming;

const SENDERS: usize = 64;
const EVENTS_PER_SENDER: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; proves nothing"]
async fn accept_rate_on_rabbitmq() {
    measure(Kind::RabbitMq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; proves nothing"]
async fn accept_rate_on_postgres() {
    measure(Kind::Postgres).await;
}

async fn measure(kind: Kind) {
    let setup = Setup::new(kind).await;
    let body = Bytes::from(vec![b'x'; 5400]);
    let sent: Vec<_> = (0..SENDERS * EVENTS_PER_SENDER)
        .map(|number| {
            let mut envelope = event(Source::Stripe, number);
            envelope.body = body.clone();
            envelope
        })
        .collect();
    let start = Instant::now();
    let senders = sent.chunks(EVENTS_PER_SENDER).map(async |mine| {
        for envelope in mine {
            setup.accept(envelope.clone()).await;
        }
    });
    futures_util::future::join_all(senders).await;
    report("accepted", sent.len(), start);
    let mut consumer = Consuming::begin(&setup.queue);
    let start = Instant::now();
    expect(&mut consumer, &sent).await;
    report("consumed (and each compared with all sent)", sent.len(), start);
    drop(consumer);
    setup.stop().await;
}

fn report(what: &str, events: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {events} events in {seconds:.2} s, {:.0} a second", events as f64 / seconds);
}
