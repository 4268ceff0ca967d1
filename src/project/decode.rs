//! Decodes an envelope into what it reports.

use serde_json::Value;

use super::internal::{Corrected, Internal, from_unix_micros};
use super::payload::{DecodeError, NotCountedEvent, Payload};
use super::stripe::{NotCounted, OriginFilter};
use super::supabase::ActivityTables;
use super::supabase::row::TriggerChange;
use super::{stripe, supabase, twilio};
use crate::envelope::{Envelope, Origin, Source};

/// The settings for decoding events.
#[derive(Clone, Debug, Default)]
pub struct DecodeSettings {
    /// The metadata keys that name a user, strongest first.
    pub user_id_keys: Vec<String>,
    /// The tables whose rows are added up.
    pub tables: ActivityTables,
    /// Which of Stripe's events change the tables. The others are only stored ([`NotCounted`]).
    pub origin_filter: OriginFilter,
    /// The Twilio account whose messages change the tables; `None`: any.
    pub twilio_account: Option<String>,
}

/// Decodes `envelope`.
///
/// # Errors
/// [`DecodeError`], if the body can never be decoded.
pub fn decode(envelope: &Envelope, settings: &DecodeSettings) -> Result<Payload, DecodeError> {
    let body = &envelope.body[..];
    match envelope.source {
        Source::Stripe => decode_stripe(serde_json::from_slice(body)?, settings),
        Source::SupabaseAuth => supabase::auth_hook::decode(body),
        Source::SupabaseDatabase => {
            supabase::row::decode(body, TriggerChange::of(envelope), &settings.tables)
        }
        Source::Twilio => {
            let account = twilio::account(body)?;
            let is_another = |of: &String| settings.twilio_account.as_ref().is_some_and(|ours| ours != of);
            let payload = twilio::decode(envelope)?;
            Ok(match account.filter(is_another) {
                Some(account) => {
                    let reason = NotCounted::OtherTwilioAccount(account);
                    Payload::NotCounted(Box::new(NotCountedEvent { reason, payload }))
                }
                None => payload,
            })
        }
        Source::Internal => match serde_json::from_slice(body)? {
            Internal::Snapshot(snapshot) => {
                let origin = snapshot.origin();
                decode_filtered(settings, &origin, || {
                    stripe::decode_snapshot(snapshot, &settings.user_id_keys)
                })
            }
            Internal::Corrected(corrected) => decode_corrected(&corrected, &settings.tables),
            internal => Ok(Payload::Internal(internal)),
        },
    }
}

/// The same without the whole objects, which only `order` needs: they take most of the time and memory.
///
/// # Errors
/// As [`decode()`].
pub fn decode_states(envelope: &Envelope, settings: &DecodeSettings) -> Result<Payload, DecodeError> {
    let payload = match envelope.source {
        Source::Stripe => decode_stripe(stripe::decode_fields(&envelope.body)?, settings),
        _ => decode(envelope, settings),
    };
    payload.map(Payload::without_objects)
}

fn decode_stripe(event: Value, settings: &DecodeSettings) -> Result<Payload, DecodeError> {
    let origin = Origin::of_event(&event);
    decode_filtered(settings, &origin, || stripe::decode(event, &settings.user_id_keys))
}

/// Decodes an event and checks its `origin`. One that is not counted is never undecodable: it is stored as it is.
fn decode_filtered(
    settings: &DecodeSettings,
    origin: &Origin,
    decode: impl FnOnce() -> Result<Payload, DecodeError>,
) -> Result<Payload, DecodeError> {
    match settings.origin_filter.check(origin) {
        Ok(()) => decode(),
        Err(reason) => {
            let payload = decode().unwrap_or(Payload::Ignored);
            Ok(Payload::NotCounted(Box::new(NotCountedEvent { reason, payload })))
        }
    }
}

/// The report of the missing change, at the moment of the last reported one: `order` finds that it follows that.
fn decode_corrected(corrected: &Corrected, tables: &ActivityTables) -> Result<Payload, DecodeError> {
    let mut payload = supabase::row::decode(corrected.change.to_string().as_bytes(), None, tables)?;
    if let Payload::Row(report) = &mut payload {
        report.occurred_at = from_unix_micros(corrected.at_us);
        report.departures_before = Some(corrected.left_before);
    }
    Ok(payload)
}
