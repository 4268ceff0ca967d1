//! What applying costs, without queues and endpoints: the processor time of this process and of the database for each
//! event, by batches of members who each have had so many events before.
//!
//! `cargo bench --bench apply -- --members 50 --events 40`; for instructions, under `valgrind --tool=callgrind`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and seconds of a benchmark, all of them small"
)]

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

mod mixed;

use std::time::Instant;

use clap::Parser;
use memberflow::clock::Clock;
use memberflow::envelope::Envelope;
use memberflow::store::{Store, StoreSettings};
use sqlx::PgPool;

use mixed::Member;
use support::app::NOW;
use support::database::TestDatabase;

#[derive(Debug, Parser)]
struct Args {
    /// Members.
    #[arg(long, default_value_t = 50)]
    members: u32,
    /// Events of each, which come in turn.
    #[arg(long, default_value_t = 40)]
    events: u32,
    /// Events in a batch.
    #[arg(long, default_value_t = 200)]
    batch: usize,
    /// How many of the first events of each member are not measured.
    #[arg(long, default_value_t = 0)]
    unmeasured: u32,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let store =
        Store::new(pool.clone(), Clock::fixed(NOW), StoreSettings::new(&support::config(database.url())));
    sqlx::query("insert into public.membership_tiers (name, tier_type, stripe_price_id) values ('Pro', 'pro', 'price_pro')")
        .execute(pool)
        .await
        .unwrap();
    let members: Vec<Member> = (1..=args.members).map(Member::new).collect();
    for member in &members {
        member.sign_up(pool).await;
    }
    apply(&store, &app(&members, 0..args.unmeasured), args.batch).await;
    let events = app(&members, args.unmeasured..args.events);
    let (ours, theirs, began) =
        (processor_seconds(std::process::id()), database_seconds(pool).await, Instant::now());
    let batches = apply(&store, &events, args.batch).await;
    let per_event = |seconds: f64| seconds * 1e6 / events.len() as f64;
    println!(
        "{} events in {batches} batches: {:.0} us an event, {:.0} us of this process, {:.0} us of the database",
        events.len(),
        per_event(began.elapsed().as_secs_f64()),
        per_event(processor_seconds(std::process::id()) - ours),
        per_event(database_seconds(pool).await - theirs),
    );
}

/// Event by event, all members in turn.
fn app(members: &[Member], numbers: std::ops::Range<u32>) -> Vec<Envelope> {
    numbers.flat_map(|number| members.iter().map(move |member| member.event(number))).collect()
}

async fn apply(store: &Store, events: &[Envelope], batch: usize) -> usize {
    let batches: Vec<Vec<Envelope>> = events.chunks(batch).map(<[Envelope]>::to_vec).collect();
    let count = batches.len();
    for batch in batches {
        let size = batch.len();
        assert_eq!(store.apply(&batch).await.unwrap().new, size);
    }
    count
}

/// Of the connections to this database.
async fn database_seconds(pool: &PgPool) -> f64 {
    let backends = "select pid from pg_stat_activity where datname = current_database()";
    let backends: Vec<i32> = sqlx::query_scalar(backends).fetch_all(pool).await.unwrap();
    backends.into_iter().map(|pid| processor_seconds(pid.unsigned_abs())).sum()
}

/// What a process has had so far.
fn processor_seconds(pid: u32) -> f64 {
    let spent = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanoseconds: f64 = spent.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
    nanoseconds / 1e9
}
