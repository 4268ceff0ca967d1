//! From a Stripe event to the report of the one object it is about.

use serde_json::Value;
use time::OffsetDateTime;

use super::field::{id, text, time};
use super::objects::charge;
use super::objects::customer::{checkout, customer};
use super::objects::discount::{coupon, discount, is_for_one_payment};
use super::objects::invoice::{invoice, invoice_payment};
use super::objects::price::{price, product};
use super::objects::subscription::subscription;
use super::{Kind, StripeObject};
use crate::project::order::ChangeKind;
use crate::project::payload::Report;
use crate::project::{DecodeError, Payload};

/// Decodes a Stripe event of any API version. The version is not used: a field is read in its new place, else
/// in its old one. `user_id_keys`: the metadata keys that name a user, strongest first.
///
/// # Errors
/// [`DecodeError`], if an event of a known kind has no usable type, time, object or object id.
pub fn decode(mut event: Value, user_id_keys: &[String]) -> Result<Payload, DecodeError> {
    let Some(event_type) = event["type"].as_str().map(str::to_owned) else {
        return Err(DecodeError::Field { event_type: "the event".to_owned(), field: "type" });
    };
    if event["object"] == "v2.core.event" {
        return Ok(thin(&event, &event_type));
    }
    let Some(kind) = Kind::of_event(&event_type) else { return Ok(Payload::Ignored) };
    let unusable = |field| DecodeError::Field { event_type: event_type.clone(), field };
    let created = time(&event["created"]).ok_or_else(|| unusable("created"))?;
    let occurred_at = OffsetDateTime::from_unix_timestamp(created).map_err(|_| unusable("created"))?;
    let object = take(&mut event, "/data/object").unwrap_or_default();
    if kind == Kind::Discount && is_for_one_payment(&object) {
        return Ok(Payload::Ignored);
    }
    let change_kind = change_kind(&event_type);
    let previous = previous(&mut event);
    let mut state = state(kind, &object, &event_type, created, user_id_keys)
        .map(|state| if change_kind == ChangeKind::Deleted { state.deleted() } else { state })
        .ok_or_else(|| unusable(kind.id_field()))?;
    if let (StripeObject::Customer(customer), Some(previous)) = (&mut state, &previous) {
        customer.previous_email = text(&previous["email"]);
    }
    Ok(Payload::Stripe(Box::new(Report {
        sequence: None,
        subject: state.id().to_owned(),
        occurred_at,
        change_kind,
        is_final: state.is_final(change_kind),
        state,
        object,
        previous,
        departures_before: None,
    })))
}

/// A thin event has the object's id without its state. Its type is the usual one with a prefix:
/// `v1.invoice.paid`.
fn thin(event: &Value, event_type: &str) -> Payload {
    let is_used = event_type.strip_prefix("v1.").and_then(Kind::of_event).is_some();
    match id(&event["related_object"]).filter(|_| is_used) {
        Some(object_id) => Payload::Thin { object_id },
        None => Payload::Ignored,
    }
}

/// The kind of change by the last part of the event's type.
fn change_kind(event_type: &str) -> ChangeKind {
    match event_type.rsplit('.').next() {
        Some("created") => ChangeKind::Created,
        Some("deleted") => ChangeKind::Deleted,
        _ => ChangeKind::Updated,
    }
}

/// The old values of what changed; an empty object means unknown.
fn previous(event: &mut Value) -> Option<Value> {
    take(event, "/data/previous_attributes")
        .filter(|previous| previous.as_object().is_some_and(|changed| !changed.is_empty()))
}

fn take(event: &mut Value, pointer: &str) -> Option<Value> {
    event.pointer_mut(pointer).map(Value::take)
}

/// The stored state of an object of this kind. `event_type` and `event_created`: the event, for fields that
/// depend on it; 0 for none.
pub(super) fn state(
    kind: Kind,
    object: &Value,
    event_type: &str,
    event_created: i64,
    user_id_keys: &[String],
) -> Option<StripeObject> {
    let at = (event_created > 0).then_some(event_created);
    Some(match kind {
        Kind::Customer => StripeObject::Customer(customer(object, user_id_keys)?),
        Kind::Checkout => StripeObject::Checkout(checkout(object, event_type, event_created, user_id_keys)?),
        Kind::Subscription => StripeObject::Subscription(subscription(object, user_id_keys)?),
        Kind::Invoice => StripeObject::Invoice(invoice(object, event_type, at)?),
        Kind::InvoicePayment => StripeObject::InvoicePayment(invoice_payment(object)?),
        Kind::Charge => StripeObject::Charge(charge::charge(object, event_type, at)?),
        Kind::Refund => StripeObject::Refund(charge::refund(object, at)?),
        Kind::Dispute => StripeObject::Dispute(charge::dispute(object)?),
        Kind::Price => StripeObject::Price(price(object)?),
        Kind::Product => StripeObject::Product(product(object)?),
        Kind::Coupon => StripeObject::Coupon(coupon(object)?),
        Kind::Discount => StripeObject::Discount(discount(object)?),
        // Imported ones are not reported by Stripe.
        Kind::ImportedPayment => return None,
    })
}
