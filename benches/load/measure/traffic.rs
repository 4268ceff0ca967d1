//! The traffic of members who renew, pay, log in, upload and write.
//!
//! Each member has turns of eight events, half of them Stripe's and half rows of the application's tables.
//! The members are at different places in their turn, so any stretch of the traffic holds all kinds alike.

use std::path::Path;

use memberflow::clock::Clock;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::post::{Post, Shown, Signer};

/// Events in one turn.
pub const TURN: u64 = 8;
/// Between two events of a member.
const STEP_S: i64 = 3600;
/// How long ago the members' first events were.
const BEGAN: Duration = Duration::days(100);

/// A member's events number `step` and later; member 0 is the one whom the others are copies of.
#[derive(Clone, Copy)]
struct Moment {
    member: u64,
    step: u64,
}

impl Moment {
    /// Which of the turn's events this is.
    const fn kind(self) -> u64 {
        (self.step + self.member) % TURN
    }

    /// Which turn: one subscription period, with an invoice of its own.
    const fn turn(self) -> u64 {
        (self.step + self.member % TURN) / TURN
    }
}

/// Makes events for so many members, each of which has had so many before.
pub struct Traffic {
    members: u64,
    /// Events that each member has had before the next one.
    history: u64,
    /// Events made so far.
    made: u64,
    began: OffsetDateTime,
    templates: Templates,
    signer: Signer,
}

struct Templates {
    customer: String,
    subscription_created: String,
    charge: String,
    invoice_finalized: String,
    invoice_paid: String,
    subscription_updated: String,
}

/// Twelve digits that stand in all ids of a member: spread evenly, as ids are in reality, and another for each.
pub fn tag(member: u64) -> String {
    format!("{:012}", (member + 1) * 618_033_988_749 % 999_999_999_989)
}

/// [`tag`] of the column `n`, in SQL.
pub const TAG_SQL: &str = "lpad(((n + 1) * 618033988749 % 999999999989)::text, 12, '0')";

impl Traffic {
    pub fn of(members: u64, history: u64) -> Self {
        assert!(history.is_multiple_of(TURN), "a history is made of whole turns");
        let began = Clock::System.now().replace_nanosecond(0).unwrap() - BEGAN;
        Self { members, history, made: 0, began, templates: Templates::read(), signer: Signer::new() }
    }

    /// The account of member 0.
    pub fn prototype_user() -> String {
        user(0)
    }

    /// The events of member 0: a customer, a subscription, and its history.
    pub fn prototype(&self) -> Vec<Post> {
        let first = Moment { member: 0, step: 0 };
        let begin = [&self.templates.customer, &self.templates.subscription_created];
        let begin = begin.into_iter().map(|template| self.signer.stripe(self.filled(template, first), None));
        let history = (0..self.history).map(|step| self.post(Moment { member: 0, step }));
        begin.chain(history).collect()
    }

    /// The next `count` events, one member's after the other's.
    pub fn next(&mut self, count: usize) -> Vec<Post> {
        let range = self.made..self.made + count as u64;
        self.made = range.end;
        let moment = |number: u64| Moment {
            // Neighbours in the traffic are no neighbours in the tables.
            member: 1 + (number * 7919) % self.members,
            step: self.history + number / self.members,
        };
        range.map(|number| self.post(moment(number))).collect()
    }

    /// The next `count` changes of subscriptions, with bodies of that size.
    pub fn next_of_size(&mut self, count: usize, body_bytes: usize) -> Vec<Post> {
        let range = self.made..self.made + count as u64;
        self.made = range.end;
        let body = |number: u64| {
            let moment =
                Moment { member: 1 + number % self.members, step: self.history + number / self.members };
            sized(&self.filled(&self.templates.subscription_updated, moment), body_bytes)
        };
        range.map(|number| self.signer.stripe(body(number), None)).collect()
    }

    fn post(&self, moment: Moment) -> Post {
        let Templates { charge, invoice_finalized, invoice_paid, subscription_updated, .. } = &self.templates;
        let shown = |paid| {
            Some(Shown { invoice_id: format!("in_bench{}_{}", tag(moment.member), moment.turn()), paid })
        };
        match moment.kind() {
            0 => self.signer.stripe(self.filled(invoice_finalized, moment), shown(false)),
            1 => self.signer.stripe(self.filled(charge, moment), None),
            2 => self.signer.stripe(self.filled(invoice_paid, moment), shown(true)),
            3 => self.signer.stripe(self.filled(subscription_updated, moment), None),
            row => self.row(row, moment),
        }
    }

    fn second(&self, moment: Moment) -> i64 {
        self.began.unix_timestamp() + i64::try_from(moment.step).unwrap() * STEP_S
    }

    fn filled(&self, template: &str, moment: Moment) -> String {
        let period = i64::try_from(moment.turn() * TURN).unwrap() * STEP_S + self.began.unix_timestamp();
        let quantity = 1 + moment.turn() / 4 % 2;
        template
            .replace("@tag@", &tag(moment.member))
            .replace("@step@", &moment.step.to_string())
            .replace("@turn@", &moment.turn().to_string())
            .replace("@user@", &user(moment.member))
            .replace("\"@second@\"", &self.second(moment).to_string())
            .replace("\"@began@\"", &self.began.unix_timestamp().to_string())
            .replace("\"@period_start@\"", &period.to_string())
            .replace("\"@period_end@\"", &(period + 30 * 86_400).to_string())
            .replace("\"@quantity@\"", &quantity.to_string())
    }

    fn row(&self, kind: u64, moment: Moment) -> Post {
        let (user, step) = (user(moment.member), moment.step);
        let id = format!("be9c{:04x}-0000-4000-8001-{}", step % 0x1_0000, tag(moment.member));
        let at = OffsetDateTime::from_unix_timestamp(self.second(moment)).unwrap().format(&Rfc3339).unwrap();
        let (table, record) = match kind {
            4 => (
                "public.vision_versions",
                json!({"id": id, "user_id": user, "title": "A house by the sea", "is_draft": false, "is_active": true,
                       "household_id": null, "parent_id": null, "created_at": at, "updated_at": at}),
            ),
            5 => (
                "public.journal_entries",
                json!({"id": id, "user_id": user, "date": &at[..10], "title": "Day 1",
                       "content": "Woke up before the alarm.", "categories": ["health"],
                       "created_at": at, "updated_at": at}),
            ),
            6 => (
                "storage.objects",
                json!({"id": id, "bucket_id": "vision-board", "name": format!("{user}/{step}.jpg"),
                       "owner": user, "owner_id": user, "created_at": at, "updated_at": at,
                       "metadata": {"size": 1_500_000, "mimetype": "image/jpeg"}, "user_metadata": {}}),
            ),
            _ => (
                "auth.sessions",
                json!({"id": id, "user_id": user, "created_at": at, "updated_at": at, "aal": "aal1",
                       "ip": "203.0.113.22", "oauth_client_id": null}),
            ),
        };
        let (schema, table) = table.split_once('.').unwrap();
        let body =
            json!({"type": "INSERT", "schema": schema, "table": table, "record": record, "old_record": null});
        self.signer.database(&format!("msg_bench{}_{step}", tag(moment.member)), body.to_string())
    }
}

fn user(member: u64) -> String {
    format!("be9c0000-0000-4000-8000-{}", tag(member))
}

/// `body`, brought to exactly that size.
fn sized(body: &str, bytes: usize) -> String {
    let mut event: Value = serde_json::from_str(body).unwrap();
    if event.to_string().len() > bytes {
        // A smaller event of the same subscription.
        let object = &event["data"]["object"];
        let kept = ["id", "object", "customer", "status", "currency", "created", "start_date"];
        let kept: serde_json::Map<_, _> =
            kept.iter().map(|name| ((*name).to_owned(), object[*name].clone())).collect();
        let mut kept = Value::Object(kept);
        let price = &object["items"]["data"][0]["price"];
        kept["items"] = json!({"has_more": false, "data": [{
            "id": object["items"]["data"][0]["id"], "quantity": 1, "price": {
                "id": price["id"], "product": price["product"], "currency": "usd", "unit_amount": 4900,
                "unit_amount_decimal": "4900", "billing_scheme": "per_unit",
                "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
            }
        }]});
        event["data"] = json!({"object": kept});
    }
    event["data"]["object"]["description"] = json!("");
    let missing = bytes.checked_sub(event.to_string().len()).expect("a body of that size");
    // Not of one character: no body compresses to nothing.
    let filling: String =
        (0_u64..).flat_map(|number| tag(number).into_bytes()).map(char::from).take(missing).collect();
    event["data"]["object"]["description"] = json!(filling);
    event.to_string()
}

impl Templates {
    fn read() -> Self {
        let invoice = [
            ("/data/object/id", json!("in_bench@tag@_@turn@")),
            ("/data/object/customer", json!("cus_bench@tag@")),
            ("/data/object/customer_email", json!("m@tag@@bench.example")),
            ("/data/object/subscription", json!("sub_bench@tag@")),
            ("/data/object/payment_intent", json!("pi_bench@tag@_@turn@")),
            ("/data/object/created", json!("@period_start@")),
            ("/data/object/status_transitions/finalized_at", json!("@period_start@")),
            ("/data/object/lines/data/0/id", json!("il_bench@tag@_@turn@")),
            ("/data/object/lines/data/0/invoice", json!("in_bench@tag@_@turn@")),
            ("/data/object/lines/data/0/subscription", json!("sub_bench@tag@")),
            ("/data/object/lines/data/0/subscription_item", json!("si_bench@tag@")),
        ];
        let paid = [
            ("/data/object/charge", json!("ch_bench@tag@_@turn@")),
            ("/data/object/status_transitions/paid_at", json!("@second@")),
        ];
        let charge = [
            ("/data/object/id", json!("ch_bench@tag@_@turn@")),
            ("/data/object/balance_transaction", json!("txn_bench@tag@_@turn@")),
            ("/data/object/billing_details/email", json!("m@tag@@bench.example")),
            ("/data/object/customer", json!("cus_bench@tag@")),
            ("/data/object/invoice", json!("in_bench@tag@_@turn@")),
            ("/data/object/payment_intent", json!("pi_bench@tag@_@turn@")),
            ("/data/object/created", json!("@second@")),
        ];
        let customer = [
            ("/data/object/id", json!("cus_bench@tag@")),
            ("/data/object/email", json!("m@tag@@bench.example")),
            ("/data/object/created", json!("@began@")),
            ("/data/object/metadata", json!({"user_id": "@user@"})),
            ("/id", json!("evt_bench@tag@_customer")),
        ];
        let subscription = [
            ("/data/object/id", json!("sub_bench@tag@")),
            ("/data/object/customer", json!("cus_bench@tag@")),
            ("/data/object/created", json!("@began@")),
            ("/data/object/start_date", json!("@began@")),
            ("/data/object/trial_end", Value::Null),
            ("/data/object/trial_start", Value::Null),
            ("/data/object/latest_invoice", json!("in_bench@tag@_@turn@")),
            ("/data/object/current_period_start", json!("@period_start@")),
            ("/data/object/current_period_end", json!("@period_end@")),
            ("/data/object/quantity", json!("@quantity@")),
            ("/data/object/items/data/0/id", json!("si_bench@tag@")),
            ("/data/object/items/data/0/subscription", json!("sub_bench@tag@")),
            ("/data/object/items/data/0/quantity", json!("@quantity@")),
        ];
        let first = [
            ("/id", json!("evt_bench@tag@_subscription")),
            ("/type", json!("customer.subscription.created")),
            ("/data/previous_attributes", Value::Null),
        ];
        Self {
            customer: template("03-customer-created", &customer),
            subscription_created: template(
                "13-customer-subscription-updated",
                &[&subscription[..], &first].concat(),
            ),
            charge: template("15-charge-succeeded", &charge),
            invoice_finalized: template("14-invoice-finalized", &invoice),
            invoice_paid: template("17-invoice-paid", &[&invoice[..], &paid].concat()),
            subscription_updated: template("13-customer-subscription-updated", &subscription),
        }
    }
}

/// An event of the fixtures whose values at these places differ from event to event.
fn template(fixture: &str, places: &[(&str, Value)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/01-trial-to-paid/events/2025-01");
    let text = std::fs::read(folder.join(format!("{fixture}.json"))).unwrap();
    let mut event: Value = serde_json::from_slice(&text).unwrap();
    let of_all = [("/id", json!("evt_bench@tag@_@step@")), ("/created", json!("@second@"))];
    for (place, value) in of_all.iter().chain(places) {
        *event.pointer_mut(place).unwrap_or_else(|| panic!("{fixture} has no {place}")) = value.clone();
    }
    event.to_string()
}
