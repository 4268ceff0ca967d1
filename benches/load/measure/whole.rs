//! The whole way: from the POST to committed metrics, as fast as the service goes.

use std::time::Duration;

use tokio::time::Instant;

use super::client::flood;
use super::instructions::Counter;
use super::population::populated;
use super::report::{Report, Target};
use super::service::{Queue, Service};
use super::traffic::{TURN, Traffic};
use super::{Options, Part, Peaks, yardstick};
use crate::support::database::TestDatabase;

/// Connections that post.
pub const CONNECTIONS: usize = 64;
/// Events that each of a few members has had before.
pub const HISTORY: u64 = 8 * TURN;

/// Databases that take long to fill, each for all rounds: every round's events are of other members.
#[derive(Default)]
pub struct Filled(Vec<(u64, TestDatabase, Traffic)>);

impl Filled {
    async fn with(&mut self, members: u64) -> (&TestDatabase, &mut Traffic) {
        if !self.0.iter().any(|(of, ..)| *of == members) {
            let (database, traffic) = populated(members, TURN).await;
            self.0.push((members, database, traffic));
        }
        let (_, database, traffic) = self.0.iter_mut().find(|(of, ..)| *of == members).unwrap();
        (database, traffic)
    }
}

/// One round.
pub async fn measure(options: &Options, report: &mut Report, filled: &mut Filled, peaks: &mut Peaks) {
    let scale = options.scale();
    for queue in Queue::ALL {
        let busy = name(queue, scale.few, HISTORY);
        for (history, target) in
            [(HISTORY, Target::OfYardstick(0.09)), (3 * HISTORY, Target::OfRow(busy, 0.9))]
        {
            let (database, mut traffic) = populated(scale.few, history).await;
            let yardstick = yardstick::measure(scale.yardstick).await;
            let service = Service::start(&database, queue).await;
            let (counter, before) = (Counter::of(&service), service.processor_s());
            let rate = rate(&service, &mut traffic, scale.applied).await;
            report.rate(&name(queue, scale.few, history), rate, yardstick, target);
            if history == HISTORY {
                processor_time_per_event(&service, before, scale.applied, queue, report);
                instructions_per_event(counter, scale.applied, queue, report);
            }
            peaks.note(queue, &service);
        }
        of_members(queue, scale.many, Target::OfYardstick(0.05), options, report, filled, peaks).await;
    }
}

/// One round with very many members. Without [`measure`] the rate that it is compared with is measured, too.
pub async fn measure_largest(options: &Options, report: &mut Report, filled: &mut Filled, peaks: &mut Peaks) {
    let scale = options.scale();
    for queue in Queue::ALL {
        if !options.wants(Part::Whole) {
            of_members(queue, scale.many, Target::OfYardstick(0.05), options, report, filled, peaks).await;
        }
        let target = Target::OfRow(name(queue, scale.many, TURN), 0.9);
        of_members(queue, scale.most, target, options, report, filled, peaks).await;
    }
}

async fn of_members(
    queue: Queue,
    members: u64,
    target: Target,
    options: &Options,
    report: &mut Report,
    filled: &mut Filled,
    peaks: &mut Peaks,
) {
    let scale = options.scale();
    let (database, traffic) = filled.with(members).await;
    let yardstick = yardstick::measure(scale.yardstick).await;
    let service = Service::start(database, queue).await;
    let rate = rate(&service, traffic, scale.applied).await;
    report.rate(&name(queue, members, TURN), rate, yardstick, target);
    peaks.note(queue, &service);
}

fn name(queue: Queue, members: u64, history: u64) -> String {
    format!("applied, {}, {members} members with {history} events each before", queue.name())
}

/// Posts `count` events at once and gives how many a second were committed.
pub async fn rate(service: &Service, traffic: &mut Traffic, count: usize) -> f64 {
    let (posts, before) = (traffic.next(count), service.applied().await);
    let began = Instant::now();
    let address = service.address();
    let (_, took) = tokio::join!(flood(address, posts, CONNECTIONS), async {
        service.wait_until_applied(before + count as u64).await;
        began.elapsed()
    });
    per_second(count, took)
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// What each process takes for an event, which says what bounds the rate: the machine's cores are all there is.
fn processor_time_per_event(
    service: &Service,
    before: [(&'static str, f64); 5],
    count: usize,
    queue: Queue,
    report: &mut Report,
) {
    for ((name, seconds), (_, earlier)) in service.processor_s().into_iter().zip(before) {
        let microseconds = (seconds - earlier) * 1e6 / count as f64;
        let row = format!("processor time per event, {name}, {}", queue.name());
        report.value(&row, microseconds, " µs", Target::None);
    }
}

fn instructions_per_event(counter: Counter, count: usize, queue: Queue, report: &mut Report) {
    match counter.end() {
        Ok(instructions) => {
            for (role, instructions) in ["receiver", "consumer"].into_iter().zip(instructions) {
                let name = format!("instructions per event, {role}, {}", queue.name());
                report.value(&name, instructions / count as f64, "", Target::None);
            }
        }
        Err(reason) => report.note(format!("Instructions per event were not counted: {reason}.")),
    }
}
