//! Prices, plans (their predecessors), and products.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tax::tax_behavior;
use crate::project::stripe::field::{boolean, count, currency, decimal, id, list, text};

/// A price, or an old plan in the same fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Price {
    pub id: String,
    pub product: Option<String>,
    pub currency: Option<String>,
    /// `unit_amount_decimal`, else `unit_amount`, as decimal text in minor units; absent for tiered prices.
    pub unit_amount: Option<String>,
    /// `day`, `week`, `month` or `year`; absent for one-off prices.
    pub interval: Option<String>,
    pub interval_count: Option<u32>,
    /// `usage_type` is `metered`.
    pub metered: bool,
    pub transform_quantity: Option<TransformQuantity>,
    /// `graduated` or `volume`; absent unless `billing_scheme` is `tiered`.
    pub tiers_mode: Option<String>,
    /// Present only if the object shows them (events about prices do not always).
    pub tiers: Vec<PriceTier>,
    /// `inclusive` or `exclusive`; absent while unspecified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_behavior: Option<String>,
    pub nickname: Option<String>,
}

/// `transform_quantity`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransformQuantity {
    pub divide_by: u64,
    pub round_up: bool,
}

/// One tier of a tiered price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceTier {
    /// Absent: to infinity.
    pub up_to: Option<u64>,
    /// Decimal text, minor units.
    pub unit_amount: Option<String>,
    /// Decimal text, minor units.
    pub flat_amount: Option<String>,
}

/// A product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Product {
    pub id: String,
    pub name: Option<String>,
    pub active: bool,
}

/// A price or a plan; only the id if given as an id.
pub fn price(value: &Value) -> Option<Price> {
    let terms = if value["recurring"].is_object() { &value["recurring"] } else { value };
    Some(Price {
        id: id(value)?,
        product: id(&value["product"]),
        currency: currency(&value["currency"]),
        unit_amount: unit_amount(value),
        interval: text(&terms["interval"]),
        interval_count: count(&terms["interval_count"]).and_then(|count| count.try_into().ok()),
        metered: terms["usage_type"] == "metered",
        transform_quantity: transform(&value["transform_quantity"])
            .or_else(|| transform(&value["transform_usage"])),
        tiers_mode: text(&value["tiers_mode"]),
        tiers: list(&value["tiers"]).iter().map(tier).collect(),
        tax_behavior: tax_behavior(&value["tax_behavior"]),
        nickname: text(&value["nickname"]),
    })
}

/// The unit amount, in the fields of prices, else of plans.
fn unit_amount(value: &Value) -> Option<String> {
    ["unit_amount_decimal", "unit_amount", "amount_decimal", "amount"]
        .into_iter()
        .find_map(|key| decimal(&value[key]))
}

fn transform(value: &Value) -> Option<TransformQuantity> {
    let divide_by = count(&value["divide_by"]).filter(|divisor| *divisor > 0)?;
    Some(TransformQuantity { divide_by, round_up: value["round"] == "up" })
}

fn tier(value: &Value) -> PriceTier {
    PriceTier {
        up_to: count(&value["up_to"]),
        unit_amount: unit_amount(value),
        flat_amount: decimal(&value["flat_amount_decimal"]).or_else(|| decimal(&value["flat_amount"])),
    }
}

/// A product.
pub fn product(value: &Value) -> Option<Product> {
    Some(Product { id: id(value)?, name: text(&value["name"]), active: boolean(&value["active"]) })
}
