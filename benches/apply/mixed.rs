//! A member's events: a subscription that changes, invoices, charges and refunds, checkouts, rows and logins.

use bytes::Bytes;
use memberflow::envelope::Envelope;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::app::{BEGIN, customer, paid_invoice, row, stripe, subscription};

/// Of each kind one in so many events.
const KINDS: u32 = 8;

/// As long as Stripe's objects are, with all that nobody reads.
const PADDING: usize = 2_000;

pub struct Member {
    user: Uuid,
    name: u32,
}

impl Member {
    pub fn new(name: u32) -> Self {
        Self { user: Uuid::from_u128(name.into()), name }
    }

    pub async fn sign_up(&self, pool: &PgPool) {
        sqlx::query(
            "insert into auth.users (instance_id, id, email, email_confirmed_at, created_at, updated_at)
             values ('00000000-0000-0000-0000-000000000000', $1, $2, now(), now(), now())",
        )
        .bind(self.user)
        .bind(self.email())
        .execute(pool)
        .await
        .unwrap();
    }

    pub fn event(&self, number: u32) -> Envelope {
        let turn = number / KINDS;
        match number % KINDS {
            0 if turn == 0 => self.stripe("customer.created", number, self.customer()),
            0 => self.stripe("customer.updated", number, self.customer()),
            1 => self.stripe("customer.subscription.updated", number, self.subscription(turn)),
            2 => self.stripe("invoice.finalized", number, self.invoice(turn, "open")),
            3 => self.stripe("charge.succeeded", number, self.charge(turn)),
            4 => self.stripe("invoice.paid", number, self.invoice(turn, "paid")),
            5 => self.stripe("refund.created", number, self.refund(turn)),
            6 => self.vision(number),
            _ => self.login(number),
        }
    }

    fn email(&self) -> String {
        format!("{}@example.com", self.name)
    }

    fn id(&self, kind: &str) -> String {
        format!("{kind}_{}", self.name)
    }

    fn of(&self, kind: &str, turn: u32) -> String {
        format!("{kind}_{}_{turn}", self.name)
    }

    fn stripe(&self, kind: &str, number: u32, mut object: Value) -> Envelope {
        object["metadata"]["note"] = json!("x".repeat(50));
        let entries: Vec<Value> =
            (0..PADDING / 40).map(|n| json!({"field": n, "value": "nobody reads it"})).collect();
        object["payment_settings"] = json!({"options": entries});
        stripe(&self.of("evt", number), kind, 100 + i64::from(number) * 60, object)
    }

    fn customer(&self) -> Value {
        let mut object = customer(&self.id("cus"), &self.email());
        object["metadata"] = json!({"user_id": self.user});
        object
    }

    fn subscription(&self, turn: u32) -> Value {
        let mut object = subscription(&self.id("sub"), &self.id("cus"), "active");
        let price = &mut object["items"]["data"][0]["price"];
        price["unit_amount"] = json!(1000 + turn % 7);
        price["unit_amount_decimal"] = json!((1000 + turn % 7).to_string());
        object
    }

    fn invoice(&self, turn: u32, status: &str) -> Value {
        let mut object = paid_invoice(&self.of("in", turn), &self.id("cus"), 1000);
        object["status"] = json!(status);
        if status == "open" {
            object["amount_paid"] = json!(0);
            object["status_transitions"] = json!({"paid_at": null});
        }
        object["created"] = json!(BEGIN + i64::from(turn) * 600);
        object["subscription"] = json!(self.id("sub"));
        object["charge"] = json!(self.of("ch", turn));
        object["payment_intent"] = json!(self.of("pi", turn));
        object["lines"] = json!({"has_more": false, "data": [{
            "id": self.of("il", turn), "amount": 1000, "currency": "usd", "quantity": 1, "proration": false,
            "subscription": self.id("sub"), "subscription_item": "si_1", "price": {"id": "price_pro"}
        }]});
        object
    }

    fn charge(&self, turn: u32) -> Value {
        json!({
            "id": self.of("ch", turn), "object": "charge", "created": BEGIN + i64::from(turn) * 600,
            "customer": self.id("cus"), "currency": "usd", "amount": 1000, "amount_captured": 1000,
            "amount_refunded": 0, "captured": true, "status": "succeeded", "payment_intent": self.of("pi", turn),
            "invoice": self.of("in", turn)
        })
    }

    fn refund(&self, turn: u32) -> Value {
        json!({
            "id": self.of("re", turn), "object": "refund", "created": BEGIN + i64::from(turn) * 600,
            "currency": "usd", "amount": 10, "charge": self.of("ch", turn),
            "payment_intent": self.of("pi", turn), "status": "succeeded"
        })
    }

    fn vision(&self, number: u32) -> Envelope {
        let id = format!("{}-{number}", self.user);
        let record = json!({
            "id": id, "user_id": self.user, "status": "complete", "is_draft": false,
            "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
        });
        reduced(row(&id, "INSERT", "public.vision_versions", record, json!(null)))
    }

    fn login(&self, number: u32) -> Envelope {
        let at = format!("2026-11-{:02}T10:{:02}:00Z", 1 + number / 60 % 19, number % 60);
        let id = Uuid::new_v5(&self.user, &number.to_be_bytes());
        let session = json!({"id": id, "user_id": self.user, "created_at": at, "updated_at": at});
        reduced(row(&format!("login-{id}"), "INSERT", "auth.sessions", session, json!(null)))
    }
}

/// A row's change as the receiver stores it.
fn reduced(whole: Envelope) -> Envelope {
    use memberflow::project::supabase::{self, ActivityTables};
    let body = supabase::reduced(&whole.body, &ActivityTables::default());
    Envelope { body: body.map_or_else(|| whole.body.clone(), Bytes::from), ..whole }
}
