//! From verified bytes to an envelope: reads id, type and time, and leaves the body as it is except for what
//! must not be stored.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::fields::{Field, ID_FORM, Malformed, NAME_FORM, document, is_name, is_reserved};
use super::{Envelope, Origin, Source, hook, scrub};

/// The `object` of Stripe's thin events, which carry only the id of the object they are about.
const THIN_EVENT: &str = "\"v2.core.event\"";

#[derive(Deserialize)]
struct StripeEvent<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    livemode: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
}

impl StripeEvent<'_> {
    fn origin(&self) -> Origin {
        let text = |field: Option<&RawValue>| serde_json::from_str::<String>(field?.get()).ok();
        let livemode = match self.livemode.map(RawValue::get) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let (account, context, user_id) = (text(self.account), text(self.context), text(self.user_id));
        Origin::new(livemode, account.as_deref(), context.as_deref(), user_id.as_deref())
    }
}

/// The envelope of a Stripe event.
///
/// # Errors
/// The missing or invalid field.
pub fn stripe(body: Bytes, received_at: OffsetDateTime) -> Result<Envelope, Malformed> {
    stripe_with_origin(body, received_at).map(|(envelope, _)| envelope)
}

/// The envelope of a Stripe event, and which mode and account it is of.
///
/// # Errors
/// The missing or invalid field.
pub fn stripe_with_origin(body: Bytes, received_at: OffsetDateTime) -> Result<(Envelope, Origin), Malformed> {
    let event: StripeEvent<'_> = document(&body)?;
    let thin = event.object.is_some_and(|object| object.get() == THIN_EVENT);
    let created = Field::new("created", event.created);
    let event_id = Field::new("id", event.id).event_id()?;
    let event_type = Field::new("type", event.kind).name()?;
    let occurred_at = if thin { created.rfc3339()? } else { created.unix_seconds()? };
    let origin = event.origin();
    Ok((Envelope { source: Source::Stripe, event_id, event_type, occurred_at, received_at, body }, origin))
}

/// An Auth Hook call: the event, and what its answer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthHook {
    /// The event; its type is the hook's name.
    pub envelope: Envelope,
    /// The bytes of `claims`, if any: the token hook returns them.
    pub claims: Option<Bytes>,
}

#[derive(Deserialize)]
struct HookCall<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct HookMetadata<'a> {
    #[serde(borrow)]
    uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// The envelope of an Auth Hook call, with only the needed part of its body. Its id is that of the invocation
/// (`metadata.uuid`), which all attempts share, unlike the `webhook-id`.
///
/// # Errors
/// The missing or invalid field.
pub fn auth_hook(body: Bytes, received_at: OffsetDateTime) -> Result<AuthHook, Malformed> {
    let call: HookCall<'_> = document(&body)?;
    let metadata: HookMetadata<'_> = Field::new("metadata", call.metadata).object()?;
    let event_id = Field::new("metadata.uuid", metadata.uuid).event_id()?;
    let event_type = Field::new("metadata.name", metadata.name).name()?;
    let occurred_at = Field::new("metadata.time", metadata.time).rfc3339()?;
    let claims = call.claims.map(|raw| body.slice_ref(raw.get().as_bytes()));
    let source = Source::SupabaseAuth;
    let body = hook::stored_part(&event_type, document(&body)?)?;
    Ok(AuthHook {
        envelope: Envelope { source, event_id, event_type, occurred_at, received_at, body },
        claims,
    })
}

/// What the answer needs to know, even if the call has no valid `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookKind {
    /// The hook's name: as reported, else inferred from the fields; empty if unknown.
    pub name: String,
    /// As in [`AuthHook`].
    pub claims: Option<Bytes>,
    /// It carries a one-time code to be sent, whatever it is called.
    pub carries_code: bool,
}

#[derive(Deserialize)]
struct HookShape<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
    #[serde(borrow)]
    sms: Option<&'a RawValue>,
    #[serde(borrow)]
    email_data: Option<&'a RawValue>,
    #[serde(borrow)]
    valid: Option<&'a RawValue>,
}

/// Determines the hook by the name it gives, or else by its fields: a login waits for the answer even if the
/// call is too incomplete to be an event.
///
/// # Errors
/// If the body is not a JSON object.
pub fn hook_kind(body: &Bytes) -> Result<HookKind, Malformed> {
    let shape: HookShape<'_> = document(body)?;
    let metadata: Result<HookMetadata<'_>, _> = Field::new("metadata", shape.metadata).object();
    let reported = metadata.and_then(|metadata| Field::new("metadata.name", metadata.name).name());
    let fields = [
        (shape.claims, hook::TOKEN_HOOK),
        (shape.sms, "send-sms"),
        (shape.email_data, "send-email"),
        (shape.valid, "mfa-verification"),
    ];
    let inferred = || fields.iter().find(|(field, _)| field.is_some()).map_or("", |(_, name)| *name);
    let name = reported.unwrap_or_else(|_| inferred().to_owned());
    let claims = shape.claims.map(|raw| body.slice_ref(raw.get().as_bytes()));
    let carries_code = hook::carries_code(shape.sms, shape.email_data);
    Ok(HookKind { name, claims, carries_code })
}

#[derive(Deserialize)]
struct RowChange<'a> {
    #[serde(borrow, rename = "type")]
    operation: Option<&'a RawValue>,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    table: Option<&'a RawValue>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    #[serde(borrow)]
    old_record: Option<&'a RawValue>,
}

/// The envelope of a Database Webhook. Its body has neither id nor time: both come from the signed headers.
/// The secrets of a row of the schema `auth` are removed here, before anything can store it.
///
/// # Errors
/// The missing or invalid field.
pub fn database(
    webhook_id: &str,
    signed_at: OffsetDateTime,
    body: Bytes,
    received_at: OffsetDateTime,
) -> Result<Envelope, Malformed> {
    let change: RowChange<'_> = document(&body)?;
    let operation = operation(Field::new("type", change.operation))?;
    let schema = Field::new("schema", change.schema).name()?;
    let table = Field::new("table", change.table).name()?;
    let event_type = format!("{schema}.{table}.{}", operation.to_ascii_lowercase());
    for (field, name) in [("table", event_type.as_str()), ("webhook-id", webhook_id)] {
        if !is_name(name) {
            return Err(Malformed::Invalid { field, form: NAME_FORM });
        }
    }
    if is_reserved(webhook_id) {
        return Err(Malformed::Invalid { field: "webhook-id", form: ID_FORM });
    }
    let body = if schema == scrub::SCHEMA {
        let record = Field::new("record", change.record);
        let old_record = Field::new("old_record", change.old_record);
        scrub::row_change(operation, &table, record, old_record)?
    } else {
        body
    };
    let (source, event_id) = (Source::SupabaseDatabase, webhook_id.to_owned());
    Ok(Envelope { source, event_id, event_type, occurred_at: signed_at, received_at, body })
}

fn operation(field: Field<'_>) -> Result<&'static str, Malformed> {
    let name = field.name()?;
    let known = ["INSERT", "UPDATE", "DELETE"].into_iter().find(|known| *known == name);
    known.ok_or(field.invalid("INSERT, UPDATE or DELETE"))
}

#[cfg(test)]
mod tests;
