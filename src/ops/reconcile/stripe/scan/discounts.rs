//! Discounts of a customer: events report each on its own, the API shows it only within its customer.

use serde_json::{Value, json};

use super::{ReconcileError, Scan};
use crate::project::stripe::StripeObject;

impl<S> Scan<'_, S> {
    /// The reported discounts of the customers among `objects`, as the API shows them: one that is gone has ended.
    pub(super) async fn discounts(&self, objects: &[Value]) -> Result<Vec<Value>, ReconcileError> {
        let customers: Vec<&Value> = objects.iter().filter(|object| object["object"] == "customer").collect();
        let ids: Vec<&str> = customers.iter().filter_map(|customer| customer["id"].as_str()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let reported = self.store.discounts_of(&ids).await?;
        let reported: Vec<&str> = reported.iter().map(String::as_str).collect();
        let stored = self.store.stored_objects(&reported).await?;
        let facts = stored.values().filter_map(|stored| stored.fact.as_ref());
        Ok(facts.filter_map(|fact| as_shown(&fact.state, &customers)).collect())
    }
}

/// A reported discount as its customer shows it now, or its end.
fn as_shown(fact: &StripeObject, customers: &[&Value]) -> Option<Value> {
    let StripeObject::Discount(reported) = fact else { return None };
    let customer = customers.iter().find(|it| it["id"].as_str() == reported.customer.as_deref())?;
    let shown = &customer["discount"];
    if shown["id"].as_str() == Some(&reported.id) || reported.has_stand_in_id() && shown.is_object() {
        let mut shown = shown.clone();
        shown["object"] = json!("discount");
        shown["id"] = json!(reported.id);
        shown["customer"] = json!(reported.customer);
        return Some(shown);
    }
    Some(
        json!({"object": "discount", "id": reported.id, "customer": reported.customer, "start": reported.start,
        "coupon": reported.coupon_id, "end": reported.end, "deleted": true}),
    )
}
