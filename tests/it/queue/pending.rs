//! Pending events in particular: who else writes them, what becomes of those that come again, and what is refused.

use memberflow::envelope::Source;
use time::{Date, Month, OffsetDateTime, Time};

use super::setup::{Kind, Setup, event, expect, expect_nothing, ids};
use crate::support::consuming::{Consuming, ack};

#[tokio::test]
async fn events_that_triggers_write_are_consumed() {
    written_by_hand_is_consumed(Kind::Postgres).await;
}

#[tokio::test]
async fn trigger_events_are_consumed_with_a_broker() {
    written_by_hand_is_consumed(Kind::RabbitMq).await;
}

async fn written_by_hand_is_consumed(kind: Kind) {
    let setup = Setup::new(kind).await;
    insert_by_hand(&setup).await;
    let mut consumer = Consuming::begin(&setup.queue);
    let batch = consumer.next_batch().await.unwrap();
    assert_eq!(ids(&batch.envelopes), ["by_hand".to_owned()].into());
    ack(batch).await;
    assert_eq!(setup.pending().await, 0);
    drop(consumer);
    setup.stop().await;
}

async fn insert_by_hand(setup: &Setup) {
    let insert = "insert into ingest.events
            (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
        values ('supabase.database', 'by_hand', 'auth.users.insert', now(), now(), '{}', 'pending', now())";
    sqlx::query(insert).execute(&setup.database.pool).await.unwrap();
}

#[tokio::test]
async fn repeated_event_is_stored_once() {
    let setup = Setup::new(Kind::Postgres).await;
    let sent = event(Source::Stripe, 1);
    setup.enqueue_all(&[sent.clone(), sent.clone(), sent.clone()]).await;
    setup.enqueue(sent.clone()).await;
    assert_eq!(setup.pending().await, 1);
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, std::slice::from_ref(&sent)).await;
    setup.enqueue(sent).await;
    expect_nothing(&mut consumer).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn redelivered_dead_letter_is_retried() {
    let setup = Setup::new(Kind::Postgres).await;
    let sent = event(Source::Stripe, 1);
    setup.enqueue(sent.clone()).await;
    let dead_letter =
        "update ingest.events set state = 'dead', reason = 'a reason', attempts = 5, next_attempt_at = null";
    sqlx::query(dead_letter).execute(&setup.database.pool).await.unwrap();
    let mut consumer = Consuming::begin(&setup.queue);
    expect_nothing(&mut consumer).await;
    setup.enqueue(sent.clone()).await;
    expect(&mut consumer, &[sent]).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn refused_event_does_not_affect_others() {
    let setup = Setup::new(Kind::Postgres).await;
    let good: Vec<_> = (0..40).map(|number| event(Source::Stripe, number)).collect();
    let mut bad = event(Source::Stripe, 1000);
    // Before the first year that timestamptz can hold.
    let ancient = Date::from_calendar_date(-9000, Month::January, 1).unwrap();
    bad.occurred_at = OffsetDateTime::new_utc(ancient, Time::MIDNIGHT);
    let (refused, ()) = tokio::join!(setup.queue.enqueue(bad), setup.enqueue_all(&good));
    assert!(refused.is_err(), "{refused:?}");
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &good).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn nul_in_a_name_becomes_replacement_character() {
    let setup = Setup::new(Kind::Postgres).await;
    let mut sent = event(Source::Stripe, 1);
    sent.event_id = "evt\0_1".to_owned();
    sent.body = "{\"a\":\"\0\"}".into();
    setup.enqueue(sent.clone()).await;
    sent.event_id = "evt\u{fffd}_1".to_owned();
    let mut consumer = Consuming::begin(&setup.queue);
    expect(&mut consumer, &[sent]).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn no_broker_and_no_database_is_not_durable() {
    let setup = Setup::new(Kind::Postgres).await;
    sqlx::query("alter view ingest.events rename to gone").execute(&setup.database.pool).await.unwrap();
    let refused = setup.queue.enqueue(event(Source::Stripe, 1)).await.unwrap_err();
    assert!(refused.to_string().contains("could not be made durable"), "{refused}");
    setup.stop().await;
}
