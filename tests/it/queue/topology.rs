//! The topology on the broker: declared and repaired automatically, with clear errors.

use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use memberflow::envelope::Source;

use super::setup::{Kind, Setup, event, events, eventually, expect, expect_nothing};
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
