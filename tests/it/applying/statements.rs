//! The number of statements: each is a round trip, most of them under the derivation lock.

use std::sync::{Arc, Mutex};

use memberflow::envelope::Envelope;
use memberflow::store::events::pending;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use uuid::Uuid;

use crate::support::app::{TestApp, customer, paid_invoice, row, stripe, subscription};

/// The statements that this thread's connections were asked for, as sqlx logs them.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    fn listen(&self) -> DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn taken(&self) -> Vec<String> {
        // sqlx logs every statement but the one that begins the transaction.
        let mut taken = vec!["begin".to_owned()];
        taken.append(&mut self.0.lock().unwrap());
        taken
    }
}

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut text = Text::default();
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.statement" && !value.is_empty() || self.0.is_empty() {
            value.trim().clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// A member with everything, whose events have no new evidence of the owner.
async fn member(app: &TestApp, number: u128) -> (Uuid, String) {
    let (user, cus) = (Uuid::from_u128(number), format!("cus_{number}"));
    app.sign_up(user, &format!("{number}@example.com")).await;
    let mut object = customer(&cus, &format!("{number}@example.com"));
    object["metadata"] = json!({"user_id": user});
    app.apply([
        stripe(&format!("evt_cus_{number}"), "customer.created", 1, object),
        stripe(
            &format!("evt_sub_{number}"),
            "customer.subscription.created",
            2,
            subscription(&format!("sub_{number}"), &cus, "active"),
        ),
        invoice(number, "first"),
        vision(user, "first"),
    ])
    .await;
    (user, cus)
}

fn invoice(number: u128, name: &str) -> Envelope {
    let id = format!("in_{number}_{name}");
    let mut object = paid_invoice(&id, &format!("cus_{number}"), 1000);
    object["subscription"] = json!(format!("sub_{number}"));
    object["payment_intent"] = json!(format!("pi_{number}_{name}"));
    object["lines"] = json!({"has_more": false, "data": [{
        "id": format!("il_{number}_{name}"), "amount": 1000, "currency": "usd", "quantity": 1, "proration": false,
        "subscription": format!("sub_{number}"), "subscription_item": "si_1", "price": {"id": "price_pro"}
    }]});
    stripe(&format!("evt_{id}"), "invoice.paid", 20, object)
}

fn vision(user: Uuid, name: &str) -> Envelope {
    let record = json!({
        "id": format!("{user}-{name}"), "user_id": user, "status": "complete", "is_draft": false,
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
    });
    row(&format!("{user}-{name}"), "INSERT", "public.vision_versions", record, json!(null))
}

fn login(user: Uuid, name: &str) -> Envelope {
    let session = json!({
        "id": Uuid::new_v5(&user, name.as_bytes()), "user_id": user,
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
    });
    row(&format!("{user}-{name}-login"), "INSERT", "auth.sessions", session, json!(null))
}

/// The statements that `work` asks the database for, on this thread.
pub(crate) async fn asked_by(work: impl Future<Output = ()>) -> Vec<String> {
    let statements = Statements::default();
    let listening = statements.listen();
    work.await;
    drop(listening);
    statements.taken()
}

/// The statements that `events` take as one batch.
pub(super) async fn taken_by(app: &TestApp, events: Vec<Envelope>) -> Vec<String> {
    let taken = asked_by(async {
        let applied = app.store.apply(&events).await.unwrap();
        assert!(applied.new > 0);
    })
    .await;
    assert_eq!(taken.last().map(String::as_str), Some("COMMIT"), "{taken:#?}");
    taken
}

/// The statements that `events` take from being accepted without a broker until they are applied.
pub(super) async fn taken_by_pending(app: &TestApp, events: Vec<Envelope>) -> Vec<String> {
    let pool = &app.database.pool;
    asked_by(async {
        pending::insert(pool, &events).await.unwrap();
        let mut held = memberflow::database::begin(pool).await.unwrap();
        let limits = pending::LockLimits { max_events: 500, max_bytes: 1 << 20 };
        let locked = pending::lock_due(&mut held, limits).await.unwrap();
        assert!(pending::lock(&mut held, &locked).await.unwrap().iter().all(|is_locked| *is_locked));
        pending::adjust_attempts(&mut *held, &locked, 1).await.unwrap();
        assert!(
            pending::lock_for_recorded_attempt(&mut held, &locked)
                .await
                .unwrap()
                .iter()
                .all(|is_locked| *is_locked)
        );
        let applied = app.store.apply_pending(Some(held), &locked).await.unwrap();
        assert!(app.store.begin_retry().await.unwrap().is_none());
        assert_eq!(applied.new, events.len());
    })
    .await
}

pub(crate) async fn app_with_members(members: u128) -> TestApp {
    let app = TestApp::begin().await;
    app.name_tier("Pro", "price_pro").await;
    for number in 1..=members {
        member(&app, number).await;
    }
    app
}

fn assert_at_most(bound: usize, taken: &[String]) {
    println!("{} statements", taken.len());
    assert!(taken.len() <= bound, "{} statements: {taken:#?}", taken.len());
}

/// Events of each member's payments, subscription, visions and logins.
pub(crate) fn everything(members: u128, name: &str) -> Vec<Envelope> {
    let mut events = Vec::new();
    for number in 1..=members {
        let (user, cus, sub) = (Uuid::from_u128(number), format!("cus_{number}"), format!("sub_{number}"));
        events.push(invoice(number, name));
        events.push(vision(user, name));
        events.push(login(user, name));
        let second = 30 + i64::try_from(name.len()).unwrap();
        let changed = subscription(&sub, &cus, "past_due");
        events.push(stripe(
            &format!("evt_due_{number}_{name}"),
            "customer.subscription.updated",
            second,
            changed,
        ));
    }
    events
}

#[tokio::test]
async fn a_row_of_activity_takes_at_most_seven_statements() {
    let app = app_with_members(1).await;
    let taken = taken_by(&app, vec![vision(Uuid::from_u128(1), "second")]).await;
    assert_at_most(7, &taken);
    let touched = ["mrr_movements", "payment", "user_revenue_by_currency", "convert_leads", "parked"];
    let revenue = taken.iter().filter(|statement| touched.iter().any(|table| statement.contains(table)));
    assert_eq!(revenue.collect::<Vec<_>>(), Vec::<&String>::new());
    let shown = app.rows("select vision_count from user_activity_metrics").await;
    assert_eq!(shown, [json!({"vision_count": 2})]);
}

#[tokio::test]
async fn an_invoice_takes_at_most_eleven_statements() {
    let app = app_with_members(1).await;
    let taken = taken_by(&app, vec![invoice(1, "second")]).await;
    assert_at_most(11, &taken);
    assert_eq!(
        app.rows("select total_spent from user_revenue_metrics").await,
        [json!({"total_spent": 2000})]
    );
}

#[tokio::test]
async fn mixed_batch_takes_at_most_20_statements() {
    let app = app_with_members(5).await;
    assert_at_most(20, &taken_by(&app, everything(5, "second")).await);
    let behind = app.rows("select distinct health_status from user_activity_metrics").await;
    assert_eq!(behind, [json!({"health_status": "needs_attention"})]);
}
