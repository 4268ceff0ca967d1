//! Tax rates of a subscription or an item, and whether a price includes tax.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project::stripe::field::{boolean, decimal, id, list, text};

/// The most rates read of one list: Stripe allows ten on a line.
const RATES_MAX: usize = 20;

/// A tax rate of a subscription or an item. Its terms never change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaxRate {
    pub id: String,
    /// Included in the price; otherwise added on top.
    pub inclusive: bool,
    /// Decimal text; absent if only the rate's id is given.
    pub percentage: Option<String>,
}

/// The rates of a list: complete, or only an id.
pub fn tax_rates(value: &Value) -> Vec<TaxRate> {
    list(value).iter().take(RATES_MAX).filter_map(tax_rate).collect()
}

fn tax_rate(value: &Value) -> Option<TaxRate> {
    Some(TaxRate {
        id: id(value)?,
        inclusive: boolean(&value["inclusive"]),
        percentage: decimal(&value["percentage"]).or_else(|| decimal(&value["effective_percentage"])),
    })
}

/// The tax behavior of a price; `None` if unspecified.
pub fn tax_behavior(value: &Value) -> Option<String> {
    text(value).filter(|behavior| matches!(behavior.as_str(), "inclusive" | "exclusive"))
}
