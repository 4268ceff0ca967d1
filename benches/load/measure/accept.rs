//! How many events a second are accepted, each answered once it is durable.

use super::client::flood;
use super::population::{empty, populated};
use super::report::{Report, Target};
use super::service::{Queue, Service};
use super::traffic::Traffic;
use super::{Options, yardstick};

/// The row that has the target of its queue.
const JUDGED: (usize, usize) = (64, 5400);

/// One round.
pub async fn measure(options: &Options, report: &mut Report) {
    let scale = options.scale();
    for queue in Queue::ALL {
        for &body_bytes in scale.bodies {
            let yardstick = yardstick::measure(scale.yardstick).await;
            for &connections in scale.connections {
                let database = empty().await;
                let service = Service::receiver(&database, queue).await;
                let posts = Traffic::of(500, 0).next_of_size(scale.accepted, body_bytes);
                let took = flood(service.address(), posts, connections).await;
                let judged = queue == Queue::RabbitMq && (connections, body_bytes) == JUDGED;
                let target = if judged { Target::OfYardstick(0.23) } else { Target::None };
                let name = format!("accepted, {}, {}", queue.name(), load(connections, body_bytes));
                report.rate(&name, scale.accepted as f64 / took.as_secs_f64(), yardstick, target);
            }
        }
    }
    while_consuming(options, report).await;
}

/// The embedded queue, whose database applies events at the same time.
async fn while_consuming(options: &Options, report: &mut Report) {
    let scale = options.scale();
    let (connections, _) = JUDGED;
    for &body_bytes in scale.bodies {
        let (database, mut traffic) = populated(scale.few, 8).await;
        let service = Service::start(&database, Queue::Postgres).await;
        let yardstick = yardstick::measure(scale.yardstick).await;
        let posts = traffic.next_of_size(scale.accepted, body_bytes);
        let took = flood(service.address(), posts, connections).await;
        let target = if body_bytes == JUDGED.1 { Target::OfYardstick(0.12) } else { Target::None };
        let name = format!("accepted while consuming, Postgres, {}", load(connections, body_bytes));
        report.rate(&name, scale.accepted as f64 / took.as_secs_f64(), yardstick, target);
    }
}

fn load(connections: usize, body_bytes: usize) -> String {
    format!("{:.1} KB, {connections} connections", body_bytes as f64 / 1000.0)
}
