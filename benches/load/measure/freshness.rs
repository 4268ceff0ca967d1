//! How old what the tables show is: from the moment at which an event is due to be posted to the moment at which another
//! connection sees its payment.

use std::sync::Arc;
use std::time::Duration;

use super::client::steady;
use super::population::populated;
use super::report::{Report, Target};
use super::service::{Queue, Service, round_trip};
use super::traffic::Traffic;
use super::visible::{Follower, ms_at};
use super::whole::{HISTORY, rate};
use super::{Options, Peaks, yardstick};
use crate::support::database::TestDatabase;

/// Between the service and a database that is a network away.
const ROUND_TRIP: Duration = Duration::from_millis(2);
/// A steady rate is sustained if all is applied so soon after the last event.
const BEHIND: Duration = Duration::from_secs(1);

/// One round on the database's machine.
pub async fn measure(options: &Options, report: &mut Report, peaks: &mut Peaks) {
    let scale = options.scale();
    for queue in Queue::ALL {
        let (database, mut traffic) = populated(scale.few, HISTORY).await;
        let service = Service::start(&database, queue).await;
        let most = rate(&service, &mut traffic, scale.applied / 2).await;
        let name = queue.name();
        for (per_second, label, [p50_ms, p99_ms]) in [
            (scale.slow, format!("{}/s", scale.slow), [5.0, 15.0].map(Target::Below)),
            (scale.quick, format!("{}/s", scale.quick), [10.0, 50.0].map(Target::Below)),
            (most / 2.0, "half the maximum".to_owned(), [Target::None, Target::None]),
        ] {
            let seen = at(&service, &database, &mut traffic, per_second, scale.steady).await;
            report.value(&format!("POST to metric, p50, {name}, {label}"), seen.p50_ms, " ms", p50_ms);
            report.value(&format!("POST to metric, p99, {name}, {label}"), seen.p99_ms, " ms", p99_ms);
        }
        peaks.note(queue, &service);
    }
}

/// One round with the database a network away.
pub async fn measure_away(options: &Options, report: &mut Report) {
    let scale = options.scale();
    for queue in Queue::ALL {
        let (database, mut traffic) = populated(scale.few, HISTORY).await;
        let yardstick = yardstick::measure(scale.yardstick).await;
        let service = Service::away_from(&database, queue, ROUND_TRIP).await;
        let name = format!("{}, 2 ms to the database", queue.name());
        let away_ms = round_trip(&service.database_url).await.as_secs_f64() * 1000.0;
        report.value(&format!("round trip, {name}"), away_ms, " ms", Target::None);
        let most = rate(&service, &mut traffic, scale.applied / 4).await;
        report.rate(&format!("applied, {name}"), most, yardstick, Target::None);
        let seen = at(&service, &database, &mut traffic, scale.quick, scale.steady).await;
        let label = format!("{name}, {}/s", scale.quick);
        report.value(&format!("POST to metric, p50, {label}"), seen.p50_ms, " ms", Target::None);
        report.value(&format!("POST to metric, p99, {label}"), seen.p99_ms, " ms", Target::Below(250.0));
        // The load itself may be a little late.
        let sustained = Target::AtLeast(0.95 * scale.quick);
        report.value(&format!("sustained, {label}"), seen.sustained, "/s", sustained);
    }
}

struct Seen {
    p50_ms: f64,
    p99_ms: f64,
    /// Events per second until the last was applied, less the time that it may be behind.
    sustained: f64,
}

async fn at(
    service: &Service,
    database: &TestDatabase,
    traffic: &mut Traffic,
    per_second: f64,
    lasting: Duration,
) -> Seen {
    let count = (per_second * lasting.as_secs_f64()).ceil() as usize;
    let (posts, follower) = (traffic.next(count), Arc::new(Follower::default()));
    let (url, before) = (database.url(), service.applied().await);
    let (posting, (took, given_up)) = tokio::join!(
        async {
            let posting = steady(service.address(), posts, per_second, follower.clone()).await;
            follower.all_posted();
            posting
        },
        follower.watch(&url)
    );
    assert_eq!(given_up, 0, "payments that never became visible");
    let waited = tokio::time::Instant::now();
    service.wait_until_applied(before + count as u64).await;
    let behind = waited.elapsed().saturating_sub(BEHIND);
    let sustained = count as f64 / (posting + behind).as_secs_f64();
    Seen { p50_ms: ms_at(&took, 0.5), p99_ms: ms_at(&took, 0.99), sustained }
}
