//! Objects as events showed them until 2025-02.

use serde_json::{Value, json};

use super::super::stripe_sim::objects::{Discount, Invoice, Item, Line, Price, Subscription, Tier};
use super::{Era, Pen, discount_amounts, recent, tax_rates, tier, write_cancellation_and_tax};

pub fn plan(it: &Price, tiers: Option<&Vec<Tier>>) -> Value {
    let tiers: Option<Vec<Value>> = tiers.map(|all| all.iter().map(|one| tier(one, "amount")).collect());
    let transform =
        it.package.map(|(size, up)| json!({ "divide_by": size, "round": if up { "up" } else { "down" } }));
    json!({ "id": it.id, "object": "plan", "aggregate_usage": null, "amount": it.unit_tenths.map(|unit| unit / 10),
        "billing_scheme": if it.tiers.is_empty() { "per_unit" } else { "tiered" }, "currency": it.currency,
        "interval": it.interval, "interval_count": it.count, "livemode": false, "metadata": {},
        "nickname": it.nickname, "product": it.product, "tiers": tiers,
        "tiers_mode": mode(it), "transform_usage": transform,
        "usage_type": if it.metered { "metered" } else { "licensed" } })
}

pub fn mode(it: &Price) -> Option<&'static str> {
    let mode = if it.graduated { "graduated" } else { "volume" };
    (!it.tiers.is_empty()).then_some(mode)
}

pub fn discount(pen: Pen, it: &Discount) -> Value {
    let mut value = json!({ "object": "discount", "coupon": pen.coupon(&it.coupon), "customer": it.customer,
        "end": it.end, "start": it.start, "subscription": it.subscription });
    if pen.era != Era::Y2018 {
        for (key, said) in [("id", json!(it.id)), ("checkout_session", Value::Null), ("invoice", Value::Null)]
        {
            value[key] = said;
        }
    }
    value
}

pub fn subscription(pen: Pen, it: &Subscription) -> Value {
    let is_2018 = pen.era == Era::Y2018;
    let items: Vec<Value> = it.items.iter().take(10).map(|one| item(pen, &it.id, one)).collect();
    let single = (it.items.len() == 1).then(|| &it.items[0]);
    let mut value = json!({ "id": it.id, "object": "subscription", "cancel_at_period_end": it.cancel_at_period_end,
        "canceled_at": it.canceled_at, "created": it.created, "current_period_start": it.period.0,
        "current_period_end": it.period.1, "customer": pen.customer_id(Some(&it.customer)),
        "discount": it.discounts.first().map(|one| pen.discount(one)), "ended_at": it.ended_at,
        "items": { "object": "list", "data": items, "has_more": it.items.len() > 10, "total_count": it.items.len() },
        "livemode": false, "metadata": it.metadata, "plan": single.map(|one| plan(&one.price, None)),
        "quantity": single.and_then(|one| one.quantity), "status": it.status,
        "trial_start": it.trial.map(|trial| trial.0), "trial_end": it.trial.map(|trial| trial.1) });
    if is_2018 {
        value["billing"] = json!("charge_automatically");
        value["start"] = json!(it.period.0);
    } else {
        value["collection_method"] = json!("charge_automatically");
        value["currency"] = json!(it.currency);
        value["start_date"] = json!(it.start_date);
        write_cancellation_and_tax(&mut value, it);
    }
    value
}

fn item(pen: Pen, subscription: &str, it: &Item) -> Value {
    let mut value = json!({ "id": it.id, "object": "subscription_item", "metadata": {}, "quantity": it.quantity,
        "plan": plan(&it.price, None), "subscription": subscription });
    if pen.era != Era::Y2018 {
        value["price"] = recent::price(&it.price, None);
        value["tax_rates"] = tax_rates(&it.tax_rates);
    }
    value
}

pub fn invoice(pen: Pen, it: &Invoice) -> Value {
    let lines: Vec<Value> = it.lines.iter().map(|one| line(pen, it, one)).collect();
    let is_paid = it.status == "paid";
    let mut value = json!({ "id": it.id, "object": "invoice", "amount_due": it.amount_due,
        "amount_paid": it.amount_paid, "amount_remaining": (it.amount_due - it.amount_paid).max(0),
        "attempt_count": it.attempts, "attempted": it.attempts > 0 || is_paid, "billing_reason": "subscription",
        "charge": it.charge, "currency": it.currency, "customer": pen.customer_id(Some(&it.customer)),
        "discount": null, "lines": { "object": "list", "data": lines, "has_more": false }, "livemode": false,
        "metadata": it.metadata, "paid": is_paid, "subscription": it.subscription, "total": it.amount_due });
    if pen.era == Era::Y2018 {
        value["date"] = json!(it.created);
        value["closed"] = json!(is_paid || it.status == "uncollectible");
        value["forgiven"] = json!(it.status == "uncollectible");
    } else {
        value["created"] = json!(it.created);
        value["payment_intent"] = json!(it.intent);
        value["paid_out_of_band"] = json!(it.out_of_band);
        value["total_discount_amounts"] = discount_amounts(it);
        recent::write_status(&mut value, it);
    }
    value
}

fn line(pen: Pen, invoice: &Invoice, it: &Line) -> Value {
    let kind = if it.proration { "invoiceitem" } else { "subscription" };
    let mut value = json!({ "id": format!("il_{}", it.item.id), "object": "line_item", "amount": it.amount,
        "currency": invoice.currency, "period": { "start": it.period.0, "end": it.period.1 },
        "plan": plan(&it.item.price, None), "proration": it.proration, "quantity": it.item.quantity,
        "subscription": invoice.subscription, "subscription_item": it.item.id, "type": kind });
    if pen.era != Era::Y2018 {
        value["price"] = recent::price(&it.item.price, None);
    }
    value
}
