//! The queue's metrics.

use metrics::{Unit, describe_counter, describe_gauge};

/// Events made durable, by `path`: `rabbitmq` or `postgres`.
pub const ACCEPTED: &str = "memberflow_queue_accepted_total";
/// Messages sent to the broker, by `outcome`: `confirmed`, `refused`, `unroutable` or `lost`.
pub const CONFIRMS: &str = "memberflow_queue_confirms_total";
/// Events that the broker did not accept; Postgres was tried next.
pub const FALLBACKS: &str = "memberflow_queue_fallbacks_total";
/// Events taken over from the outbox that earlier versions and their triggers write to.
pub const RELAYED: &str = "memberflow_queue_relayed_total";
/// Connections to the broker opened, by `use`: `publish`, `consume` or `dead_letter`. All but the first are reconnections.
pub const CONNECTS: &str = "memberflow_queue_connects_total";
/// Messages that could not be decoded and went to the dead-letter queue.
pub const UNDECODABLE: &str = "memberflow_queue_undecodable_total";
/// Pending events, counted up to a limit.
pub const BACKLOG: &str = "memberflow_events_pending";

/// Describes the metrics to the recorder.
pub fn describe() {
    describe_counter!(ACCEPTED, Unit::Count, "Events made durable, by path (rabbitmq, postgres).");
    describe_counter!(CONFIRMS, Unit::Count, "Messages sent to RabbitMQ, by what it answered.");
    describe_counter!(
        FALLBACKS,
        Unit::Count,
        "Events that RabbitMQ did not accept; Postgres was tried next."
    );
    describe_counter!(RELAYED, Unit::Count, "Events taken over from the outbox of an earlier version.");
    describe_counter!(
        CONNECTS,
        Unit::Count,
        "Connections to RabbitMQ opened, by use (publish, consume, dead_letter)."
    );
    describe_counter!(UNDECODABLE, Unit::Count, "Undecodable messages that were dead-lettered.");
    describe_gauge!(BACKLOG, Unit::Count, "Pending events in Postgres; counting stops at 10,000.");
}
