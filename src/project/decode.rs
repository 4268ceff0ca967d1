//! Decodes an envelope into what it reports.

use serde_json::Value;

use super::internal::{Corrected, Internal, from_unix_micros};
use super::payload::{DecodeError, NotCountedEvent, Payload};
use super::stripe::{Admission, NotCounted};
use super::supabase::ActivityTables;
use super::supabase::row::Numbered;
use super::{stripe, supabase, twilio};
use crate::envelope::{Envelope, Origin, Source};

/// The settings for decoding events.
#[derive(Clone, Debug, Default)]
pub struct DecodeSettings {
    /// The metadata keys that name a user, strongest first.
    pub user_id_keys: Vec<String>,
    /// The tables whose rows count.
    pub tables: ActivityTables,
    /// Which of Stripe's events count.
    pub admission: Admission,
    /// The Twilio account whose messages count; `None`: all do.
    pub twilio_account: Option<String>,
}

/// Decodes `envelope`.
///
/// # Errors
/// [`DecodeError`], if the body can never be decoded.
pub fn read(envelope: &Envelope, settings: &DecodeSettings) -> Result<Payload, DecodeError> {
    let body = &envelope.body[..];
    match envelope.source {
        Source::Stripe => read_stripe(serde_json::from_slice(body)?, settings),
        Source::SupabaseAuth => supabase::auth_hook::read(body),
        Source::SupabaseDatabase => supabase::row::read(body, Numbered::of(envelope), &settings.tables),
        Source::Twilio => {
            let account = twilio::account(body)?;
            let is_another = |of: &String| settings.twilio_account.as_ref().is_some_and(|ours| ours != of);
            let payload = twilio::read(envelope)?;
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
                counted(settings, &origin, || stripe::read_snapshot(snapshot, &settings.user_id_keys))
            }
            Internal::Corrected(corrected) => read_corrected(&corrected, &settings.tables),
            internal => Ok(Payload::Internal(internal)),
        },
    }
}

/// The same without the whole objects, which only chaining needs: they take most of the time and memory.
///
/// # Errors
/// As [`read`].
pub fn read_states(envelope: &Envelope, settings: &DecodeSettings) -> Result<Payload, DecodeError> {
    let payload = match envelope.source {
        Source::Stripe => read_stripe(stripe::read_fields(&envelope.body)?, settings),
        _ => read(envelope, settings),
    };
    payload.map(Payload::without_objects)
}

fn read_stripe(event: Value, settings: &DecodeSettings) -> Result<Payload, DecodeError> {
    let origin = Origin::of_event(&event);
    counted(settings, &origin, || stripe::read(event, &settings.user_id_keys))
}

/// Decodes the event if its `origin` counts. An event that does not count is never unreadable: it is stored
/// as it is.
fn counted(
    settings: &DecodeSettings,
    origin: &Origin,
    read: impl FnOnce() -> Result<Payload, DecodeError>,
) -> Result<Payload, DecodeError> {
    match settings.admission.check(origin) {
        Ok(()) => read(),
        Err(reason) => {
            let payload = read().unwrap_or(Payload::Ignored);
            Ok(Payload::NotCounted(Box::new(NotCountedEvent { reason, payload })))
        }
    }
}

/// The report of the missing change, placed after the last reported one.
fn read_corrected(corrected: &Corrected, tables: &ActivityTables) -> Result<Payload, DecodeError> {
    let mut payload = supabase::row::read(corrected.change.to_string().as_bytes(), None, tables)?;
    if let Payload::Row(report) = &mut payload {
        report.occurred_at = from_unix_micros(corrected.at_us);
        report.corrects_after = Some(corrected.left_before);
    }
    Ok(payload)
}
