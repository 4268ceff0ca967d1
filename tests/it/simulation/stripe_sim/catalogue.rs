//! What is sold, and at what discount.

use super::super::shapes::Era;
use super::super::state::{Act, Simulation, Tier};
use super::objects::{Coupon, Discount, Off, Price, TaxRate, Tier as Step};

const INTERVALS: [(&str, u32); 8] = [
    ("month", 1),
    ("month", 1),
    ("year", 1),
    ("day", 28),
    ("week", 2),
    ("month", 3),
    ("week", 4),
    ("day", 1),
];

impl Simulation {
    /// The prices and coupons of the account, and the deployment's tiers.
    pub fn stock(&mut self) {
        for _ in 0..self.rng.usize(4..8) {
            let price = self.new_price();
            self.name_tier(&price);
        }
        for _ in 0..3 {
            self.new_coupon();
        }
    }

    fn new_price(&mut self) -> Price {
        let (interval, count) = self.pick(&INTERVALS);
        let is_2018 = self.eras[0].1 == Era::Y2018;
        let currency = self.pick(&["usd", "usd", "usd", "eur", "jpy"]);
        let kind = self.rng.u32(0..10);
        let mut price = Price {
            id: self.id("price"),
            product: self.id("prod"),
            currency: currency.to_owned(),
            unit_tenths: Some(10 * self.rng.i64(100..20_000)),
            interval,
            count,
            nickname: "A plan".to_owned(),
            ..Price::default()
        };
        match kind {
            0 => price.metered = true,
            1 => price.package = Some((self.rng.u64(2..5), self.chance(50))),
            2 | 3 => {
                price.unit_tenths = None;
                price.graduated = self.chance(50);
                price.tiers = vec![
                    Step { up_to: Some(2), unit: self.rng.i64(300..900), flat: self.rng.i64(0..3) * 250 },
                    Step { up_to: Some(4), unit: self.rng.i64(200..300), flat: 0 },
                    Step { up_to: None, unit: self.rng.i64(10..200), flat: self.rng.i64(0..2) * 99 },
                ];
                price.tiers_emitted = kind == 2;
            }
            4 if !is_2018 => price.unit_tenths = Some(self.rng.i64(5..30_000)),
            _ => {}
        }
        if !is_2018 {
            price.tax_behavior = self.pick(&[None, None, None, Some("inclusive"), Some("exclusive")]);
        }
        let emitted = self.pen().price(&price, price.tiers_emitted);
        let type_name = if self.era() == Era::Y2018 { "plan.created" } else { "price.created" };
        if price.tiers_emitted || self.chance(60) {
            let id = price.id.clone();
            self.emit(&id, None, &emitted, &[type_name]);
        }
        self.stripe.prices.insert(price.id.clone(), price.clone());
        price
    }

    /// Somebody says whether a price includes its tax. Subscriptions keep showing it as it was when they changed
    /// last.
    pub fn specify_tax(&mut self) {
        let open = self.stripe.prices.values().filter(|it| it.tax_behavior.is_none());
        let open: Vec<Price> = open.cloned().collect();
        let Some(mut price) = self.any(open).filter(|_| self.era() != Era::Y2018) else { return };
        let before = self.pen().price(&price, price.tiers_emitted);
        price.tax_behavior = Some(self.pick(&["inclusive", "exclusive"]));
        let after = self.pen().price(&price, price.tiers_emitted);
        self.emit(&price.id, Some(&before), &after, &["price.updated"]);
        self.stripe.prices.insert(price.id.clone(), price);
    }

    /// Rates that Stripe's users set by hand; those of one place go together.
    pub fn some_tax_rates(&mut self) -> Vec<TaxRate> {
        let kinds: &[(bool, i64)] = match self.rng.u32(0..12) {
            0 => &[(true, 20_000)],
            1 => &[(true, 7_700), (false, 1_500)],
            2 => &[(true, 5_000), (true, 9_975)],
            3 => &[(false, 19_000)],
            _ => &[],
        };
        let rate = |(inclusive, thousandths): &(bool, i64)| TaxRate {
            id: self.id("txr"),
            inclusive: *inclusive,
            thousandths: *thousandths,
        };
        kinds.iter().map(rate).collect()
    }

    fn name_tier(&mut self, price: &Price) {
        let id = self.uuid();
        let name = format!("Tier {id}");
        let (by_price, by_product) = match self.rng.u32(0..10) {
            0..5 => (Some(price.id.clone()), None),
            5..8 => (None, Some(price.product.clone())),
            8 => {
                self.stripe.late_prices.push(price.id.clone());
                (Some(price.id.clone()), None)
            }
            _ => return,
        };
        let phase = usize::from(self.stripe.late_prices.contains(&price.id));
        let tier = Tier { id, name, price: by_price, product: by_product };
        self.tiers.push(tier.clone());
        self.acts.push((phase, Act::NameTier(tier)));
    }

    fn new_coupon(&mut self) {
        let duration = self.pick(&["forever", "forever", "repeating", "once"]);
        let months = (duration == "repeating").then(|| self.rng.u32(1..10));
        let off = match self.rng.u32(0..4) {
            0 => Off::Amount(self.rng.i64(100..3_000), self.pick(&["usd", "usd", "eur"])),
            1 => Off::Percent(self.rng.i64(1..10_001)),
            _ => Off::Percent(100 * self.rng.i64(1..101)),
        };
        let is_new = self.eras.iter().all(|(_, era)| !era.is_old());
        let emitted = !is_new || self.chance(85);
        let id = self.id("coupon");
        let options = match off {
            Off::Amount(..) if self.chance(30) => vec![("usd", 333), ("eur", 222)],
            _ => Vec::new(),
        };
        let coupon =
            Coupon { id: id.clone(), off, duration, months, options, name: "Off".to_owned(), emitted };
        if emitted {
            let value = self.pen().coupon(&coupon);
            self.emit(&id, None, &value, &["coupon.created"]);
        }
        self.stripe.coupons.insert(id, coupon);
    }

    pub fn rename_coupon(&mut self) {
        let Some(id) = self.any(self.stripe.coupons.keys().cloned().collect::<Vec<_>>()) else { return };
        let name = format!("Off {}", self.rng.u32(..1000));
        if self.stripe.coupons[&id].emitted {
            self.change_coupon(&id, &["coupon.updated"], |it, _| it.name.clone_from(&name));
        }
    }

    /// A discount that begins now. Its owner has still to show it.
    pub fn new_discount(
        &mut self,
        customer: &str,
        subscription: Option<&str>,
        item: Option<&str>,
    ) -> Discount {
        let coupons: Vec<Coupon> = self.stripe.coupons.values().cloned().collect();
        let coupon = self.pick(&coupons);
        let start = self.now;
        Discount {
            id: self.id("di"),
            end: coupon.months.map(|months| start + i64::from(months) * 30 * 86_400),
            coupon,
            customer: customer.to_owned(),
            subscription: subscription.map(str::to_owned),
            item: item.map(str::to_owned),
            start,
        }
    }

    /// Reports a discount itself: `customer.discount.created`, `.updated` or `.deleted`.
    pub fn emit_discount(&mut self, discount: &Discount, what: &str) {
        let value = self.pen().discount(discount);
        let id = if self.era() == Era::Y2018 {
            format!("discount:{}", discount.subscription.as_ref().unwrap_or(&discount.customer))
        } else {
            discount.id.clone()
        };
        self.emit(&id, None, &value, &[&format!("customer.discount.{what}")]);
    }
}
