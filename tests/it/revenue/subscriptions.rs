//! Subscriptions in the CRM, and MRR before tax: in every order of events, everything twice, and after a
//! rebuild.

use memberflow::envelope::{Envelope, parse};
use memberflow::ops::ledger::{self, About};
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::Store;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::support::app::TestApp;

/// After the last of the events, before the cancellation that they announce.
const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);

/// Events of one customer.
struct Scenario {
    events: Vec<Value>,
    /// In all of the customer's ids, and in no others.
    word: &'static str,
}

impl Scenario {
    fn read(name: &str, word: &'static str) -> Self {
        let path = format!("{}/tests/subscriptions/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let events = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        Self { events, word }
    }

    fn event(&mut self, kind: &str) -> &mut Value {
        self.events.iter_mut().find(|event| event["type"] == kind).unwrap()
    }

    /// The object of the event of this type.
    fn object(&mut self, kind: &str) -> &mut Value {
        &mut self.event(kind)["data"]["object"]
    }

    fn without(mut self, kind: &str) -> Self {
        self.events.retain(|event| event["type"] != kind);
        self
    }

    /// A later event: about the object of the event `of`, with `changes`.
    fn then(mut self, kind: &str, of: &str, changes: &Value) -> Self {
        let mut event = self.event(of).clone();
        event["id"] = json!(format!("evt_{}_{}", self.word, self.events.len() + 1));
        event["type"] = json!(kind);
        event["created"] = json!(event["created"].as_i64().unwrap() + 100);
        event["data"].as_object_mut().unwrap().remove("previous_attributes");
        for (key, value) in changes.as_object().unwrap() {
            event["data"]["object"][key] = value.clone();
        }
        self.events.push(event);
        self
    }

    /// Applies it in every order, each for its own customer, every event twice.
    async fn app(self) -> Orders {
        let app = TestApp::begin().await;
        app.name_tier("Starter", "price_starter").await;
        let store = app.store_at(NOW);
        let orders = orders(self.events.len());
        for number in 0..orders.len() {
            app.sign_up(user(number), &format!("member{number}@example.com")).await;
        }
        for place in 0..self.events.len() {
            let next = orders.iter().enumerate().map(|(number, order)| self.envelope(number, order[place]));
            let next: Vec<Envelope> = next.collect();
            store.apply(&next).await.unwrap();
            store.apply(&next).await.unwrap();
        }
        Orders { app, store, count: orders.len() }
    }

    fn envelope(&self, number: usize, event: usize) -> Envelope {
        let mut event = self.events[event].clone();
        if event["data"]["object"]["object"] == "customer" {
            event["data"]["object"]["email"] = json!(format!("member{number}@example.com"));
            event["data"]["object"]["metadata"] = json!({"user_id": user(number)});
        }
        let (lower, upper) = (self.word, self.word.to_uppercase());
        let body = event.to_string();
        let body = body.replace(lower, &format!("{lower}{number}x"));
        let body = body.replace(&upper, &format!("{upper}{number}X"));
        parse::stripe(body.into(), NOW).unwrap()
    }
}

fn user(number: usize) -> Uuid {
    Uuid::from_u128(0xaaaa_0000_0000_4000_8000_0000_0000_0000 + number as u128)
}

/// Every order of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let place = |order: Vec<usize>, at: usize| [&order[..at], &[last], &order[at..]].concat();
    let shorter = orders(last);
    shorter.into_iter().flat_map(|order| (0..count).map(move |at| place(order.clone(), at))).collect()
}

/// The database with one history applied in every order.
struct Orders {
    app: TestApp,
    store: Store,
    count: usize,
}

impl Orders {
    /// Asserts that the query has one row for each order, and all of them are `expected`.
    async fn all_say(&self, query: &str, expected: Value) {
        let rows = self.app.rows(query).await;
        assert_eq!(rows.len(), self.count, "{query}");
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(*row, expected, "row {at} of {query}");
        }
    }

    /// Asserts that for these reasons, and no others, one object of each order is parked.
    async fn all_parked(&self, reasons: &[&str]) {
        let parked = "select reason, count(*)::int from ingest.parked group by reason order by reason";
        let expected: Vec<Value> =
            reasons.iter().map(|reason| json!({"reason": reason, "count": self.count})).collect();
        assert_eq!(self.app.rows(parked).await, expected);
    }

    /// Asserts that each customer's MRR is `mrr`, in the metrics and as the sum of its movements.
    async fn all_bring(&self, mrr: i64) {
        self.all_say("select mrr from public.user_revenue_metrics", json!({"mrr": mrr})).await;
        let sums = "select sum(delta)::bigint as mrr from public.mrr_movements
                    where superseded_at is null group by customer_id";
        self.all_say(sums, json!({"mrr": mrr})).await;
        let movements = "select count(distinct (effective_at - to_timestamp(0), kind, delta)) as kinds, count(*) / $ as each
                         from public.mrr_movements where superseded_at is null";
        let movements = movements.replace('$', &self.count.to_string());
        let row = &self.app.rows(&movements).await[0];
        assert_eq!(row["kinds"], row["each"], "the movements are the same in every order");
    }

    async fn rebuild_to_the_same(&self) {
        let mut differing = Vec::new();
        let show = |difference| {
            differing.push(difference);
            true
        };
        rebuild::run(&self.store, true, &mut Progress::Silent, show).await.unwrap();
        assert_eq!(differing, []);
    }
}

const CANCELLATION: &str = "select status::text, cancel_at, cancel_at_period_end as at_period_end,
    cancellation_reason as reason, cancellation_feedback as feedback, collection_paused as paused
    from public.customer_subscriptions";

fn flexible() -> Scenario {
    Scenario::read("cancel_at_in_flexible_billing", "flexible")
}

#[tokio::test]
async fn flexible_billing_cancellation_shows_day_and_reason() {
    let orders = flexible().app().await;
    let canceling = json!({"status": "active", "cancel_at": "2026-12-20T10:00:00+00:00", "at_period_end": false,
        "reason": "cancellation_requested", "feedback": null, "paused": false});
    orders.all_say(CANCELLATION, canceling).await;
    orders.all_bring(2900).await;
    orders.all_parked(&[]).await;
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn unreported_cancellation_is_flagged_as_overdue() {
    let orders = flexible().app().await;
    let within_the_hour = orders.app.store_at(datetime!(2026-12-20 10:59:59 UTC));
    assert_eq!(within_the_hour.recompute_due().await.unwrap(), 0);
    let an_hour_later = orders.app.store_at(datetime!(2026-12-20 11:00 UTC));
    assert_eq!(an_hour_later.recompute_due().await.unwrap(), orders.count);
    orders.all_parked(&["overdue"]).await;
    orders
        .all_say("select status::text from public.customer_subscriptions", json!({"status": "active"}))
        .await;
}

#[tokio::test]
async fn revoked_cancellation_is_cleared_pause_is_shown() {
    let changes = json!({"cancel_at": null, "canceled_at": null,
        "cancellation_details": {"reason": null, "feedback": "too_expensive", "comment": "a person's own words"},
        "pause_collection": {"behavior": "keep_as_draft", "resumes_at": null}});
    let updated = "customer.subscription.updated";
    let orders = flexible().then(updated, updated, &changes).app().await;
    let paused = json!({"status": "active", "cancel_at": null, "at_period_end": false, "reason": null,
        "feedback": "too_expensive", "paused": true});
    orders.all_say(CANCELLATION, paused).await;
    let kept = "select 1 from ingest.stripe_facts where state::text like '%own words%'";
    assert_eq!(orders.app.rows(kept).await, [json!(null); 0]);
    orders.rebuild_to_the_same().await;
}

fn taxed() -> Scenario {
    Scenario::read("price_with_tax_included", "taxed")
}

const CREATED: &str = "customer.subscription.created";

#[tokio::test]
async fn a_price_that_includes_its_tax_counts_without_it() {
    let orders = taxed().app().await;
    orders.all_bring(2000).await;
    orders.all_parked(&["no_tier"]).await;
    let spent = "select total_spent from public.user_revenue_metrics";
    orders.all_say(spent, json!({"total_spent": 2400})).await;
    let explained =
        ledger::explain(&orders.app.database.pool, &About::User(user(0)), NOW).await.unwrap().unwrap();
    let it = &explained.subscriptions[0];
    assert_eq!((it.tax.as_deref(), it.exact.as_str(), it.mrr), (Some("400"), "2000", 2000));
    assert_eq!(it.items[0].tax.as_deref(), Some("20 % tax included"));
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn an_included_tax_of_unknown_rate_leaves_an_estimate() {
    let mut scenario = taxed();
    let subscription = scenario.object(CREATED);
    subscription["default_tax_rates"] = json!([]);
    subscription["automatic_tax"] = json!({"enabled": true});
    let orders = scenario.app().await;
    orders.all_bring(2400).await;
    orders.all_parked(&["estimated_mrr", "no_tier"]).await;
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn catalogue_tax_behavior_resolves_the_estimate() {
    let mut scenario = taxed();
    let subscription = scenario.object(CREATED);
    subscription["default_tax_rates"] = json!([]);
    subscription["automatic_tax"] = json!({"enabled": true});
    let price = &mut subscription["items"]["data"][0]["price"];
    price["tax_behavior"] = json!("unspecified");
    price["id"] = json!("price_taxed");
    let mut price = price.clone();
    price["tax_behavior"] = json!("exclusive");
    let mut scenario = scenario.then("price.updated", CREATED, &json!({}));
    scenario.events.last_mut().unwrap()["data"]["object"] = price;
    let orders = scenario.app().await;
    orders.all_bring(2400).await;
    orders.all_parked(&["no_tier"]).await;
    orders.rebuild_to_the_same().await;
}

fn abroad() -> Scenario {
    Scenario::read("amount_off_in_another_currency", "abroad")
}

#[tokio::test]
async fn foreign_amount_off_is_taken_from_invoice() {
    let orders = abroad().app().await;
    orders.all_bring(2450).await;
    orders.all_parked(&["estimated_mrr", "no_tier"]).await;
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn complete_foreign_discount_is_taken_from_invoice() {
    let mut scenario = abroad().without("customer.discount.created").without("coupon.created");
    let subscription = scenario.object(CREATED);
    let coupon = json!({"id": "FIVEOFF", "object": "coupon", "amount_off": 500, "currency": "usd", "duration": "forever"});
    subscription["discounts"] = json!(["di_abroad"]);
    subscription["discount"] = json!({"id": "di_abroad", "object": "discount", "coupon": coupon,
        "customer": "cus_abroad", "subscription": "sub_abroad", "start": 1_785_578_400, "end": null});
    let orders = scenario.app().await;
    orders.all_bring(2450).await;
    orders.all_parked(&["estimated_mrr", "no_tier"]).await;
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn unknown_foreign_amount_off_takes_nothing() {
    let orders = abroad().without("invoice.paid").app().await;
    orders.all_bring(2900).await;
    orders.all_parked(&["estimated_mrr", "no_tier"]).await;
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn coupon_currency_option_is_not_an_estimate() {
    let mut scenario = abroad().without("invoice.paid");
    scenario.object("coupon.created")["currency_options"] =
        json!({"usd": {"amount_off": 500}, "eur": {"amount_off": 470}});
    let orders = scenario.app().await;
    orders.all_bring(2430).await;
    orders.all_parked(&["no_tier"]).await;
    orders.rebuild_to_the_same().await;
}

fn deleted_customer() -> Scenario {
    Scenario::read("customer_deleted_alone", "gone")
}

#[tokio::test]
async fn deleted_customers_subscription_needs_stripe() {
    let orders = deleted_customer().app().await;
    orders.all_parked(&["needs_stripe"]).await;
    orders
        .all_say("select status::text from public.customer_subscriptions", json!({"status": "active"}))
        .await;
    orders.all_bring(2900).await;
    let detail = "select split_part(detail, ',', 2) as detail from ingest.parked";
    orders.all_say(detail, json!({"detail": " and no event has reported its end"})).await;
    orders.rebuild_to_the_same().await;
}

#[tokio::test]
async fn reported_end_clears_deleted_customer_flag() {
    let end = json!({"status": "canceled", "ended_at": 1_786_356_000, "canceled_at": 1_786_356_000,
        "cancellation_details": {"reason": "cancellation_requested"}});
    let orders = deleted_customer().then("customer.subscription.deleted", CREATED, &end).app().await;
    orders.all_parked(&[]).await;
    let ended = json!({"status": "canceled", "cancel_at": null, "at_period_end": false,
        "reason": "cancellation_requested", "feedback": null, "paused": false});
    orders.all_say(CANCELLATION, ended).await;
    orders.all_bring(0).await;
    orders.rebuild_to_the_same().await;
}
