//! The topology on the broker: declared and repaired automatically, with clear errors.

use lapin::BasicProperties;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, BasicRejectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use memberflow::envelope::Source;
use memberflow::queue::DeadContent;
use tokio::time::timeout;

use super::setup::{DEADLINE, Kind, Setup, event, events, eventually, expect, expect_nothing};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::consuming::Consuming;

#[tokio::test]
async fn unroutable_event_redeclares_the_queue() {
    let setup = Setup::new(Kind::RabbitMq).await;
    let (connection, channel) = setup.broker.channel().await;
    let queue = setup.broker.name("stripe");
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();

    let sent: Vec<_> = (0..50).map(|number| event(Source::Stripe, number)).collect();
    setup.enqueue_all(&sent).await;
    assert!(setup.pending().await > 0, "at least the first message was unroutable");
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    connection.close(200, "done".into()).await.unwrap();
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn a_removed_binding_comes_back() {
    let setup = Setup::new(Kind::RabbitMq).await;
    let (connection, channel) = setup.broker.channel().await;
    let (queue, exchange) = (setup.broker.name("supabase.auth"), setup.broker.name("events"));
    let key = "supabase.auth";
    channel.queue_unbind(queue.into(), exchange.into(), key.into(), FieldTable::default()).await.unwrap();

    setup.enqueue(event(Source::SupabaseAuth, 1)).await;
    assert_eq!(setup.pending().await, 1);
    let tries = std::cell::Cell::new(1);
    eventually("an event goes to the broker again", async || {
        let before = setup.pending().await;
        setup.enqueue(event(Source::SupabaseAuth, tries.replace(tries.get() + 1) + 1)).await;
        setup.pending().await == before
    })
    .await;
    let mut consumer = Consuming::begin(&setup.queue);
    let all: Vec<_> = (1..=tries.get()).map(|number| event(Source::SupabaseAuth, number)).collect();
    expect(&mut consumer, &all).await;
    connection.close(200, "done".into()).await.unwrap();
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn consumer_of_deleted_queue_resubscribes() {
    let setup = Setup::new(Kind::RabbitMq).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let first = [event(Source::Stripe, 1)];
    setup.enqueue(first[0].clone()).await;
    expect(&mut consumer, &first).await;
    let (connection, channel) = setup.broker.channel().await;
    let queue = setup.broker.name("stripe");
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    let second = [event(Source::Stripe, 2)];
    setup.enqueue(second[0].clone()).await;
    expect(&mut consumer, &second).await;
    connection.close(200, "done".into()).await.unwrap();
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn unreadable_message_is_dead_lettered() {
    let setup = Setup::new(Kind::RabbitMq).await;
    let (connection, channel) = setup.broker.channel().await;
    let (exchange, options) = (setup.broker.name("events"), BasicPublishOptions::default());
    let garbage = b"not one of ours";
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel
        .basic_publish(exchange.into(), "stripe".into(), options, garbage, properties)
        .await
        .unwrap()
        .await
        .unwrap();
    let sent = events(10);
    setup.enqueue_all(&sent).await;
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &sent).await;
    expect_nothing(&mut consumer).await;

    let dead = setup.broker.name("dead");
    eventually("the message is in the dead-letter queue", async || {
        let options = BasicGetOptions { no_ack: true };
        let message = channel.basic_get(dead.as_str().into(), options).await.unwrap();
        message.is_some_and(|message| message.data == garbage)
    })
    .await;
    connection.close(200, "done".into()).await.unwrap();
    drop(consumer);
    setup.stop().await;
}

/// Whoever may publish to the broker could else forge what memberflow decides itself, or another source's events.
#[tokio::test]
async fn internal_or_foreign_events_are_dead_lettered() {
    let setup = Setup::new(Kind::RabbitMq).await;
    let (connection, channel) = setup.broker.channel().await;
    let (exchange, dead) = (setup.broker.name("events"), setup.broker.name("dead"));
    for source in [Source::Internal, Source::SupabaseAuth] {
        let forged = memberflow::envelope::wire::encode(source, &[event(source, 1)]);
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default().with_delivery_mode(2);
        let published =
            channel.basic_publish(exchange.as_str().into(), "stripe".into(), options, &forged, properties);
        published.await.unwrap().await.unwrap();
        let mut consumer = Consuming::begin(&setup.queue);
        eventually("the message is in the dead-letter queue", async || {
            let options = BasicGetOptions { no_ack: true };
            let message = channel.basic_get(dead.as_str().into(), options).await.unwrap();
            message.is_some_and(|message| message.data == forged)
        })
        .await;
        expect_nothing(&mut consumer).await;
    }
    connection.close(200, "done".into()).await.unwrap();
    setup.stop().await;
}

/// The arguments of a dead-letter queue that an earlier version declared.
fn without_delivery_limit() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

#[tokio::test]
async fn dead_letter_queue_without_delivery_limit_stays_in_use() {
    let broker = TestBroker::new();
    let (connection, channel) = broker.channel().await;
    let (dead, exchange) = (broker.name("dead"), broker.name("events"));
    let (options, arguments) = (QueueDeclareOptions::durable(), without_delivery_limit());
    channel.queue_declare(dead.as_str().into(), options, arguments).await.unwrap();

    let setup = Setup::not_yet_connected(broker, |config| config.amqp_url = Some(broker_url().into())).await;
    eventually("the broker is well", async || setup.broker_state().is_ok()).await;
    let mut dead_letters = setup.queue.dead_messages().expect("there is a broker");
    let consumer = Consuming::begin(&setup.queue);
    let garbage = b"not one of ours";
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let published = channel.basic_publish(exchange.into(), "stripe".into(), options, garbage, properties);
    published.await.unwrap().await.unwrap();
    let dead_letter = timeout(DEADLINE, dead_letters.recv()).await.expect("it arrives").unwrap();
    let is_garbage =
        matches!(&dead_letter.content, DeadContent::Undecodable(_, body) if body[..] == garbage[..]);
    assert!(is_garbage, "{:?}", dead_letter.content);
    dead_letter.ack().await;

    connection.close(200, "done".into()).await.unwrap();
    drop((consumer, dead_letters));
    setup.stop().await;
}

/// RabbitMQ 4 drops a message of a queue that has no limit of its own after 20 failed deliveries. RabbitMQ 3 does not: there
/// only the declared limit shows.
#[tokio::test]
async fn repeatedly_redelivered_dead_letter_is_not_dropped() {
    let setup = Setup::new(Kind::RabbitMq).await;
    let (connection, channel) = setup.broker.channel().await;
    let dead = setup.broker.name("dead");
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let published =
        channel.basic_publish(dead.as_str().into(), "stripe".into(), options, b"dead", properties);
    published.await.unwrap().await.unwrap();
    for _ in 0..30 {
        eventually("the dead letter comes again", async || {
            let options = BasicGetOptions::default();
            let Some(message) = channel.basic_get(dead.as_str().into(), options).await.unwrap() else {
                return false;
            };
            message.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
            true
        })
        .await;
    }
    let (options, arguments) = (QueueDeclareOptions::durable(), without_delivery_limit());
    let difference = channel.queue_declare(dead.as_str().into(), options, arguments).await.unwrap_err();
    assert!(difference.to_string().contains("x-delivery-limit"), "{difference}");
    connection.close(200, "done".into()).await.unwrap();
    setup.stop().await;
}

#[tokio::test]
async fn queue_with_other_properties_is_explained() {
    let broker = TestBroker::new();
    let (connection, channel) = broker.channel().await;
    let queue = broker.name("stripe");
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();

    let setup = Setup::not_yet_connected(broker, |config| config.amqp_url = Some(broker_url().into())).await;
    eventually("the difference is reported", async || {
        let said = setup.broker_state().err().unwrap_or_default();
        said.contains(&format!("rabbitmqctl delete_queue {queue}"))
    })
    .await;
    setup.enqueue(event(Source::Stripe, 1)).await;
    assert_eq!(setup.pending().await, 1);

    channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    eventually("it heals once that is done", async || setup.broker_state().is_ok()).await;
    connection.close(200, "done".into()).await.unwrap();
    setup.stop().await;
}

#[tokio::test]
async fn invalid_broker_url_fails_at_once() {
    let config = {
        let mut config = memberflow::config::Config::new("postgres://nowhere");
        config.amqp_url = Some("http://guest:topsecret@localhost".to_owned().into());
        config
    };
    let pool = sqlx::postgres::PgPoolOptions::new().connect_lazy("postgres://nowhere/none").unwrap();
    let lifecycle = memberflow::lifecycle::Lifecycle::default();
    let error = memberflow::queue::Queue::open(&config, pool.clone(), pool, &lifecycle)
        .err()
        .expect("not an AMQP address");
    assert!(error.to_string().contains("AMQP_URL"), "{error}");
    assert!(!error.to_string().contains("topsecret"), "{error}");
}
