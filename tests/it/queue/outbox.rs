//! `ingest.outbox` in particular: who else writes there, and what it refuses.

use memberflow::envelope::Source;
use time::{Date, Month, OffsetDateTime, Time};

use super::setup::{Kind, Setup, event, eventually, expect, ids};

#[tokio::test]
async fn rows_that_triggers_write_are_consumed_too() {
    let setup = Setup::new(Kind::Postgres).await;
    insert_by_hand(&setup).await;
    let mut consumer = setup.queue.consumer().await.unwrap();
    let batch = consumer.next_batch().await.unwrap();
    assert_eq!(ids(&batch.envelopes), ["by_hand".to_owned()].into());
    batch.ack().await.unwrap();
    assert_eq!(setup.outbox().await, 0);
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn rows_that_triggers_write_are_relayed_too() {
    let setup = Setup::new(Kind::RabbitMq).await;
    setup.start_relay();
    insert_by_hand(&setup).await;
    let mut consumer = setup.queue.consumer().await.unwrap();
    let batch = consumer.next_batch().await.unwrap();
    assert_eq!(ids(&batch.envelopes), ["by_hand".to_owned()].into());
    batch.ack().await.unwrap();
    eventually("the outbox is empty", async || setup.outbox().await == 0).await;
    drop(consumer);
    setup.stop().await;
}

async fn insert_by_hand(setup: &Setup) {
    let insert = "insert into ingest.outbox (source, event_id, event_type, occurred_at, received_at, body)
        values ('supabase.database', 'by_hand', 'auth.users.insert', now(), now(), '{}')";
    sqlx::query(insert).execute(&setup.database.pool).await.unwrap();
}

#[tokio::test]
async fn an_event_that_the_outbox_refuses_does_not_take_others_with_it() {
    let setup = Setup::new(Kind::Postgres).await;
    let good: Vec<_> = (0..40).map(|number| event(Source::Stripe, number)).collect();
    let mut bad = event(Source::Stripe, 1000);
    // Before the first year that timestamptz can hold.
    let ancient = Date::from_calendar_date(-9000, Month::January, 1).unwrap();
    bad.occurred_at = OffsetDateTime::new_utc(ancient, Time::MIDNIGHT);
    let (refused, ()) = tokio::join!(setup.queue.accept(bad), setup.accept_all(&good));
    assert!(refused.is_err(), "{refused:?}");
    let mut consumer = setup.queue.consumer().await.unwrap();
    expect(&mut consumer, &good).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn a_nul_in_a_name_is_kept_as_the_replacement_character() {
    let setup = Setup::new(Kind::Postgres).await;
    let mut sent = event(Source::Stripe, 1);
    sent.event_id = "evt\0_1".to_owned();
    sent.body = "{\"a\":\"\0\"}".into();
    setup.accept(sent.clone()).await;
    sent.event_id = "evt\u{fffd}_1".to_owned();
    let mut consumer = setup.queue.consumer().await.unwrap();
    expect(&mut consumer, &[sent]).await;
    drop(consumer);
    setup.stop().await;
}

#[tokio::test]
async fn with_nowhere_to_write_an_event_is_not_durable() {
    let setup = Setup::new(Kind::Postgres).await;
    sqlx::query("alter table ingest.outbox rename to gone").execute(&setup.database.pool).await.unwrap();
    let refused = setup.queue.accept(event(Source::Stripe, 1)).await.unwrap_err();
    assert!(refused.to_string().contains("could not be made durable"), "{refused}");
    setup.stop().await;
}
