//! What parameters can be, beyond their types: words, moments, numbers.

use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayItems, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{Components, RefOr};

use crate::api::idempotency::KEY_MAX_CHARS;
use crate::ops::ledger::KINDS;
use crate::ops::members::{
    DIRECTION_NAMES, ENGAGEMENT_STATUSES, HEALTH_STATUSES, MAX_TAG_CHARS, MAX_TAGS, MAX_TEXT_CHARS,
    SORT_NAMES, SUBSCRIPTION_STATUSES, TIMELINE_KINDS,
};
use crate::ops::{campaigns, events, jobs, messages, page, throughput, tickets};

/// The parameters that take one of some words: where, which, and the words.
const WORDS: [(&str, &str, &[&str]); 17] = [
    ("list_members", "engagement_status", &ENGAGEMENT_STATUSES),
    ("list_members", "health_status", &HEALTH_STATUSES),
    ("list_members", "status", &SUBSCRIPTION_STATUSES),
    ("list_members", "sort", &SORT_NAMES),
    ("list_members", "order", &DIRECTION_NAMES),
    ("list_tickets", "status", &tickets::STATUSES),
    ("list_tickets", "waiting_for", &tickets::WAITING_FOR),
    ("list_tickets", "priority", &tickets::PRIORITIES),
    ("list_messages", "status", &messages::STATUSES),
    ("list_messages", "direction", &messages::DIRECTIONS),
    ("list_campaigns", "status", &campaigns::STATUSES),
    ("list_events", "state", &events::STATES),
    ("list_movements", "kind", &KINDS),
    ("list_timeline", "kind", &TIMELINE_KINDS),
    ("show_throughput", "period", &throughput::PERIODS),
    ("list_jobs", "operation", &jobs::OPERATIONS),
    ("list_jobs", "state", &jobs::STATES),
];
/// A month of the years that a question may be about.
const MONTH: &str = "^(?!0000|9999)[0-9]{4}-(0[1-9]|1[0-2])$";
/// Visible ASCII, which a header carries unchanged.
const HEADER_TEXT: &str = "^[!-~]([ -~]*[!-~])?$";

/// Says of the fields of bodies what they can be.
pub(super) fn describe_fields(components: &mut Components) {
    for (schema, field, words) in [
        ("MemberChange", "engagement_status", &ENGAGEMENT_STATUSES[..]),
        ("MemberChange", "health_status", &HEALTH_STATUSES),
        ("TicketChange", "status", &tickets::STATUSES),
    ] {
        if let Some(RefOr::T(Schema::Object(field))) = property(components, schema, field) {
            field.enum_values = Some(words.iter().map(|word| json!(word)).chain([Value::Null]).collect());
        }
    }
    if let Some(RefOr::T(Schema::Array(tags))) = property(components, "MemberChange", "custom_tags") {
        let tag = text().max_length(Some(MAX_TAG_CHARS)).pattern(Some(r"\S"));
        (tags.max_items, tags.items) = (Some(MAX_TAGS), ArrayItems::RefOrSchema(Box::new(tag.into())));
    }
}

fn property<'a>(components: &'a mut Components, schema: &str, field: &str) -> Option<&'a mut RefOr<Schema>> {
    match components.schemas.get_mut(schema)? {
        RefOr::T(Schema::Object(object)) => object.properties.get_mut(field),
        _ => None,
    }
}

/// Says of each parameter of `operation` what it can be.
pub(super) fn describe(operation: &mut Operation) {
    let name = operation.operation_id.clone().unwrap_or_default();
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = schema(&name, parameter)
        {
            parameter.schema = Some(schema.into());
        }
    }
}

fn schema(operation: &str, parameter: &Parameter) -> Option<Schema> {
    let name = parameter.name.as_str();
    if let Some((_, _, words)) = WORDS.iter().find(|(at, which, _)| (*at, *which) == (operation, name)) {
        return Some(text().enum_values(Some(words.iter().copied())).into());
    }
    Some(match (&parameter.parameter_in, name) {
        (ParameterIn::Header, "Idempotency-Key") => {
            text().pattern(Some(HEADER_TEXT)).max_length(Some(KEY_MAX_CHARS)).into()
        }
        (ParameterIn::Header, _) => text().into(),
        (_, "text" | "tier") => text().max_length(Some(MAX_TEXT_CHARS)).into(),
        (_, "assignee") => user_id_or(text().enum_values(Some(["nobody"]))),
        (_, "member") if operation == "list_events" => user_id_or(text().pattern(Some("@"))),
        (_, "limit") => {
            let limit = ObjectBuilder::new().schema_type(Type::Integer);
            limit.minimum(Some(1)).maximum(Some(page::MAX_LIMIT)).into()
        }
        (_, "since" | "until" | "date" | "known_at") => {
            let of = |format| text().format(Some(SchemaFormat::KnownFormat(format)));
            AnyOfBuilder::new().item(of(KnownFormat::Date)).item(of(KnownFormat::DateTime)).into()
        }
        (_, "from" | "to" | "month" | "began") => text().pattern(Some(MONTH)).into(),
        _ => return None,
    })
}

fn user_id_or(other: ObjectBuilder) -> Schema {
    let id = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    AnyOfBuilder::new().item(id).item(other).into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
