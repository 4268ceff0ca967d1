//! Objects as events show them since 2025-03.

use serde_json::{Value, json};

use super::super::stripe_sim::objects::{Discount, Invoice, Item, Line, Price, Subscription, Tier};
use super::old::mode;
use super::{Era, Pen, decimal, discount_amounts, tax_rates, tier, write_cancellation_and_tax};

pub fn price(it: &Price, tiers: Option<&Vec<Tier>>) -> Value {
    let transform =
        it.package.map(|(size, up)| json!({ "divide_by": size, "round": if up { "up" } else { "down" } }));
    let mut value = json!({ "id": it.id, "object": "price", "active": true, "currency": it.currency,
        "billing_scheme": if it.tiers.is_empty() { "per_unit" } else { "tiered" }, "livemode": false,
        "metadata": {}, "nickname": it.nickname, "product": it.product,
        "recurring": { "interval": it.interval, "interval_count": it.count,
            "usage_type": if it.metered { "metered" } else { "licensed" } },
        "tax_behavior": it.tax_behavior.unwrap_or("unspecified"), "tiers_mode": mode(it), "transform_quantity": transform, "type": "recurring",
        "unit_amount": it.unit_tenths.filter(|unit| unit % 10 == 0).map(|unit| unit / 10),
        "unit_amount_decimal": it.unit_tenths.map(decimal) });
    if let Some(tiers) = tiers {
        value["tiers"] = tiers.iter().map(|one| tier(one, "unit_amount")).collect();
    }
    value
}

pub fn discount(pen: Pen, it: &Discount) -> Value {
    json!({ "id": it.id, "object": "discount", "checkout_session": null,
        "customer": pen.customer_id(Some(&it.customer)), "end": it.end, "invoice": null, "invoice_item": null,
        "promotion_code": null, "source": { "coupon": it.coupon.id, "type": "coupon" }, "start": it.start,
        "subscription": it.subscription, "subscription_item": it.item })
}

pub fn subscription(pen: Pen, it: &Subscription) -> Value {
    let items: Vec<Value> = it.items.iter().take(10).map(|one| item(pen, it, one)).collect();
    let mut value = json!({ "id": it.id, "object": "subscription", "cancel_at_period_end": it.cancel_at_period_end,
        "canceled_at": it.canceled_at, "collection_method": "charge_automatically", "created": it.created,
        "currency": it.currency, "customer": pen.customer_id(Some(&it.customer)), "discounts": ids(&it.discounts),
        "ended_at": it.ended_at,
        "items": { "object": "list", "data": items, "has_more": it.items.len() > 10, "total_count": it.items.len() },
        "livemode": false, "metadata": it.metadata, "start_date": it.start_date, "status": it.status, "trial_start": it.trial.map(|trial| trial.0),
        "trial_end": it.trial.map(|trial| trial.1) });
    write_cancellation_and_tax(&mut value, it);
    value
}

fn item(pen: Pen, subscription: &Subscription, it: &Item) -> Value {
    let mut value = json!({ "id": it.id, "object": "subscription_item", "metadata": {}, "quantity": it.quantity,
        "price": price(&it.price, None), "subscription": subscription.id, "discounts": ids(&it.discounts),
        "tax_rates": tax_rates(&it.tax_rates), "current_period_start": subscription.period.0, "current_period_end": subscription.period.1 });
    if pen.era == Era::Y2026 {
        value["current_trial"] =
            json!(it.trial_end.map(|end| json!({ "end_date": end, "start_date": null })));
    }
    value
}

fn ids(discounts: &[Discount]) -> Vec<&str> {
    discounts.iter().map(|it| it.id.as_str()).collect()
}

pub fn invoice(pen: Pen, it: &Invoice) -> Value {
    let lines: Vec<Value> = it.lines.iter().map(|one| line(it, one)).collect();
    let details = it.subscription.as_ref().map(|id| json!({ "metadata": {}, "subscription": id }));
    let parent =
        details.map(|details| json!({ "type": "subscription_details", "subscription_details": details }));
    // Paid by whatever means.
    let paid = it.collected();
    let mut value = json!({ "id": it.id, "object": "invoice", "amount_due": it.amount_due,
        "amount_paid": paid, "amount_remaining": (it.amount_due - paid).max(0),
        "attempt_count": it.attempts, "attempted": it.attempts > 0 || it.status == "paid",
        "billing_reason": "subscription_cycle", "created": it.created, "currency": it.currency,
        "customer": pen.customer_id(Some(&it.customer)), "discounts": [],
        "lines": { "object": "list", "data": lines, "has_more": false }, "livemode": false,
        "metadata": it.metadata, "parent": parent, "total": it.amount_due, "total_taxes": [],
        "total_discount_amounts": discount_amounts(it) });
    write_status(&mut value, it);
    value
}

/// What both sides of 2025 say in the same words.
pub fn write_status(value: &mut Value, it: &Invoice) {
    value["status"] = json!(it.status);
    value["status_transitions"] = json!({ "finalized_at": it.finalized_at, "marked_uncollectible_at": it.given_up_at,
        "paid_at": it.paid_at, "voided_at": it.voided_at });
}

fn line(invoice: &Invoice, it: &Line) -> Value {
    let details = json!({ "invoice_item": null, "proration": it.proration, "subscription": invoice.subscription,
        "subscription_item": it.item.id });
    let price = &it.item.price;
    json!({ "id": format!("il_{}", it.item.id), "object": "line_item", "amount": it.amount,
        "currency": invoice.currency, "invoice": invoice.id,
        "parent": { "type": "subscription_item_details", "subscription_item_details": details,
            "invoice_item_details": null },
        "period": { "start": it.period.0, "end": it.period.1 },
        "pricing": { "type": "price_details", "price_details": { "price": price.id, "product": price.product },
            "unit_amount_decimal": price.unit_tenths.map(decimal) },
        "quantity": it.item.quantity })
}
