//! Parses only the fields of an event that are used: parsing all of it takes longer than everything else that
//! is done with the event.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Every field name that a reader in this folder uses, anywhere in an event.
const USED: [&str; 119] = [
    "account",
    "active",
    "amount",
    "amount_captured",
    "amount_decimal",
    "amount_due",
    "amount_off",
    "amount_paid",
    "amount_refunded",
    "attempt_count",
    "attempted",
    "automatic_tax",
    "balance_transactions",
    "behavior",
    "billing_reason",
    "cancel_at",
    "cancel_at_period_end",
    "canceled_at",
    "cancellation_details",
    "captured",
    "charge",
    "checkout_session",
    "client_reference_id",
    "closed",
    "context",
    "coupon",
    "created",
    "currency",
    "current_period_end",
    "current_period_start",
    "current_trial",
    "customer",
    "customer_account",
    "customer_details",
    "customer_email",
    "data",
    "date",
    "default_tax_rates",
    "deleted",
    "description",
    "discount",
    "discounts",
    "divide_by",
    "duration",
    "duration_in_months",
    "effective_percentage",
    "email",
    "enabled",
    "end",
    "end_date",
    "ended_at",
    "feedback",
    "flat_amount",
    "flat_amount_decimal",
    "forgiven",
    "has_more",
    "id",
    "inclusive",
    "interval",
    "interval_count",
    "invoice",
    "invoice_item",
    "invoice_item_details",
    "items",
    "lines",
    "livemode",
    "name",
    "nickname",
    "number",
    "object",
    "paid",
    "paid_at",
    "paid_out_of_band",
    "parent",
    "pause_collection",
    "payment",
    "payment_intent",
    "payment_status",
    "percent_off",
    "percent_off_precise",
    "percentage",
    "period",
    "plan",
    "previous_attributes",
    "price",
    "price_details",
    "pricing",
    "product",
    "proration",
    "quantity",
    "reason",
    "recurring",
    "refunds",
    "related_object",
    "round",
    "source",
    "start",
    "start_date",
    "status",
    "status_transitions",
    "subscription",
    "subscription_details",
    "subscription_item",
    "subscription_item_details",
    "tax_behavior",
    "tax_rates",
    "tiers",
    "tiers_mode",
    "total_discount_amounts",
    "transform_quantity",
    "transform_usage",
    "trial_end",
    "trial_start",
    "type",
    "unit_amount",
    "unit_amount_decimal",
    "up_to",
    "usage_type",
    "user_id",
];

/// Fields whose members have arbitrary names.
const WHOLE: [&str; 2] = ["currency_options", "metadata"];

/// Parses the event in `body` without unused fields. Invalid JSON anywhere in it is an error.
///
/// # Errors
/// If it is not JSON.
pub fn decode_fields(body: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let event = Keep::Used.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(event)
}

/// What to keep of a value.
#[derive(Clone, Copy)]
enum Keep {
    All,
    /// Of objects only the used fields.
    Used,
    Nothing,
}

impl Keep {
    fn of(self, key: &str) -> Self {
        match self {
            Self::Used if WHOLE.contains(&key) => Self::All,
            Self::Used if USED.binary_search(&key).is_err() => Self::Nothing,
            kept => kept,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(if matches!(self, Self::Nothing) { Value::Null } else { Value::String(text.to_owned()) })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(entry) = entries.next_element_seed(self)? {
            if !matches!(self, Self::Nothing) {
                kept.push(entry);
            }
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some((keep, key)) = members.next_key_seed(Key(self))? {
            let value = members.next_value_seed(keep)?;
            kept.extend(key.map(|key| (key, value)));
        }
        Ok(Value::Object(kept))
    }
}

/// A member's name, if it is kept, and what to keep of its value.
struct Key(Keep);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = (Keep, Option<String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = (Keep, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let keep = self.0.of(key);
        Ok((keep, (!matches!(keep, Keep::Nothing)).then(|| key.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(body: &str) -> Value {
        decode_fields(body.as_bytes()).unwrap()
    }

    #[test]
    fn unused_fields_are_dropped() {
        let body = r#"{"id": "evt_1", "request": {"id": "req_1"}, "data": {"object": {
            "status": "active", "rendering": [{"status": 1}], "items": {"data": [{"id": "si_1", "tax": null}]},
            "metadata": {"anything": {"status": "x"}}, "percent_off": 12.50, "amount": -3, "livemode": true}}}"#;
        let kept = json!({"id": "evt_1", "data": {"object": {
            "status": "active", "items": {"data": [{"id": "si_1"}]}, "metadata": {"anything": {"status": "x"}},
            "percent_off": 12.5, "amount": -3, "livemode": true}}});
        assert_eq!(fields(body), kept);
    }

    #[test]
    fn invalid_json_anywhere_is_an_error() {
        for value in [r#""\ud800""#, "1e400", "01", "[1,", "{\"a\" 1}", "\"\u{1}\"", &"[".repeat(200)] {
            for key in ["status", "rendering"] {
                let body = format!(r#"{{"{key}": {value}}}"#);
                assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
                assert!(decode_fields(body.as_bytes()).is_err(), "{body}");
            }
        }
        assert!(decode_fields(b"{} {}").is_err());
    }

    /// Of a repeated member the last one counts, as in `serde_json`.
    #[test]
    fn last_repeated_member_wins() {
        assert_eq!(fields(r#"{"id": "a", "id": "b"}"#), json!({"id": "b"}));
    }

    #[test]
    fn every_used_field_name_is_listed() {
        let readers = [
            include_str!("objects/charge.rs"),
            include_str!("objects/customer.rs"),
            include_str!("objects/discount.rs"),
            include_str!("event.rs"),
            include_str!("field.rs"),
            include_str!("objects/invoice.rs"),
            include_str!("objects/price.rs"),
            include_str!("objects/subscription.rs"),
            include_str!("objects/tax.rs"),
            include_str!("../../envelope/origin.rs"),
        ];
        let is_kept = |name: &str| USED.contains(&name) || WHOLE.contains(&name);
        // `value["name"]`, and lists of such names.
        let brackets = readers.iter().flat_map(|text| text.split("[\"").skip(1));
        let lists = brackets.filter_map(|rest| rest.split_once("\"]"));
        let lists = lists.filter(|(_, after)| !after.starts_with(".contains"));
        let names = lists.flat_map(|(names, _)| names.split("\", \""));
        let missing: Vec<&str> = names.filter(|name| !is_kept(name)).collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert!(USED.is_sorted());
    }
}
