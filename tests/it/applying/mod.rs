//! The fixtures in `fixtures/`: the tables match the expected rows, in any order, batches and repetition of
//! events.

mod deletions;
mod history;
pub(crate) mod plans;
pub(crate) mod statements;
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;
use memberflow::clock::Clock;
use memberflow::dev::demo;
use memberflow::envelope::Envelope;
use memberflow::ops::fixture::{self, Scenario, SignsUp};
use memberflow::store::{Store, StoreSettings};
use serde_json::{Map, Value};
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

use crate::support::database::TestDatabase;
use crate::support::dump;
use crate::support::events::envelope;

const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

struct FixtureRun {
    database: TestDatabase,
    store: Store,
    scenarios: Vec<Scenario>,
}

impl FixtureRun {
    async fn begin() -> Self {
        let scenarios = fixture::scenarios(Path::new("fixtures")).unwrap();
        Self::of(scenarios, NOW).await
    }

    async fn of(scenarios: Vec<Scenario>, now: OffsetDateTime) -> Self {
        let database = TestDatabase::migrated().await;
        let folder = Path::new("fixtures");
        demo::insert_tiers(&database.pool, &fixture::tiers(folder).unwrap()).await.unwrap();
        let settings = StoreSettings::new(&crate::support::config(database.url()));
        let store = Store::new(database.pool.clone(), Clock::fixed(now), settings);
        let app = Self { database, store, scenarios };
        app.sign_up(SignsUp::Before).await;
        app
    }

    async fn sign_up(&self, when: SignsUp) {
        let members: Vec<_> = self
            .scenarios
            .iter()
            .flat_map(|scenario| &scenario.members)
            .filter(|member| member.signs_up == when)
            .collect();
        demo::sign_up(&self.database.pool, &members).await.unwrap();
    }

    fn events(&self) -> Vec<Envelope> {
        self.scenarios
            .iter()
            .flat_map(|scenario| &scenario.events)
            .map(|event| envelope(event, NOW))
            .collect()
    }

    /// Writes what the application writes last, signs up the members that come last, and retries what was parked.
    async fn end(&self) {
        for scenario in &self.scenarios {
            demo::write_rows(&self.database.pool, &scenario.written).await.unwrap();
        }
        self.sign_up(SignsUp::AfterEvents).await;
        while self.store.recompute_due().await.unwrap() > 0 {}
    }
}

#[tokio::test]
async fn every_fixture_matches_expectations() {
    ends_as_promised(FixtureRun::begin().await).await;
}

#[tokio::test]
async fn every_shifted_fixture_matches_expectations() {
    for now in [datetime!(2024-02-29 23:59:59 UTC), datetime!(2033-07-01 00:00 UTC)] {
        let scenarios = fixture::scenarios(Path::new("fixtures")).unwrap();
        let moved = scenarios.into_iter().map(|scenario| scenario.moved_to(now)).collect();
        ends_as_promised(FixtureRun::of(moved, now).await).await;
    }
}

async fn ends_as_promised(app: FixtureRun) {
    for batch in app.events().chunks(37) {
        let applied = app.store.apply(batch).await.unwrap();
        assert_eq!((applied.new, applied.dead), (batch.len(), 0));
    }
    app.end().await;
    let mut wrong = Vec::new();
    for scenario in &app.scenarios {
        for (table, expected) in &scenario.expected {
            compare(&app, scenario, table, expected, &mut wrong).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn order_batches_and_repeats_do_not_matter() {
    let app = FixtureRun::begin().await;
    for few in app.events().chunks(3) {
        app.store.apply(few).await.unwrap();
    }
    app.end().await;
    let in_order = dump::everything(&app.database.pool).await;
    // Of an order and its reverse, each two events come both ways. `make soak` applies the simulated members in ten thousand
    // orders.
    for is_reversed in [false, true] {
        let app = FixtureRun::begin().await;
        let mut rng = Rng::with_seed(0);
        let mut events = app.events();
        let repeated: Vec<_> = events.iter().filter(|_| rng.u8(..) < 77).cloned().collect();
        events.extend(repeated);
        rng.shuffle(&mut events);
        if is_reversed {
            events.reverse();
        }
        while !events.is_empty() {
            let size = rng.usize(1..=60).min(events.len());
            app.store.apply(&events.split_off(events.len() - size)).await.unwrap();
        }
        app.end().await;
        dump::assert_same(
            &in_order,
            &dump::everything(&app.database.pool).await,
            &format!("reversed: {is_reversed}"),
        );
    }
}

#[tokio::test]
async fn applying_everything_again_changes_nothing() {
    let app = FixtureRun::begin().await;
    app.store.apply(&app.events()).await.unwrap();
    app.end().await;
    let once = dump::everything(&app.database.pool).await;
    let applied = app.store.apply(&app.events()).await.unwrap();
    assert_eq!((applied.new, applied.repeated), (0, app.events().len()));
    dump::assert_same(&once, &dump::everything(&app.database.pool).await, "applied again");
}

/// Compares the rows of the fixture's members in one table with the expected ones.
async fn compare(
    app: &FixtureRun,
    scenario: &Scenario,
    table: &str,
    expected: &[Map<String, Value>],
    wrong: &mut Vec<String>,
) {
    let users: Vec<_> = scenario.members.iter().map(|member| member.id).collect();
    let mut query = QueryBuilder::<Postgres>::new(format!("select to_jsonb(t) from public.{table} t"));
    // A number has no user.
    if table != "sms_consents" {
        query.push(" where user_id = any(").push_bind(users).push(")");
    }
    let actual: Vec<Value> = query.build_query_scalar().fetch_all(&app.database.pool).await.unwrap();
    let mut actual: BTreeMap<String, Value> = actual.into_iter().map(|row| (key(table, &row), row)).collect();
    for row in expected {
        let row = Value::Object(row.clone());
        let name = format!("{} {table} {}", scenario.name, key(table, &row));
        let Some(found) = actual.remove(&key(table, &row)) else {
            wrong.push(format!("{name}: no such row"));
            continue;
        };
        for (column, promised) in row.as_object().unwrap() {
            if !same(promised, &found[column]) {
                wrong.push(format!("{name}: {column} is {}, promised {promised}", found[column]));
            }
        }
    }
    let whole = ["customer_subscriptions", "payment_history", "user_revenue_by_currency", "sms_messages"];
    if whole.contains(&table) {
        wrong.extend(actual.keys().map(|key| format!("{} {table} {key}: a row not promised", scenario.name)));
    }
}

fn key(table: &str, row: &Value) -> String {
    let columns: &[&str] = match table {
        "customer_subscriptions" => &["stripe_subscription_id"],
        "payment_history" => &["stripe_invoice_id", "stripe_payment_intent_id"],
        "sms_messages" => &["twilio_sid"],
        "sms_consents" => &["number"],
        "user_revenue_by_currency" => &["user_id", "currency"],
        _ => &["user_id"],
    };
    columns.iter().find_map(|column| row[*column].as_str()).map_or_else(String::new, |first| {
        if table == "user_revenue_by_currency" {
            format!("{first}/{}", row["currency"])
        } else {
            first.to_owned()
        }
    })
}

/// Equal, where two texts may write one moment in two ways.
#[expect(clippy::float_cmp, reason = "the same number written twice")]
fn same(promised: &Value, found: &Value) -> bool {
    let moment = |value: &Value| OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok();
    match (promised.as_f64(), found.as_f64()) {
        (Some(promised), Some(found)) => promised == found,
        _ => promised == found || (moment(promised).is_some() && moment(promised) == moment(found)),
    }
}
