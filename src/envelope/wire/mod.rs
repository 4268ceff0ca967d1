//! The wire form: one message that carries one or more envelopes of one source.
//!
//! ```text
//! message  = version (1 byte, 1) · source (1 byte length, name) · envelope…
//! envelope = occurred_at · received_at · event_id · event_type · body
//! moment   = seconds since 1970 (i64) · nanoseconds (u32)
//! field    = length in bytes (u64) · the bytes
//! ```
//!
//! Integers are little-endian. Bodies are exact bytes, never re-encoded. Decoding is total: whatever the
//! bytes, it gives envelopes or an error, and never allocates by a length that the message declares.

use bytes::{Buf as _, Bytes};
use time::OffsetDateTime;

use super::Envelope;
use super::fields::{TRIGGER, UNDECODABLE_PREFIX, is_reserved};
use super::source::{Source, UnknownSource};

/// The only version written and read. A new layout gets a new number.
const VERSION: u8 = 1;
/// What an envelope takes besides its id, type and body: two moments and three lengths.
const OVERHEAD_BYTES: usize = 2 * 12 + 3 * 8;

/// The bytes are not a message of ours.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Written by another version, or by somebody else.
    #[error("wire version {0} is not known; this build reads version {VERSION}")]
    Version(u8),
    /// The message names a source that does not exist.
    #[error(transparent)]
    Source(#[from] UnknownSource),
    /// A field reaches past the end of the message.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A name that is not UTF-8.
    #[error("a name is not UTF-8")]
    Text,
    /// A timestamp out of range.
    #[error("a timestamp is out of range: the message was not written by memberflow")]
    Moment,
    /// Internal events are never queued: somebody else wrote it.
    #[error("the message holds events of memberflow's own, which never travel through a queue")]
    Internal,
    /// Events of another source than the queue is for.
    #[error("the message holds events of {declared} in the queue of {queue}")]
    Foreign {
        /// The source that the message names.
        declared: Source,
        /// The source of the queue.
        queue: Source,
    },
    /// A reserved id that no event of this source has.
    #[error("event id {0:?} is reserved for memberflow")]
    Reserved(String),
    /// No envelope at all.
    #[error("the message carries no envelope")]
    Empty,
}

/// The bytes an envelope takes on the wire.
#[must_use]
pub fn encoded_len(envelope: &Envelope) -> usize {
    OVERHEAD_BYTES + envelope.event_id.len() + envelope.event_type.len() + envelope.body.len()
}

/// One message for `envelopes`, all of which are of `source`.
#[must_use]
pub fn encode(source: Source, envelopes: &[Envelope]) -> Vec<u8> {
    debug_assert!(envelopes.iter().all(|envelope| envelope.source == source), "one message, one source");
    let name = source.as_str().as_bytes();
    let mut message = Vec::with_capacity(2 + name.len() + envelopes.iter().map(encoded_len).sum::<usize>());
    message.push(VERSION);
    #[expect(clippy::cast_possible_truncation, reason = "sources have short names")]
    message.push(name.len() as u8);
    message.extend_from_slice(name);
    for envelope in envelopes {
        put_moment(&mut message, envelope.occurred_at);
        put_moment(&mut message, envelope.received_at);
        put_field(&mut message, envelope.event_id.as_bytes());
        put_field(&mut message, envelope.event_type.as_bytes());
        put_field(&mut message, &envelope.body);
    }
    message
}

fn put_moment(message: &mut Vec<u8>, moment: OffsetDateTime) {
    message.extend_from_slice(&moment.unix_timestamp().to_le_bytes());
    message.extend_from_slice(&moment.nanosecond().to_le_bytes());
}

fn put_field(message: &mut Vec<u8>, field: &[u8]) {
    message.extend_from_slice(&(field.len() as u64).to_le_bytes());
    message.extend_from_slice(field);
}

/// Decodes a message. Bodies are slices of it, not copies.
///
/// # Errors
/// If the bytes are not a message that [`encode`] could have written.
pub fn decode(mut message: Bytes) -> Result<Vec<Envelope>, WireError> {
    match message.try_get_u8().map_err(|_| WireError::Truncated)? {
        VERSION => {}
        other => return Err(WireError::Version(other)),
    }
    let name_bytes = message.try_get_u8().map_err(|_| WireError::Truncated)?;
    let source: Source = text(take(&mut message, name_bytes.into())?)?.parse()?;
    if !Source::QUEUED.contains(&source) {
        return Err(WireError::Internal);
    }
    let mut envelopes = Vec::new();
    while !message.is_empty() {
        envelopes.push(take_envelope(source, &mut message)?);
    }
    if envelopes.is_empty() { Err(WireError::Empty) } else { Ok(envelopes) }
}

/// The envelopes of a message from the queue of `queue`.
///
/// # Errors
/// As [`decode`], and if they are of another source.
pub fn decode_from(queue: Source, message: Bytes) -> Result<Vec<Envelope>, WireError> {
    let envelopes = decode(message)?;
    match envelopes.first() {
        Some(first) if first.source != queue => Err(WireError::Foreign { declared: first.source, queue }),
        _ => Ok(envelopes),
    }
}

/// Whether `id` is a reserved id that no event of `source` has on the broker. Trigger events of earlier
/// versions and undecodable dead letters may be there.
fn is_forbidden_id(source: Source, id: &str) -> bool {
    let is_triggers = source == Source::SupabaseDatabase && id.starts_with(TRIGGER);
    is_reserved(id) && !is_triggers && !id.starts_with(UNDECODABLE_PREFIX)
}

fn take_envelope(source: Source, message: &mut Bytes) -> Result<Envelope, WireError> {
    let occurred_at = take_moment(message)?;
    let received_at = take_moment(message)?;
    let event_id = text(take_field(message)?)?;
    if is_forbidden_id(source, &event_id) {
        return Err(WireError::Reserved(event_id));
    }
    let event_type = text(take_field(message)?)?;
    let body = take_field(message)?;
    Ok(Envelope { source, event_id, event_type, occurred_at, received_at, body })
}

fn take_moment(message: &mut Bytes) -> Result<OffsetDateTime, WireError> {
    let seconds = message.try_get_i64_le().map_err(|_| WireError::Truncated)?;
    let nanoseconds = message.try_get_u32_le().map_err(|_| WireError::Truncated)?;
    OffsetDateTime::from_unix_timestamp(seconds)
        .and_then(|moment| moment.replace_nanosecond(nanoseconds))
        .map_err(|_| WireError::Moment)
}

fn take_field(message: &mut Bytes) -> Result<Bytes, WireError> {
    let length = message.try_get_u64_le().map_err(|_| WireError::Truncated)?;
    take(message, usize::try_from(length).map_err(|_| WireError::Truncated)?)
}

fn take(message: &mut Bytes, length: usize) -> Result<Bytes, WireError> {
    if length > message.len() { Err(WireError::Truncated) } else { Ok(message.split_to(length)) }
}

fn text(bytes: Bytes) -> Result<String, WireError> {
    String::from_utf8(bytes.into()).map_err(|_| WireError::Text)
}

#[cfg(test)]
mod tests;
