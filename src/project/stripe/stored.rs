//! Deserializes a stored state directly into the struct that `kind` names. Serde's internally tagged enums
//! would buffer all members first.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::StripeObject;

const KINDS: &[&str] = &[
    "customer",
    "checkout",
    "subscription",
    "invoice",
    "invoice_payment",
    "charge",
    "refund",
    "dispute",
    "price",
    "product",
    "coupon",
    "discount",
    "found_payment",
];

impl<'de> Deserialize<'de> for StripeObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Stored)
    }
}

struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = StripeObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with its kind")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<StripeObject, A::Error> {
        let mut before = Vec::new();
        // jsonb sorts keys by length: only the id comes before the kind.
        let kind = loop {
            let Some(key) = members.next_key::<String>()? else {
                return Err(A::Error::missing_field("kind"));
            };
            if key == "kind" {
                break members.next_value::<String>()?;
            }
            before.push((key, members.next_value()?));
        };
        let all = MapAccessDeserializer::new(Members { before: before.into_iter(), value: None, members });
        Ok(match kind.as_str() {
            "customer" => StripeObject::Customer(Deserialize::deserialize(all)?),
            "checkout" => StripeObject::Checkout(Deserialize::deserialize(all)?),
            "subscription" => StripeObject::Subscription(Deserialize::deserialize(all)?),
            "invoice" => StripeObject::Invoice(Deserialize::deserialize(all)?),
            "invoice_payment" => StripeObject::InvoicePayment(Deserialize::deserialize(all)?),
            "charge" => StripeObject::Charge(Deserialize::deserialize(all)?),
            "refund" => StripeObject::Refund(Deserialize::deserialize(all)?),
            "dispute" => StripeObject::Dispute(Deserialize::deserialize(all)?),
            "price" => StripeObject::Price(Deserialize::deserialize(all)?),
            "product" => StripeObject::Product(Deserialize::deserialize(all)?),
            "coupon" => StripeObject::Coupon(Deserialize::deserialize(all)?),
            "discount" => StripeObject::Discount(Deserialize::deserialize(all)?),
            "found_payment" => StripeObject::ImportedPayment(Deserialize::deserialize(all)?),
            other => return Err(A::Error::unknown_variant(other, KINDS)),
        })
    }
}

/// The members that came before the kind, then all others.
struct Members<A> {
    before: std::vec::IntoIter<(String, Value)>,
    value: Option<Value>,
    members: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some((key, value)) = self.before.next() else { return self.members.next_key_seed(seed) };
        self.value = Some(value);
        seed.deserialize(de::value::StringDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.members.next_value_seed(seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::project::stripe::{Customer, Discount, Refund};

    #[test]
    fn stored_state_round_trips() {
        for kind in KINDS {
            let stored = format!(r#"{{"id": "x_1", "kind": "{kind}"}}"#);
            let object: StripeObject = serde_json::from_str(&stored).unwrap();
            let again = serde_json::to_value(&object).unwrap();
            assert_eq!((&again["kind"], &again["id"]), (&json!(kind), &json!("x_1")), "{kind}");
            assert_eq!(serde_json::from_value::<StripeObject>(again).unwrap(), object);
        }
    }

    #[test]
    fn kind_may_be_any_member() {
        let refund = Refund { id: "re_1".to_owned(), amount: 5, ..Refund::default() };
        for stored in [
            r#"{"kind": "refund", "id": "re_1", "amount": 5}"#,
            r#"{"id": "re_1", "kind": "refund", "amount": 5, "unheard": {"kind": "of"}}"#,
            r#"{"id": "re_1", "amount": 5, "kind": "refund"}"#,
        ] {
            let object: StripeObject = serde_json::from_str(stored).unwrap();
            assert_eq!(object, StripeObject::Refund(refund.clone()), "{stored}");
        }
        let discount = Some(Discount { id: "di_1".to_owned(), ..Discount::default() });
        let customer = Customer { id: "cus_1".to_owned(), discount, ..Customer::default() };
        let stored = json!({"discount": {"id": "di_1"}, "id": "cus_1", "kind": "customer"});
        let object: StripeObject = serde_json::from_value(stored).unwrap();
        assert_eq!(object, StripeObject::Customer(customer));
    }

    #[test]
    fn missing_kind_is_an_error() {
        for stored in [r#"{"id": "x"}"#, r#"{"kind": "coin"}"#, r#"{"kind": 1}"#, "[]"] {
            assert!(serde_json::from_str::<StripeObject>(stored).is_err(), "{stored}");
        }
    }
}
