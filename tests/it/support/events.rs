//! Envelopes from fixtures, made by the same code that the endpoints use.

use memberflow::envelope::{Envelope, Parameters, Source, parse, twilio};
use memberflow::ops::fixture::FixtureEvent;
use memberflow::project::supabase::{self, ActivityTables};
use time::OffsetDateTime;

/// The envelope that `event` would have after its delivery at `received_at`.
pub fn envelope(event: &FixtureEvent, received_at: OffsetDateTime) -> Envelope {
    let body = event.body.clone();
    match event.source {
        Source::Stripe => parse::stripe(body, received_at).unwrap(),
        Source::Twilio => twilio::event(Parameters::from_json(&body).unwrap(), received_at).unwrap().envelope,
        Source::SupabaseAuth => parse::auth_hook(body, received_at).unwrap().envelope,
        _ => {
            let whole = parse::database(&event.event_id, received_at, body, received_at).unwrap();
            let body = supabase::reduced(&whole.body, &ActivityTables::default());
            Envelope { body: body.map_or_else(|| whole.body.clone(), Into::into), ..whole }
        }
    }
}
