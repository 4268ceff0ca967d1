//! Simulated members: in any order of events, the tables match the truth.
//!
//! A simulated Stripe account and Supabase project ([`state`]) change as real ones do and emit events of
//! mixed API versions, many in one second. The [`model`] computes the expected tables from the final state;
//! it reads no event and shares no code with `memberflow::project` or the store. Each history is then delivered
//! repeatedly: shuffled, duplicated, in any batches, to two consumers at once, through both queues.

pub mod acts;
pub mod compare;
pub mod deliver;
pub mod elsewhere;
mod generate;
pub mod harness;
pub mod history;
mod model;
mod permutations;
mod rebuilding;
mod shapes;
mod soak;
pub mod state;
mod stripe_sim;
mod supabase_sim;
pub mod tables;
mod texts_sim;

use std::env;
use std::str::FromStr;
use std::time::{Duration, Instant};

use deliver::Way;
use fastrand::Rng;
use history::History;
use soak::Size;
use stripe_sim::objects::{Off, Subscription};

/// The seed of the histories; random if not set.
pub const SEED: &str = "MEMBERFLOW_TEST_SEED";
/// How many histories each of the two workers applies, and in how many orders each.
const HISTORIES: &str = "MEMBERFLOW_TEST_LIVES";
const ORDERS: &str = "MEMBERFLOW_TEST_ORDERS";
/// How long it may take.
pub const MINUTES: &str = "MEMBERFLOW_TEST_MINUTES";
/// The number of the only history to apply.
const ONLY: &str = "MEMBERFLOW_TEST_LIFE";

pub fn set<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// Seeds that have found bugs, each with its delivery.
const USUAL: [(u64, Way); 4] = [
    (2, Way::Direct { batch: 40, consumers: 2 }),
    (21, Way::Direct { batch: 400, consumers: 1 }),
    (33, Way::Postgres),
    (35, Way::RabbitMq),
];

#[tokio::test]
async fn any_order_tables_match_the_model() {
    let harness = harness::Harness::new().await;
    for (seed, way) in USUAL {
        let mut rng = Rng::with_seed(seed);
        let histories: Vec<History> = (0..2).map(|number| History::new(number, rng.u64(..))).collect();
        let histories: Vec<&History> = histories.iter().collect();
        harness.deliver(&histories, &mut rng, way).await;
        let differences = compare::differences(&histories, &tables::read(&harness.database.pool).await);
        assert!(differences.is_empty(), "{way:?}, seed {seed}: {differences:#?}");
    }
    harness.stop().await;
}

/// Whether a subscription is of a kind.
type Holds = fn(&state::Simulation, &Subscription) -> bool;

#[test]
fn simulation_covers_every_kind_in_every_version() {
    let simulations: Vec<state::Simulation> = (0..60).map(|seed| generate::history(0, seed)).collect();
    assert_covers_cancellations_taxes_discounts(&simulations);
    assert_covers_payments_in_every_version(&simulations);
}

fn assert_covers_cancellations_taxes_discounts(simulations: &[state::Simulation]) {
    let subscriptions = || {
        simulations
            .iter()
            .flat_map(|simulation| simulation.stripe.subscriptions.values().map(move |it| (simulation, it)))
    };
    let runs = |it: &Subscription| it.ended_at.is_none();
    let kinds: [(&str, Holds); 7] = [
        ("a day to end on", |_, it| it.cancel_at.is_some() && !it.cancel_at_period_end),
        ("a reason with feedback", |_, it| it.reason.is_some() && it.feedback.is_some()),
        ("a pause", |_, it| it.pause.is_some()),
        ("a deleted customer", |simulation, it| simulation.stripe.customers[&it.customer].deleted),
        ("an included tax", |_, it| it.tax_rates.iter().any(|rate| rate.inclusive)),
        ("a tax of unknown rate", |_, it| {
            it.tax_rates.is_empty()
                && it.items.iter().any(|item| item.price.tax_behavior == Some("inclusive"))
        }),
        ("a discount that its invoice shows", |simulation, it| {
            let shown = simulation.stripe.invoices.values().flat_map(|invoice| &invoice.discounted);
            let is_foreign = |off| matches!(off, Off::Amount(_, currency) if currency != it.currency);
            let foreign =
                it.discounts.iter().find(|one| is_foreign(one.coupon.off) && one.coupon.options.is_empty());
            foreign.is_some_and(|one| shown.into_iter().any(|(id, _)| *id == one.id))
        }),
    ];
    for (kind, holds) in kinds {
        let count = subscriptions().filter(|(simulation, it)| runs(it) && holds(simulation, it)).count();
        assert!(count > 0, "no history holds {kind}");
    }
}

/// How many there are of a kind.
type Counts = fn(&stripe_sim::Stripe) -> usize;

fn assert_covers_payments_in_every_version(simulations: &[state::Simulation]) {
    let kinds: [(&str, Counts); 9] = [
        ("a partial capture", |all| {
            all.charges.values().filter(|it| it.captured && it.remainder.is_some()).count()
        }),
        ("a refund of a partial capture", |all| {
            all.charges.values().filter(|it| it.remainder.is_some() && !it.refunds.is_empty()).count()
        }),
        ("a released authorisation", |all| {
            all.charges.values().filter(|it| !it.captured && it.remainder.is_some()).count()
        }),
        ("a failed refund", |all| all.refunds.values().filter(|it| it.status == "failed").count()),
        ("a failed bank debit", |all| {
            all.charges.values().filter(|it| it.captured && it.status == "failed").count()
        }),
        ("a debit under way", |all| {
            all.invoices.values().filter(|it| it.status == "open" && it.debit.is_some()).count()
        }),
        ("an invoice paid in part", |all| {
            all.invoices.values().filter(|it| it.status == "open" && it.amount_paid > 0).count()
        }),
        ("a payment out of band", |all| all.invoices.values().filter(|it| it.out_of_band).count()),
        ("an invoice that Checkout made", |all| all.invoiced.len()),
    ];
    for (kind, count) in kinds {
        assert!(
            simulations.iter().any(|simulation| count(&simulation.stripe) > 0),
            "no history holds {kind}"
        );
    }
    for era in shapes::Era::ALL {
        assert!(
            simulations.iter().any(|simulation| simulation.eras.iter().any(|(_, it)| *it == era)),
            "no history in {era:?}"
        );
    }
}

/// The long run of `make soak`.
#[test]
#[ignore = "minutes long: make soak"]
fn soak_any_order_tables_match_the_model() {
    let seed = set(SEED).unwrap_or_else(|| fastrand::u64(..));
    let size = Size {
        workers: 2,
        histories: set(HISTORIES).unwrap_or(25),
        orders: set(ORDERS).unwrap_or(200),
        only: set(ONLY),
        longest: Duration::from_secs(60 * set(MINUTES).unwrap_or(60)),
    };
    eprintln!("{size:?}; again with {SEED}={seed}");
    let begun = Instant::now();
    let it = size.emit(seed);
    assert_eq!(it.differing, 0, "the tables are not what is true; again with {SEED}={seed}");
    println!(
        "{} histories in {} orders, {} of them through a queue: {} events delivered in {} s, all tables as they should be ({SEED}={seed})",
        it.histories,
        it.orders,
        it.queued,
        it.events,
        begun.elapsed().as_secs()
    );
}
