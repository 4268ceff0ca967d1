//! Turns an object from the API into a report.

use serde_json::Value;
use time::OffsetDateTime;

use super::event::state;
use super::field::boolean;
use super::{Kind, StripeObject};
use crate::project::internal::Snapshot;
use crate::project::order::ChangeKind;
use crate::project::payload::Report;
use crate::project::{DecodeError, Payload};

/// An object from the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiObject {
    /// The stored state.
    pub state: StripeObject,
    /// Deleted: the API shows only that it existed.
    pub is_deleted: bool,
    /// It can never leave this state.
    pub is_final: bool,
}

/// Reads an API object; `None` if its kind is not used, or it has no id.
#[must_use]
pub fn decode_api_object(object: &Value, user_id_keys: &[String]) -> Option<ApiObject> {
    decode_api_object_at(object, 0, user_id_keys)
}

fn decode_api_object_at(object: &Value, at: i64, user_id_keys: &[String]) -> Option<ApiObject> {
    let kind = Kind::of_object(object["object"].as_str()?)?;
    let state = state(kind, object, "", at, user_id_keys)?;
    let is_deleted = boolean(&object["deleted"]);
    let change_kind = change_kind(is_deleted);
    let state = if is_deleted { state.deleted() } else { state };
    Some(ApiObject { is_final: state.is_final(change_kind), is_deleted, state })
}

/// The report of a snapshot: the whole state, without previous values.
///
/// # Errors
/// [`DecodeError`], if the object's kind is not used, or it has no usable id or time.
pub fn decode_snapshot(snapshot: Snapshot, user_id_keys: &[String]) -> Result<Payload, DecodeError> {
    let unusable = |field| DecodeError::Field { event_type: "snapshot".to_owned(), field };
    let occurred_at = OffsetDateTime::from_unix_timestamp(snapshot.at).map_err(|_| unusable("at"))?;
    let ApiObject { state, is_deleted, is_final } =
        decode_api_object_at(&snapshot.object, snapshot.at, user_id_keys)
            .ok_or_else(|| unusable("object.object or object.id"))?;
    Ok(Payload::Stripe(Box::new(Report {
        subject: state.id().to_owned(),
        occurred_at,
        change_kind: change_kind(is_deleted),
        is_final,
        state,
        object: snapshot.object,
        previous: None,
        sequence: None,
        departures_before: None,
    })))
}

const fn change_kind(is_deleted: bool) -> ChangeKind {
    if is_deleted { ChangeKind::Deleted } else { ChangeKind::Updated }
}
