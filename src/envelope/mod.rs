//! The envelope: an event's exact bytes with the metadata that the queue and the store need.

pub mod form;
pub mod hook;
mod one_time_code;
pub mod origin;
pub mod parse;
pub mod source;
pub mod twilio;
pub mod wire;

mod fields;
mod scrub;

use bytes::Bytes;
use time::OffsetDateTime;

pub use fields::{Malformed, TRIGGER, UNDECODABLE_PREFIX};
pub use form::Parameters;
pub use origin::Origin;
pub use source::Source;

/// One event, identified by `(source, event_id)`. The body is what the provider sent, byte for byte (of
/// Twilio's forms the parameters, as JSON), except that secrets (password hashes, tokens) and the unused
/// parts of an Auth Hook are removed before the envelope is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The endpoint that received it.
    pub source: Source,
    /// The provider's stable id of the event: Stripe's `evt_…`, an Auth Hook's `metadata.uuid`, a
    /// database webhook's `webhook-id`, a message's sid. The same event delivered twice has the same id.
    pub event_id: String,
    /// The provider's name of what happened: `invoice.paid`, `customize-access-token`,
    /// `public.vision_versions.insert`.
    pub event_type: String,
    /// When the provider says it happened (Stripe: whole seconds).
    pub occurred_at: OffsetDateTime,
    /// When we accepted it.
    pub received_at: OffsetDateTime,
    /// The JSON document itself.
    pub body: Bytes,
}
