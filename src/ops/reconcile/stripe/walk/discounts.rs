//! Discounts on a customer's own level: events tell of each, the API shows it within its customer alone.

use serde_json::{Value, json};

use super::{ReconcileError, Walk};
use crate::project::stripe::StripeObject;

impl<S> Walk<'_, S> {
    /// The own discounts of the customers among `objects`, of which events have reported. One that is not there any
    /// more is over.
    pub(super) async fn discounts(&self, objects: &[Value]) -> Result<Vec<Value>, ReconcileError> {
        let customers: Vec<&Value> = objects.iter().filter(|object| object["object"] == "customer").collect();
        let ids: Vec<&str> = customers.iter().filter_map(|customer| customer["id"].as_str()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let told = self.store.discounts_of(&ids).await?;
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let known = self.store.known_objects(&told).await?;
        let facts = known.values().filter_map(|known| known.fact.as_ref());
        Ok(facts.filter_map(|fact| as_shown(&fact.state, &customers)).collect())
    }
}

/// A customer's discount as the customer shows it: itself, or that it is over.
fn as_shown(fact: &StripeObject, customers: &[&Value]) -> Option<Value> {
    let StripeObject::Discount(told) = fact else { return None };
    let customer = customers.iter().find(|it| it["id"].as_str() == told.customer.as_deref())?;
    let shown = &customer["discount"];
    if shown["id"].as_str() == Some(&told.id) || told.has_stand_in_id() && shown.is_object() {
        let mut shown = shown.clone();
        shown["object"] = json!("discount");
        shown["id"] = json!(told.id);
        shown["customer"] = json!(told.customer);
        return Some(shown);
    }
    Some(json!({"object": "discount", "id": told.id, "customer": told.customer, "start": told.start,
        "coupon": told.coupon_id, "end": told.end, "deleted": true}))
}
