//! Recognises the objects of forgotten persons by their own ids and the ids that they name.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use crate::store::{Store, StoreError};

/// The ids of forgotten persons that some objects have or name, each with the moment of forgetting.
pub(in crate::ops) struct Forgotten(BTreeMap<String, OffsetDateTime>);

impl Forgotten {
    /// Those of `objects`.
    pub(in crate::ops) async fn among(store: &Store, objects: &[&Value]) -> Result<Self, StoreError> {
        let ids: Vec<&str> = objects.iter().copied().flat_map(related_ids).collect();
        Ok(Self(store.forgotten_objects(&ids).await?))
    }

    /// When the person to whom `object` belonged was last forgotten.
    pub(in crate::ops) fn at(&self, object: &Value) -> Option<OffsetDateTime> {
        related_ids(object).into_iter().filter_map(|id| self.0.get(id)).max().copied()
    }
}

/// The ids by which an object of the API is recognised as a forgotten person's: its own, its customer's, and that of the
/// payment that it is part of.
fn related_ids(object: &Value) -> Vec<&str> {
    ["id", "customer", "charge", "payment_intent", "invoice"]
        .into_iter()
        .filter_map(|field| object[field].as_str().or_else(|| object[field]["id"].as_str()))
        .collect()
}
