//! Envelopes from fixtures, made by the same code that the endpoints use.

use memberflow::envelope::{Envelope, Source, peek};
use memberflow::ops::fixture::FixtureEvent;
use time::OffsetDateTime;

/// The envelope that `event` would have after its delivery at `received_at`.
pub fn envelope(event: &FixtureEvent, received_at: OffsetDateTime) -> Envelope {
    let body = event.body.clone();
    match event.source {
        Source::Stripe => peek::stripe(body, received_at).unwrap(),
        Source::SupabaseAuth => peek::auth_hook(body, received_at).unwrap().envelope,
        _ => peek::database(&event.event_id, received_at, body, received_at).unwrap(),
    }
}
