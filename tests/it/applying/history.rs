//! What a new event reads does not grow with its customer's history.

use std::collections::BTreeMap;

use memberflow::database::without_delay;
use memberflow::envelope::Envelope;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::support::app::{BEGIN, TestApp, customer, paid_invoice, row, stripe, subscription};
use crate::support::database::TestDatabase;

/// The lengths of the two histories: the short one already fills bounded lists, such as addresses. What is read for each
/// event of the long one, or for one in twenty, is more than [`TOLERANCE`].
const SHORT: i64 = 30;
const LONG: i64 = 400;

/// How many rows and index entries more the long history may cost: the depth of a tree, the neighbours of a row.
const TOLERANCE: i64 = 12;

/// A member, and the number of the next event.
struct Member {
    name: &'static str,
    user: Uuid,
}

impl Member {
    fn id(&self, kind: &str) -> String {
        format!("{kind}_{}", self.name)
    }

    fn object(&self, kind: &str, number: i64) -> String {
        format!("{kind}_{}_{number}", self.name)
    }

    fn event(&self, kind: &str, number: i64, object: Value) -> Envelope {
        let id = format!("evt_{kind}_{}_{number}", self.name);
        stripe(&id, kind, 100 + number * 10, object)
    }

    /// The subscription at a price that changes every time.
    fn subscription(&self, number: i64) -> Envelope {
        let mut object = subscription(&self.id("sub"), &self.id("cus"), "active");
        let price = &mut object["items"]["data"][0]["price"];
        price["unit_amount"] = json!(1000 + number % 7);
        price["unit_amount_decimal"] = json!((1000 + number % 7).to_string());
        self.event("customer.subscription.updated", number, object)
    }

    fn customer(&self, number: i64) -> Envelope {
        let mut object = customer(&self.id("cus"), &format!("{}@example.com", self.name));
        object["metadata"] = json!({"user_id": self.user});
        self.event("customer.updated", number, object)
    }

    fn invoice(&self, number: i64) -> Envelope {
        let mut object = paid_invoice(&self.object("in", number), &self.id("cus"), 1000);
        object["created"] = json!(BEGIN + number * 10);
        object["subscription"] = json!(self.id("sub"));
        object["charge"] = json!(self.object("ch", number));
        object["payment_intent"] = json!(self.object("pi", number));
        object["lines"] = json!({"has_more": false, "data": [{
            "id": self.object("il", number), "amount": 1000, "currency": "usd", "quantity": 1, "proration": false,
            "subscription": self.id("sub"), "subscription_item": "si_1", "price": {"id": "price_pro"}
        }]});
        self.event("invoice.paid", number, object)
    }

    fn refund(&self, number: i64) -> Envelope {
        let object = json!({
            "id": self.object("re", number), "object": "refund", "created": BEGIN + number * 10, "currency": "usd",
            "amount": 10, "charge": self.object("ch", number), "payment_intent": self.object("pi", number),
            "status": "succeeded"
        });
        self.event("refund.created", number, object)
    }

    fn checkout(&self, number: i64) -> Envelope {
        let object = json!({
            "id": self.object("cs", number), "object": "checkout.session", "created": BEGIN + number * 10,
            "customer": self.id("cus"), "client_reference_id": self.user, "status": "complete",
            "payment_status": "paid", "metadata": {},
            "customer_details": {"email": format!("{}@example.com", self.name)}
        });
        self.event("checkout.session.completed", number, object)
    }

    fn vision(&self, number: i64) -> Envelope {
        let id = format!("{}-{number}", self.user);
        let record = json!({
            "id": id, "user_id": self.user, "status": "complete", "is_draft": false,
            "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
        });
        row(&id, "INSERT", "public.vision_versions", record, json!(null))
    }

    fn login(&self, number: i64) -> Envelope {
        let at = format!("2026-11-{:02}T10:{:02}:00Z", 1 + number / 60 % 19, number % 60);
        let id = Uuid::new_v5(&self.user, &number.to_be_bytes());
        let session = json!({"id": id, "user_id": self.user, "created_at": at, "updated_at": at});
        row(&format!("login-{id}"), "INSERT", "auth.sessions", session, json!(null))
    }

    /// The customer's discount.
    fn discount(&self, number: i64) -> Envelope {
        let object = json!({
            "id": self.id("di"), "object": "discount", "customer": self.id("cus"), "start": BEGIN + 100, "end": null,
            "coupon": {"id": "some", "object": "coupon", "percent_off": 1 + number % 9, "duration": "forever"}
        });
        self.event("customer.discount.updated", number, object)
    }

    /// Everything that came before the event `length`.
    fn history(&self, length: i64) -> impl Iterator<Item = Envelope> {
        (0..length).flat_map(|number| {
            [
                self.customer(number),
                self.subscription(number),
                self.invoice(number),
                self.checkout(number),
                self.vision(number),
                self.login(number),
                self.discount(number),
            ]
        })
    }
}

/// A kind of event, and the next one of a member.
type Kind = (&'static str, fn(&Member, i64) -> Envelope);

/// A store on a single connection, whose counts are those of the batch before.
async fn on_one_connection() -> TestApp {
    let mut database = TestDatabase::migrated().await;
    // Statistics would take a moment to say that the tables have grown; `plans` is about that.
    let options = database.options().options([("enable_seqscan", "off")]);
    database.pool =
        without_delay(PgPoolOptions::new().max_connections(1)).connect_with(options).await.unwrap();
    TestApp::on(database)
}

/// How many entries and rows `event` reads, by index and table.
async fn reads_of(app: &TestApp, event: Envelope) -> BTreeMap<String, i64> {
    let before = counts(app).await;
    let applied = app.apply([event]).await;
    assert_eq!((applied.new, applied.dead), (1, 0));
    let after = counts(app).await;
    after.into_iter().map(|(name, read)| (name.clone(), read - before.get(&name).unwrap_or(&0))).collect()
}

async fn counts(app: &TestApp) -> BTreeMap<String, i64> {
    app.execute("select pg_stat_force_next_flush()").await;
    let counts: Vec<(String, i64)> = sqlx::query_as(
        "select relname || '.' || indexrelname, idx_tup_read from pg_stat_user_indexes
         union all
         select relname || ' whole', seq_tup_read from pg_stat_user_tables",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    counts.into_iter().collect()
}

#[tokio::test]
async fn event_cost_does_not_grow_with_history() {
    let app = on_one_connection().await;
    app.name_tier("Pro", "price_pro").await;
    let (new, old) =
        (Member { name: "new", user: Uuid::from_u128(1) }, Member { name: "old", user: Uuid::from_u128(2) });
    for (member, length) in [(&new, SHORT), (&old, LONG)] {
        app.sign_up(member.user, &format!("{}@example.com", member.name)).await;
        let events: Vec<Envelope> = member.history(length).collect();
        for batch in events.chunks(500) {
            app.apply(batch.to_vec()).await;
        }
    }
    app.execute("vacuum analyze").await;
    let kinds: [Kind; 8] = [
        ("a subscription", Member::subscription),
        ("a customer", Member::customer),
        ("an invoice", Member::invoice),
        ("a refund", Member::refund),
        ("a checkout", Member::checkout),
        ("a vision", Member::vision),
        ("a login", Member::login),
        ("a discount", Member::discount),
    ];
    let mut grown = Vec::new();
    for (kind, event) in kinds {
        let short = reads_of(&app, event(&new, SHORT)).await;
        let long = reads_of(&app, event(&old, LONG)).await;
        for (name, read) in long {
            let before = short.get(&name).copied().unwrap_or_default();
            if read > before + TOLERANCE {
                grown.push(format!("{kind} reads {read} of {name}, {before} after a short history"));
            }
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}
