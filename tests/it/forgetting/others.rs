//! Nobody else's rows change, whatever addresses people share, move or type.

use memberflow::envelope::Envelope;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::forget::AddressHandling;
use memberflow::store::rebuild::Selection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{drift, forget, plan, rows_with};
use crate::sms::{THEIRS, incoming, sid, text};
use crate::support::app::{TestApp, customer, paid_invoice, row, stripe, subscription};

const ALICE: Uuid = Uuid::from_u128(0xa11ce);
const BOB: Uuid = Uuid::from_u128(0xb0b);

/// Alice and Bob, each with a customer that names them in metadata and carries this address.
async fn couple(alice: &str, bob: &str) -> TestApp {
    let app = TestApp::begin().await;
    app.name_tier("Pro", "price_pro").await;
    app.sign_up(ALICE, "alice@example.com").await;
    app.sign_up(BOB, "bob@example.com").await;
    app.apply(purchases("alice", Some(ALICE), alice)).await;
    app.apply(purchases("bob", Some(BOB), bob)).await;
    crm(&app, "alice", "alice@example.com").await;
    crm(&app, "bob", "bob@example.com").await;
    app
}

fn purchases(who: &str, user: Option<Uuid>, address: &str) -> Vec<Envelope> {
    let id = format!("cus_{who}");
    let mut customer = customer(&id, address);
    if let Some(user) = user {
        customer["metadata"] = json!({"user_id": user});
    }
    let mut invoice = paid_invoice(&format!("in_{who}"), &id, 1000);
    invoice["customer_email"] = json!(address);
    let method = json!({"id": format!("pm_{who}"), "object": "payment_method", "customer": id,
                        "billing_details": {"email": "bob@example.com"}});
    let event =
        |kind: &str, second: i64, object: Value| stripe(&format!("evt_{who}_{second}"), kind, second, object);
    vec![
        event("customer.created", 0, customer),
        event("customer.subscription.created", 1, subscription(&format!("sub_{who}"), &id, "active")),
        event("invoice.paid", 2, invoice),
        event("payment_method.attached", 3, method),
    ]
}

/// A lead, a ticket and a message of nobody yet, by the address alone.
async fn crm(app: &TestApp, who: &str, address: &str) {
    app.execute(&format!(
        "insert into public.leads (email, first_name, phone, session_id) values ('{address}', 'lead of {who}', '+1 555 {who}', '{who}')"
    ))
    .await;
    app.execute(&format!(
        "insert into public.support_tickets (subject, description, guest_email) values ('ticket of {who}', '', '{address}')"
    ))
    .await;
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, lead_id)
         select 'inbound', phone, '1', 'message of {who}', id from public.leads where session_id = '{who}'"
    ))
    .await;
}

/// Everything that is Alice's: by her ids and names, not by an address.
async fn alices(app: &TestApp) -> Vec<String> {
    let named = rows_with(app, &format!("{ALICE}|(cus|evt|in|sub|pm|cs|pi|ch)_alice|of alice")).await;
    // Whom else an address names is said of Bob's customer.
    named.into_iter().filter(|row| !row.starts_with("ingest.parked: (cus_bob")).collect()
}

/// Forgets Bob, and sees that nothing of Alice's changes, now or by a rebuild.
async fn forget_bob(app: &TestApp, when: &str) {
    assert_eq!(drift(app).await, [], "{when}");
    let before = alices(app).await;
    assert!(before.len() > 10, "{when}: {before:#?}");
    forget(app, &BOB.to_string()).await;
    assert_eq!(alices(app).await, before, "{when}");
    assert_eq!(drift(app).await, [], "{when}");
    app.store.recompute_due().await.unwrap();
    assert_eq!(alices(app).await, before, "{when}");
}

#[tokio::test]
async fn address_shared_with_another_user_is_left_alone() {
    for (alice, bob, when) in [
        ("alice@example.com", "alice@example.com", "Bob's customer carries Alice's address"),
        ("bob@example.com", "bob@example.com", "Alice's customer carries Bob's address"),
        ("both@example.com", "both@example.com", "both carry one that is no user's"),
    ] {
        let app = couple(alice, bob).await;
        forget_bob(&app, when).await;
        let emails = app.rows("select 1 from ingest.customer_emails where customer_id = 'cus_bob'").await;
        assert_eq!(emails.len(), 0, "{when}");
        let bobs = app.rows("select 1 from ingest.inbox where event_id like 'evt_bob%' and body <> ''").await;
        assert_eq!(bobs.len(), 0, "{when}");
    }
}

#[tokio::test]
async fn guest_keeps_data_if_address_was_typed_by_another() {
    let app = TestApp::begin().await;
    app.name_tier("Pro", "price_pro").await;
    app.sign_up(BOB, "bob@example.com").await;
    app.apply(purchases("alice", None, "alice@example.com")).await;
    app.apply(purchases("bob", Some(BOB), "alice@example.com")).await;
    crm(&app, "alice", "alice@example.com").await;
    let before = alices(&app).await;
    let (plan, _) = forget(&app, &BOB.to_string()).await;
    assert_eq!(plan.customers.all(), ["cus_bob"]);
    assert_eq!(alices(&app).await, before);
    // She is known once she signs up.
    app.sign_up(ALICE, "alice@example.com").await;
    app.store.recompute_due().await.unwrap();
    let owner = app.rows("select user_id from ingest.customers where id = 'cus_alice'").await;
    assert_eq!(owner, [json!({"user_id": ALICE})]);
}

#[tokio::test]
async fn address_that_moved_to_another_user_is_left_alone() {
    let app = couple("moved@example.com", "moved@example.com").await;
    let account = |user: Uuid, email: &str| json!({"id": user, "email": email, "email_confirmed_at": "2026-01-01T00:00:00Z"});
    app.execute(&format!("update auth.users set email = 'moved@example.com' where id = '{ALICE}'")).await;
    app.apply([
        row("bob_had", "INSERT", "auth.users", account(BOB, "moved@example.com"), Value::Null),
        row(
            "bob_changed",
            "UPDATE",
            "auth.users",
            account(BOB, "bob@example.com"),
            account(BOB, "moved@example.com"),
        ),
        row(
            "alice_has",
            "UPDATE",
            "auth.users",
            account(ALICE, "moved@example.com"),
            account(ALICE, "alice@example.com"),
        ),
    ])
    .await;
    crm(&app, "alice", "moved@example.com").await;
    let moved = plan(&app, &BOB.to_string()).await.addresses;
    let moved = moved.iter().find(|it| it.address == "moved@example.com").unwrap();
    assert!(
        moved.handling == AddressHandling::LeftAlone && moved.because.contains(&ALICE.to_string()),
        "{moved:?}"
    );
    forget_bob(&app, "moved").await;
}

#[tokio::test]
async fn customer_paid_by_another_stays_with_owner() {
    let app = couple("alice@example.com", "bob@example.com").await;
    let session = json!({
        "id": "cs_alice", "object": "checkout.session", "created": 1_767_225_650, "customer": "cus_alice",
        "client_reference_id": ALICE, "payment_intent": "pi_alice", "status": "complete", "payment_status": "paid",
        "customer_details": {"email": "bob@example.com"}
    });
    app.apply([stripe("evt_alice_paid", "checkout.session.completed", 50, session)]).await;
    forget_bob(&app, "paid by Bob").await;
}

/// Its events name no customer, but its session names Alice.
#[tokio::test]
async fn guest_payment_belongs_to_its_session() {
    let app = couple("alice@example.com", "bob@example.com").await;
    let session = json!({
        "id": "cs_alice", "object": "checkout.session", "created": 1_767_225_650, "customer": null,
        "metadata": {"user_id": ALICE}, "payment_intent": "pi_alice", "status": "complete", "payment_status": "paid",
        "customer_details": {"email": "alice@example.com"}
    });
    let charge = json!({
        "id": "ch_alice", "object": "charge", "customer": null, "status": "succeeded", "captured": true, "paid": true,
        "amount": 500, "amount_captured": 500, "amount_refunded": 0, "currency": "usd", "created": 1_767_225_650,
        "payment_intent": "pi_alice", "billing_details": {"email": "bob@example.com"}
    });
    app.apply([
        stripe("evt_alice_50", "checkout.session.completed", 50, session),
        stripe("evt_alice_51", "charge.succeeded", 51, charge),
    ])
    .await;
    assert_eq!(plan(&app, &BOB.to_string()).await.addresses[0].handling, AddressHandling::Followed);
    forget_bob(&app, "a guest's payment").await;
}

#[tokio::test]
async fn customer_of_deleted_user_is_kept() {
    let app = couple("bob@example.com", "bob@example.com").await;
    app.execute(&format!("delete from auth.users where id = '{ALICE}'")).await;
    let gone = json!({"id": ALICE, "email": "alice@example.com"});
    app.apply([row("alice_gone", "DELETE", "auth.users", Value::Null, gone)]).await;
    assert!(app.parked().await.contains(&"cus_alice user_gone".to_owned()));
    forget_bob(&app, "Alice was deleted").await;
}

#[tokio::test]
async fn unconfirmed_address_matches_nothing() {
    let app = TestApp::begin().await;
    app.name_tier("Pro", "price_pro").await;
    app.apply(purchases("alice", None, "alice@example.com")).await;
    app.apply(purchases("bob", Some(BOB), "bob@example.com")).await;
    crm(&app, "alice", "alice@example.com").await;
    app.sign_up(BOB, "alice@example.com").await;
    app.execute("update auth.users set email_confirmed_at = null").await;
    forget_bob(&app, "unconfirmed").await;
}

#[tokio::test]
async fn address_of_two_users_is_ambiguous() {
    let app = couple("alice@example.com", "bob@example.com").await;
    // Supabase lets a user of single sign-on have the address of another.
    app.execute("update auth.users set email = 'both@example.com', is_sso_user = id::text like '%b0b'").await;
    let refused = app.store.plan_forget("both@example.com").await.unwrap_err().to_string();
    assert!(refused.contains(&ALICE.to_string()) && refused.contains(&BOB.to_string()), "{refused}");
}

/// What the number of Alice's lead has said by text, and whether she may be texted.
async fn consent(app: &TestApp) -> Vec<Value> {
    app.rows(
        "select c.opted_in, c.source, c.keyword, l.sms_opt_in from public.sms_consents c, public.leads l
         where c.number = '12025550112' and l.email = 'alice@example.com'",
    )
    .await
}

#[tokio::test]
async fn opt_out_by_the_forgotten_person_stays_with_a_shared_number() {
    let app = TestApp::begin().await;
    app.sign_up(BOB, "bob@example.com").await;
    app.execute(&format!(
        "insert into public.leads (type, email, phone, sms_opt_in) values ('demo', 'alice@example.com', '{THEIRS}', true)"
    ))
    .await;
    app.apply([incoming(1, 1, "START")]).await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, phone, is_active, is_draft) values ('{BOB}', '{THEIRS}', true, false)"
    ))
    .await;
    app.apply([incoming(2, 2, "Stop.")]).await;
    let owners = "select user_id is not null as bobs, lead_id is not null as alices from public.sms_messages
                  order by twilio_sid";
    let owners = app.rows(owners).await;
    assert_eq!(owners, [json!({"bobs": false, "alices": true}), json!({"bobs": true, "alices": false})]);

    forget(&app, "bob@example.com").await;
    let out = [json!({"opted_in": false, "source": "keyword", "keyword": null, "sms_opt_in": false})];
    assert_eq!(consent(&app).await, out);
    let mut differences = drift(&app).await;
    differences.retain(|it| it.table.contains("sms"));
    assert_eq!(differences, []);
    rebuild::run(&app.store, false, &mut Progress::Silent, |_| true).await.unwrap();
    assert_eq!(consent(&app).await, out, "rebuilt");
    for message in [1, 2] {
        let event = format!("select event_id from ingest.events where subject = '{}'", sid(message));
        let selection = Selection { ids: vec![text(&app, &event).await], ..Selection::default() };
        rebuild::replay(&app.store, &selection, false, &mut Progress::Silent, |_| true).await.unwrap();
        assert_eq!(consent(&app).await, out, "replayed {message}");
    }

    // The lead is emptied with the last person who has the number.
    forget(&app, "alice@example.com").await;
    assert_eq!(app.rows("select 1 from public.sms_consents").await, [] as [Value; 0]);
    assert_eq!(app.rows("select 1 from ingest.sms_consent_ledger").await, [] as [Value; 0]);
}
