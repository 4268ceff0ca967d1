//! Events that really share one second, in every order: the six sequences that Stripe is known to send, and
//! reports of an invoice's payment. Each order is applied to its own customer.

use memberflow::envelope::Envelope;
use serde_json::Value;

use super::acts;
use super::compare;
use super::harness::Harness;
use super::history::History;
use super::shapes::Era;
use super::state::Simulation;
use super::tables;

/// Events of the setting that are applied at once.
const BATCH: usize = 2_000;

const UPDATED: &str = "customer.subscription.updated";
const ALL: &[Era] = &Era::ALL;
const SINCE_2022: &[Era] = &[Era::Y2022, Era::Y2025, Era::Y2026];
const NEW: &[Era] = &[Era::Y2025, Era::Y2026];

/// Something that happens, and those of its events that are emitted in every order; the others come before.
struct Sequence {
    name: &'static str,
    eras: &'static [Era],
    /// What was so before.
    setting: fn(&mut Simulation, &str),
    happens: fn(&mut Simulation, &str),
    kinds: &'static [&'static str],
}

fn same_second() -> Vec<Sequence> {
    vec![
        Sequence {
            name: "made incomplete, and active at once",
            eras: ALL,
            setting: |_, _| {},
            happens: |simulation, customer| drop(simulation.subscribe(customer)),
            kinds: &["customer.subscription.created", UPDATED],
        },
        Sequence {
            name: "an upgrade and its invoice",
            eras: SINCE_2022,
            setting: active,
            happens: |simulation, _| on_subscription(simulation, Simulation::change_items),
            kinds: &["invoice.finalized", "invoice.paid", "invoice.payment_succeeded", UPDATED],
        },
        Sequence {
            name: "a trial's end and its invoice",
            eras: SINCE_2022,
            setting: trialing,
            happens: |simulation, _| on_subscription(simulation, Simulation::renew),
            kinds: &[UPDATED, "invoice.finalized"],
        },
        Sequence {
            name: "the last dunning step, unpaid",
            eras: ALL,
            setting: past_due,
            happens: |simulation, _| {
                fail_last(simulation);
                on_subscription(simulation, |simulation, id| simulation.set_status(id, "unpaid"));
            },
            kinds: &["invoice.payment_failed", UPDATED],
        },
        Sequence {
            name: "the last dunning step, deleted",
            eras: ALL,
            setting: past_due,
            happens: |simulation, _| {
                fail_last(simulation);
                on_subscription(simulation, Simulation::end_subscription);
            },
            kinds: &["invoice.payment_failed", "customer.subscription.deleted"],
        },
        Sequence {
            name: "an immediate cancellation with a refund",
            eras: &[Era::Y2024, Era::Y2025, Era::Y2026],
            setting: active,
            happens: |simulation, _| on_subscription(simulation, Simulation::end_with_refund),
            kinds: &[
                "customer.subscription.deleted",
                "charge.refunded",
                "refund.created",
                "credit_note.created",
            ],
        },
        Sequence {
            name: "an immediate cancellation with a refund that only its charge shows",
            eras: &[Era::Y2018, Era::Y2022, Era::Y2023],
            setting: active,
            happens: |simulation, _| on_subscription(simulation, Simulation::end_with_refund),
            kinds: &["customer.subscription.deleted", "charge.refunded", "credit_note.created"],
        },
        Sequence {
            name: "writes distinguished by their previous values",
            eras: ALL,
            setting: active,
            happens: |simulation, _| on_subscription(simulation, write_thrice),
            kinds: &[UPDATED, UPDATED, UPDATED],
        },
    ]
}

fn payments() -> Vec<Sequence> {
    let emitted = |eras, kinds| Sequence {
        name: "an invoice's payment",
        eras,
        setting: |_, _| {},
        happens: |simulation, customer| drop(simulation.subscribe(customer)),
        kinds,
    };
    vec![
        emitted(&[Era::Y2018], &["charge.succeeded", "invoice.payment_succeeded"]),
        emitted(
            &[Era::Y2020, Era::Y2022, Era::Y2023, Era::Y2024],
            &["charge.succeeded", "invoice.paid", "invoice.payment_succeeded"],
        ),
        emitted(
            NEW,
            &["charge.succeeded", "invoice_payment.paid", "invoice.paid", "invoice.payment_succeeded"],
        ),
    ]
}

/// What makes an invoice's row other than by a charge that succeeds at once.
fn other_payments() -> Vec<Sequence> {
    let of_invoice = |name, eras, happens, kinds| Sequence { name, eras, setting: awaiting, happens, kinds };
    vec![
        of_invoice(
            "a bank debit under way",
            ALL,
            |simulation, _| on_invoice(simulation, Simulation::debit),
            &["charge.pending", "invoice.updated"],
        ),
        of_invoice(
            "a bank debit that fails in its second",
            ALL,
            |simulation, _| on_invoice(simulation, Simulation::debit),
            &["charge.pending", "invoice.updated", "charge.failed", "invoice.payment_failed"],
        ),
        Sequence {
            name: "an invoice that Checkout makes",
            eras: &[Era::Y2023, Era::Y2024, Era::Y2025, Era::Y2026],
            setting: awaiting,
            happens: |simulation, customer| simulation.sell_with_invoice(customer, None),
            kinds: &["charge.succeeded", "invoice.paid", "checkout.session.completed"],
        },
    ]
}

/// A subscription whose invoice is open.
fn awaiting(simulation: &mut Simulation, customer: &str) {
    active(simulation, customer);
    on_subscription(simulation, |simulation, id| {
        let invoice = simulation.new_invoice(id, false);
        simulation.finalize(&invoice);
    });
    simulation.wait(86_400);
}

fn on_invoice(simulation: &mut Simulation, what: fn(&mut Simulation, &str)) {
    let open = simulation.stripe.invoices.values().find(|it| ["draft", "open"].contains(&it.status));
    if let Some(id) = open.map(|it| it.id.clone()) {
        what(simulation, &id);
    }
}

fn active(simulation: &mut Simulation, customer: &str) {
    begun(simulation, customer, "active");
}

fn trialing(simulation: &mut Simulation, customer: &str) {
    begun(simulation, customer, "trialing");
}

fn past_due(simulation: &mut Simulation, customer: &str) {
    active(simulation, customer);
    on_subscription(simulation, |simulation, id| {
        let invoice = simulation.new_invoice(id, false);
        simulation.finalize(&invoice);
        simulation.fail(&invoice);
        simulation.set_status(id, "past_due");
    });
    simulation.wait(86_400);
}

/// A subscription; one in another status makes no sequence, and another seed is tried.
fn begun(simulation: &mut Simulation, customer: &str, status: &str) {
    let id = simulation.subscribe(customer);
    if simulation.stripe.subscriptions[&id].status != status {
        simulation.stripe.subscriptions.remove(&id);
    }
    simulation.wait(86_400);
}

fn on_subscription(simulation: &mut Simulation, what: fn(&mut Simulation, &str)) {
    if let Some(id) = simulation.stripe.subscriptions.keys().next().cloned() {
        what(simulation, &id);
    }
}

fn fail_last(simulation: &mut Simulation) {
    let open = simulation.stripe.invoices.values().find(|it| it.status == "open" && it.failed);
    if let Some(id) = open.map(|it| it.id.clone()) {
        simulation.fail(&id);
    }
}

fn write_thrice(simulation: &mut Simulation, id: &str) {
    simulation.change_subscription(id, &[UPDATED], |it, _| it.items[0].quantity = Some(31));
    simulation.change_subscription(id, &[UPDATED], |it, _| it.cancel_at_period_end = true);
    simulation.change_subscription(id, &[UPDATED], |it, _| it.items[0].quantity = Some(32));
}

/// A history with the events that share their second taken out of what is emitted.
struct Emitted {
    history: History,
    setting: Vec<Envelope>,
    shared: Vec<Envelope>,
}

impl Sequence {
    /// None where this seed makes other events than these, or not all in one second.
    fn emit(&self, number: u16, era: Era, seed: u64) -> Option<Emitted> {
        let mut simulation = Simulation::new(number, seed);
        simulation.eras.push((simulation.now, era));
        let email = format!("ada.{number:04x}@example.com");
        simulation.sign_up(0, &email, true);
        simulation.stock();
        let customer = simulation.new_customer(Some(email));
        simulation.wait(86_400);
        (self.setting)(&mut simulation, &customer);
        let begin = simulation.emitted.len();
        let now = simulation.now;
        (self.happens)(&mut simulation, &customer);
        // Of a tier that is named later the tables say nothing here.
        let is_late = |price| simulation.stripe.late_prices.contains(price);
        let mut items = simulation.stripe.subscriptions.values().flat_map(|it| &it.items);
        if items.any(|item| is_late(&item.price.id)) {
            return None;
        }
        if simulation.stripe.subscriptions.len() != 1 || simulation.thin.iter().any(|(_, at)| *at >= now) {
            return None;
        }
        let (before, after) = simulation.emitted.split_at(begin);
        let (shared, others): (Vec<Envelope>, Vec<Envelope>) = after
            .iter()
            .map(|emitted| emitted.envelope.clone())
            .partition(|event| self.kinds.contains(&event.event_type.as_str()));
        let mut kinds: Vec<&str> = shared.iter().map(|event| event.event_type.as_str()).collect();
        let mut expected = self.kinds.to_vec();
        kinds.sort_unstable();
        expected.sort_unstable();
        let is_one_second = shared.iter().all(|event| event.occurred_at.unix_timestamp() == now);
        if kinds != expected || !is_one_second || !is_paid_by_charge(&shared) {
            return None;
        }
        let setting = before.iter().map(|emitted| emitted.envelope.clone()).chain(others).collect();
        Some(Emitted { history: History::of(simulation, seed), setting, shared })
    }
}

/// Money has flowed, where the events say that an invoice was paid.
fn is_paid_by_charge(events: &[Envelope]) -> bool {
    let paid = events.iter().filter(|event| event.event_type == "invoice.paid");
    paid.into_iter().all(|event| {
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        body["data"]["object"]["amount_paid"].as_i64().is_some_and(|amount| amount > 0)
    })
}

/// Every order of `0..count`, the natural one first.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let places = (0..count).rev();
    places
        .flat_map(|place| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

/// Each sequence in every version and every order.
fn emitted(sequences: &[Sequence]) -> Vec<(String, Emitted)> {
    let mut all = Vec::new();
    for sequence in sequences {
        for era in sequence.eras {
            let seed = (0..5_000).find(|seed| sequence.emit(0, *era, *seed).is_some());
            let seed = seed.unwrap_or_else(|| panic!("no seed makes {} in {era:?}", sequence.name));
            for order in orders(sequence.kinds.len()) {
                let number = u16::try_from(all.len()).unwrap();
                let mut emitted = sequence.emit(number, *era, seed).unwrap();
                emitted.shared = order.iter().map(|at| emitted.shared[*at].clone()).collect();
                all.push((format!("{}, {era:?}, {order:?}", sequence.name), emitted));
            }
        }
    }
    all
}

/// Reports all of them: the setting first, then of each the first of the events that share a second, and so on.
async fn apply_in_every_order(sequences: &[Sequence]) {
    let emitted = emitted(sequences);
    let histories: Vec<&History> = emitted.iter().map(|(_, emitted)| &emitted.history).collect();
    let harness = Harness::new().await;
    acts::act(&harness.database.pool, &histories, 0).await;
    harness.import_preexisting(&histories).await;
    let setting: Vec<Envelope> = emitted.iter().flat_map(|(_, emitted)| emitted.setting.clone()).collect();
    harness.apply_all(setting.chunks(BATCH).map(<[Envelope]>::to_vec).collect()).await;
    let longest = emitted.iter().map(|(_, emitted)| emitted.shared.len()).max().unwrap_or_default();
    for place in 0..longest {
        let next = emitted.iter().filter_map(|(_, emitted)| emitted.shared.get(place).cloned()).collect();
        harness.apply_all(vec![next]).await;
    }
    harness.catch_up().await;
    let differences = compare::differences(&histories, &tables::read(&harness.database.pool).await);
    let named: Vec<String> = differences
        .iter()
        .map(|(number, said)| format!("{}:\n{said}", emitted[usize::from(*number)].0))
        .collect();
    harness.stop().await;
    assert!(named.is_empty(), "{} of {} orders differ:\n{}", named.len(), emitted.len(), named.join("\n"));
}

#[tokio::test]
async fn same_second_events_in_any_order_same_rows() {
    apply_in_every_order(&same_second()).await;
}

#[tokio::test]
async fn invoice_charge_counts_once_in_any_order() {
    apply_in_every_order(&payments()).await;
}

#[tokio::test]
async fn debits_and_checkouts_in_any_order_same_rows() {
    apply_in_every_order(&other_payments()).await;
}

#[test]
fn every_permutation_occurs_once() {
    let orders = orders(4);
    let distinct: std::collections::BTreeSet<_> = orders.iter().collect();
    assert_eq!((orders.len(), distinct.len(), &orders[0]), (24, 24, &vec![0, 1, 2, 3]));
}
