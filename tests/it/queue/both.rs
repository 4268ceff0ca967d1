//! Guarantees of both queues.

use std::time::Duration;

use bytes::Bytes;
use memberflow::envelope::Source;
use tokio::time::timeout;

use super::setup::{DEADLINE, Kind, Setup, event, events, eventually, expect, expect_nothing, ids};
use crate::support::consuming::{Consuming, ack};

macro_rules! on_both_queues {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_postgres {
            $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Kind::Postgres).await })+
        }
        mod on_rabbitmq {
            $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Kind::RabbitMq).await })+
        }
    };
}

on_both_queues!(
    accepted_events_of_every_source_reach_the_consumer,
    bodies_and_names_arrive_byte_for_byte,
    many_concurrent_accepts_all_arrive,
    a_dropped_batch_comes_again,
    a_requeued_batch_comes_again,
    an_acked_batch_never_comes_again,
    batches_settle_each_for_itself,
    a_batch_holds_no_more_than_allowed,
    a_lone_event_does_not_wait_for_a_full_batch,
    a_lone_event_waits_for_no_company,
    events_behind_a_batch_under_way_share_the_next,
    a_cancelled_wait_loses_nothing,
    two_consumers_share_the_events,
    a_full_batch_is_followed_by_the_rest_at_once,
    what_is_under_way_is_finished_when_stopping,
    internal_events_are_refused,
);

async fn accepted_events_of_every_source_reach_the_consumer(kind: Kind) {
    let setup = Setup::new(kind).await;
    let sent = events(6);
    for envelope in &sent {
        setup.enqueue(envelope.clone()).await;
    }
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    drop(consumer);
    setup.stop().await;
}

async fn bodies_and_names_arrive_byte_for_byte(kind: Kind) {
    let setup = Setup::new(kind).await;
    let bodies: [Bytes; 6] = [
        Bytes::new(),
        Bytes::from_static(b"{ \"a\" : 1e400,\r\n\t\"a\":\"\\ud800\" }  "),
        Bytes::from_static(b"\xef\xbb\xbf{}"),
        Bytes::from_static(b"\0\x01\xff\xfe not utf-8"),
        "\u{1f980} é ﬁ".repeat(1000).into(),
        vec![b'x'; 1024 * 1024].into(),
    ];
    let sent: Vec<_> = bodies
        .into_iter()
        .enumerate()
        .map(|(number, body)| {
            let mut envelope = event(Source::Stripe, number);
            envelope.event_id.push_str(" 'é\u{1f980}'\\\n");
            envelope.body = body;
            envelope
        })
        .collect();
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    drop(consumer);
    setup.stop().await;
}

async fn many_concurrent_accepts_all_arrive(kind: Kind) {
    let setup = Setup::new(kind).await;
    let sent = events(3000);
    let mut consumer = Consuming::begin(&setup.queue);
    tokio::join!(setup.enqueue_all(&sent), expect(&mut consumer, &sent));
    drop(consumer);
    setup.stop().await;
}

async fn a_dropped_batch_comes_again(kind: Kind) {
    let setup = Setup::new(kind).await;
    let sent = events(5);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let batch = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
    drop(batch);
    expect(&mut consumer, &sent).await;
    drop(consumer);
    setup.stop().await;
}

async fn a_requeued_batch_comes_again(kind: Kind) {
    let setup = Setup::new(kind).await;
    let sent = events(5);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let batch = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
    batch.requeue().await;
    expect(&mut consumer, &sent).await;
    drop(consumer);
    setup.stop().await;
}

async fn an_acked_batch_never_comes_again(kind: Kind) {
    let setup = Setup::new(kind).await;
    let sent = events(5);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    expect_nothing(&mut consumer).await;
    drop(consumer);
    let mut another = Consuming::begin(&setup.queue);
    expect_nothing(&mut another).await;
    drop(another);
    setup.stop().await;
}

async fn batches_settle_each_for_itself(kind: Kind) {
    let setup = Setup::with(kind, |config| config.batch_max_events = 4).await;
    let sent: Vec<_> = (0..12).map(|number| event(Source::Stripe, number)).collect();
    for envelope in &sent {
        setup.enqueue(envelope.clone()).await;
    }
    let mut consumer = Consuming::begin(&setup.queue);
    let mut batches = Vec::new();
    let mut seen = 0;
    while seen < sent.len() {
        let batch = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
        seen += batch.envelopes.len();
        batches.push(batch);
    }
    assert!(batches.len() >= 3, "{} batches", batches.len());
    // The later ones are acked first; the first goes back.
    let first = batches.remove(0);
    let returned: Vec<_> = first.envelopes.clone();
    for batch in batches.into_iter().rev() {
        ack(batch).await;
    }
    first.requeue().await;
    expect(&mut consumer, &returned).await;
    expect_nothing(&mut consumer).await;
    drop(consumer);
    setup.stop().await;
}

async fn a_batch_holds_no_more_than_allowed(kind: Kind) {
    let setup = Setup::with(kind, |config| config.batch_max_events = 7).await;
    let sent = events(100);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        let batch = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
        assert!((1..=7).contains(&batch.envelopes.len()), "{} events", batch.envelopes.len());
        seen.extend(batch.envelopes.clone());
        ack(batch).await;
    }
    assert_eq!(ids(&seen), ids(&sent));
    drop(consumer);
    setup.stop().await;
}

async fn a_lone_event_does_not_wait_for_a_full_batch(kind: Kind) {
    let setup = Setup::new(kind).await;
    let mut consumer = Consuming::begin(&setup.queue);
    expect_nothing(&mut consumer).await;
    let sent = [event(Source::SupabaseAuth, 1)];
    tokio::join!(setup.enqueue(sent[0].clone()), expect(&mut consumer, &sent));
    drop(consumer);
    setup.stop().await;
}

async fn a_lone_event_waits_for_no_company(kind: Kind) {
    let setup = Setup::with(kind, |config| config.batch_wait = Duration::from_secs(3600)).await;
    let mut consumer = Consuming::begin(&setup.queue);
    for number in 0..3 {
        let sent = [event(Source::Stripe, number)];
        tokio::join!(setup.enqueue(sent[0].clone()), expect(&mut consumer, &sent));
    }
    drop(consumer);
    setup.stop().await;
}

async fn events_behind_a_batch_under_way_share_the_next(kind: Kind) {
    let setup = Setup::with(kind, |config| config.batch_wait = Duration::from_secs(2)).await;
    let mut consumer = Consuming::begin(&setup.queue);
    setup.enqueue(event(Source::Stripe, 100)).await;
    let under_way = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
    let sent = events(9);
    let (batch, ()) = tokio::join!(timeout(DEADLINE, consumer.next_batch()), async {
        for envelope in &sent {
            setup.enqueue(envelope.clone()).await;
        }
    });
    let batch = batch.unwrap().unwrap();
    assert_eq!(ids(&batch.envelopes), ids(&sent));
    ack(batch).await;
    ack(under_way).await;
    drop(consumer);
    setup.stop().await;
}

async fn a_cancelled_wait_loses_nothing(kind: Kind) {
    let setup = Setup::with(kind, |config| config.batch_wait = Duration::from_millis(30)).await;
    let sent = events(60);
    let mut consumer = Consuming::begin(&setup.queue);
    let consuming = async {
        let mut missing = ids(&sent);
        while !missing.is_empty() {
            // Mostly too short for a batch to get ready.
            let Ok(batch) = timeout(Duration::from_millis(20), consumer.next_batch()).await else { continue };
            let batch = batch.unwrap();
            missing.retain(|id| !batch.envelopes.iter().any(|envelope| envelope.event_id == *id));
            ack(batch).await;
        }
    };
    let ((), consumed) = tokio::join!(setup.enqueue_all(&sent), timeout(DEADLINE, consuming));
    consumed.expect("every event came");
    drop(consumer);
    setup.stop().await;
}

async fn two_consumers_share_the_events(kind: Kind) {
    let setup = Setup::with(kind, |config| config.batch_max_events = 10).await;
    let sent = events(200);
    let mut one = Consuming::begin(&setup.queue);
    let mut other = Consuming::begin(&setup.queue);
    setup.enqueue_all(&sent).await;
    let mut seen = Vec::new();
    let taking = async {
        while seen.len() < sent.len() {
            let batch = tokio::select! {
                batch = one.next_batch() => batch.unwrap(),
                batch = other.next_batch() => batch.unwrap(),
            };
            seen.extend(batch.envelopes.clone());
            ack(batch).await;
        }
    };
    timeout(DEADLINE, taking).await.expect("every event came");
    assert_eq!(seen.len(), sent.len(), "no event came twice");
    assert_eq!(ids(&seen), ids(&sent));
    drop((one, other));
    setup.stop().await;
}

async fn a_full_batch_is_followed_by_the_rest_at_once(kind: Kind) {
    let setup = Setup::with(kind, |config| {
        config.batch_max_events = 1;
        config.batch_wait = Duration::from_secs(3600);
    })
    .await;
    let sent = events(20);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let under_way = timeout(DEADLINE, consumer.next_batch()).await.unwrap().unwrap();
    let (first, rest): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|event| event.event_id == under_way.envelopes[0].event_id);
    assert_eq!(ids(&under_way.envelopes), ids(&first));
    expect(&mut consumer, &rest).await;
    ack(under_way).await;
    drop(consumer);
    setup.stop().await;
}

async fn what_is_under_way_is_finished_when_stopping(kind: Kind) {
    let setup = Setup::new(kind).await;
    let sent = events(300);
    let accepting = setup.enqueue_all(&sent);
    let stopping = async { setup.lifecycle.stopping.cancel() };
    tokio::join!(accepting, stopping);
    let mut consumer = Consuming::begin(&setup.queue);
    let refused = timeout(DEADLINE, consumer.next_batch()).await.unwrap();
    assert!(refused.is_none());
    drop(consumer);
    // Once the grace is over, no event is said to be durable any more.
    eventually("enqueue refuses", async || setup.queue.enqueue(event(Source::Stripe, 1)).await.is_err())
        .await;
    setup.stop().await;
}

async fn internal_events_are_refused(kind: Kind) {
    let setup = Setup::new(kind).await;
    let refused = setup.queue.enqueue(event(Source::Internal, 1)).await;
    assert!(refused.is_err(), "internal events are applied at once");
    assert_eq!(setup.pending().await, 0);
    setup.stop().await;
}
