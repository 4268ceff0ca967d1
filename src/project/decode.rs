//! Decodes an envelope into what it reports.

use serde_json::Value;

use super::internal::{Corrected, Internal, from_unix_micros};
use super::meaning::{Meaning, Uncounted, Unreadable};
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
/// [`Unreadable`], if the body can never be decoded.
pub fn read(envelope: &Envelope, settings: &DecodeSettings) -> Result<Meaning, Unreadable> {
    let body = &envelope.body[..];
    match envelope.source {
        Source::Stripe => read_stripe(serde_json::from_slice(body)?, settings),
        Source::SupabaseAuth => supabase::auth_hook::read(body),
        Source::SupabaseDatabase => supabase::row::read(body, Numbered::of(envelope), &settings.tables),
        Source::Twilio => {
            let account = twilio::account(body)?;
            let is_another = |of: &String| settings.twilio_account.as_ref().is_some_and(|ours| ours != of);
            let meaning = twilio::read(envelope)?;
            Ok(match account.filter(is_another) {
                Some(account) => {
                    let reason = NotCounted::OtherTwilioAccount(account);
                    Meaning::NotCounted(Box::new(Uncounted { reason, meaning }))
                }
                None => meaning,
            })
        }
        Source::Internal => match serde_json::from_slice(body)? {
            Internal::Snapshot(snapshot) => {
                let origin = snapshot.origin();
                counted(settings, &origin, || stripe::read_snapshot(snapshot, &settings.user_id_keys))
            }
            Internal::Corrected(corrected) => read_corrected(&corrected, &settings.tables),
            internal => Ok(Meaning::Internal(internal)),
        },
    }
}

/// The same without the whole objects, which only chaining needs: they take most of the time and memory.
///
/// # Errors
/// As [`read`].
pub fn read_states(envelope: &Envelope, settings: &DecodeSettings) -> Result<Meaning, Unreadable> {
    let meaning = match envelope.source {
        Source::Stripe => read_stripe(stripe::read_fields(&envelope.body)?, settings),
        _ => read(envelope, settings),
    };
    meaning.map(Meaning::without_objects)
}

fn read_stripe(event: Value, settings: &DecodeSettings) -> Result<Meaning, Unreadable> {
    let origin = Origin::of_event(&event);
    counted(settings, &origin, || stripe::read(event, &settings.user_id_keys))
}

/// Decodes the event if its `origin` counts. An event that does not count is never unreadable: it is stored
/// as it is.
fn counted(
    settings: &DecodeSettings,
    origin: &Origin,
    read: impl FnOnce() -> Result<Meaning, Unreadable>,
) -> Result<Meaning, Unreadable> {
    match settings.admission.check(origin) {
        Ok(()) => read(),
        Err(reason) => {
            let meaning = read().unwrap_or(Meaning::Nothing);
            Ok(Meaning::NotCounted(Box::new(Uncounted { reason, meaning })))
        }
    }
}

/// The report of the missing change, placed after the last reported one.
fn read_corrected(corrected: &Corrected, tables: &ActivityTables) -> Result<Meaning, Unreadable> {
    let mut meaning = supabase::row::read(corrected.change.to_string().as_bytes(), None, tables)?;
    if let Meaning::Row(report) = &mut meaning {
        report.occurred_at = from_unix_micros(corrected.at_us);
        report.corrects_after = Some(corrected.left_before);
    }
    Ok(meaning)
}
