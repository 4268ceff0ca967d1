//! The fixtures themselves: readable and consistent, and their expected sums add up.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use memberflow::envelope::Source;
use memberflow::ops::fixture::{self, Scenario, SignsUp};
use serde_json::{Map, Value};

/// The tables and columns that fixtures may expect.
const COLUMNS: [(&str, &str); 7] = [
    (
        "customer_subscriptions",
        "user_id membership_tier_id stripe_customer_id stripe_subscription_id stripe_price_id status \
         current_period_start current_period_end cancel_at_period_end cancel_at canceled_at cancellation_reason \
         cancellation_feedback collection_paused trial_start trial_end created_at",
    ),
    (
        "payment_history",
        "user_id stripe_invoice_id stripe_payment_intent_id amount amount_refunded amount_disputed currency \
         status paid_at",
    ),
    (
        "user_revenue_metrics",
        "user_id mrr ltv total_spent currency subscription_tier subscription_status subscription_start_date \
         months_subscribed",
    ),
    ("user_revenue_by_currency", "user_id currency mrr ltv total_spent"),
    (
        "user_activity_metrics",
        "user_id total_logins last_login_at vision_count journal_entry_count s3_file_count total_storage_mb \
         health_status",
    ),
    (
        "sms_messages",
        "user_id twilio_sid direction from_number to_number body media_urls media_types status twilio_status error_code \
         error_message num_segments",
    ),
    ("sms_consents", "number opted_in source keyword twilio_sid"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn scenarios() -> Vec<Scenario> {
    fixture::scenarios(&folder()).unwrap()
}

fn rows<'a>(scenario: &'a Scenario, table: &str) -> &'a [Map<String, Value>] {
    scenario.expected.get(table).map_or(&[], Vec::as_slice)
}

fn number(row: &Map<String, Value>, column: &str) -> i64 {
    row[column].as_i64().unwrap_or_else(|| panic!("{column} is no whole number: {row:?}"))
}

#[test]
fn each_fixture_is_complete() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 10);
    for scenario in &scenarios {
        assert!(!scenario.events.is_empty() && !scenario.members.is_empty(), "{}", scenario.name);
        let reported = std::fs::read_to_string(folder().join(&scenario.name).join("story.md")).unwrap();
        assert!(reported.contains("What the tables must say"), "{}", scenario.name);
    }
    assert!(scenarios.iter().any(|s| s.members.iter().any(|m| m.signs_up == SignsUp::AfterEvents)));
}

#[test]
fn events_are_read_in_the_order_of_their_numbers() {
    for scenario in scenarios() {
        let files = scenario.events.iter().filter(|event| event.origin.line.is_none());
        let names: Vec<_> = files.map(|event| event.origin.path.file_name().unwrap()).collect();
        assert!(names.is_sorted(), "{}: {names:?}", scenario.name);
    }
}

#[test]
fn fixture_as_of_is_after_its_events() {
    for scenario in scenarios() {
        let as_of = scenario.as_of.unwrap();
        for event in &scenario.events {
            let received_at = time::OffsetDateTime::UNIX_EPOCH;
            if event.source != Source::SupabaseDatabase {
                let at = crate::support::events::envelope(event, received_at).occurred_at;
                assert!(at <= as_of, "{}", event.origin);
            }
        }
    }
}

#[test]
fn events_and_members_have_unique_names() {
    let (mut events, mut members, mut addresses) = (HashSet::new(), HashSet::new(), HashSet::new());
    for scenario in scenarios() {
        for event in &scenario.events {
            assert!(events.insert((event.source, event.event_id.clone())), "twice: {}", event.origin);
        }
        for member in scenario.members {
            assert!(members.insert(member.id), "{}", member.email);
            assert!(addresses.insert(member.email.to_lowercase()), "{}", member.email);
        }
    }
}

#[test]
fn expectations_name_known_columns_and_own_members() {
    for scenario in scenarios() {
        for (table, rows) in &scenario.expected {
            let (_, columns) = COLUMNS.iter().find(|(known, _)| known == table).expect("a known table");
            let columns: BTreeSet<_> = columns.split_whitespace().collect();
            for row in rows {
                let unknown: Vec<_> = row.keys().filter(|key| !columns.contains(key.as_str())).collect();
                assert!(unknown.is_empty(), "{} {table}: {unknown:?}", scenario.name);
                // Whose a number is, the profiles say, in whatever way they write it.
                let Some(user) = row.get("user_id").and_then(Value::as_str) else {
                    assert!(
                        table == "sms_consents" && row.contains_key("number"),
                        "{} {table}",
                        scenario.name
                    );
                    continue;
                };
                assert!(
                    scenario.members.iter().any(|m| m.id.to_string() == user),
                    "{} {table}",
                    scenario.name
                );
            }
        }
    }
}

#[test]
fn expectations_add_up() {
    for scenario in scenarios() {
        let mut paid: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for row in rows(&scenario, "payment_history") {
            let (spent, kept) = paid.entry(row["currency"].as_str().unwrap()).or_default();
            let gone = number(row, "amount_refunded") + number(row, "amount_disputed");
            *spent += number(row, "amount");
            *kept += number(row, "amount") - gone;
        }
        let by_currency = rows(&scenario, "user_revenue_by_currency");
        let reported: BTreeMap<_, _> = by_currency
            .iter()
            .map(|row| (row["currency"].as_str().unwrap(), (number(row, "total_spent"), number(row, "ltv"))))
            .collect();
        assert_eq!(reported, paid, "{}", scenario.name);
        for row in rows(&scenario, "user_revenue_metrics") {
            let main = by_currency.iter().find(|other| other["currency"] == row["currency"]).unwrap();
            for column in ["mrr", "total_spent", "ltv"] {
                assert_eq!(row[column], main[column], "{} {column}", scenario.name);
            }
        }
    }
}

#[test]
fn expected_stripe_objects_have_events() {
    let tiers: HashSet<_> =
        fixture::tiers(&folder()).unwrap().into_iter().map(|tier| tier.id.to_string()).collect();
    for scenario in scenarios() {
        let reported: String =
            scenario.events.iter().map(|e| std::str::from_utf8(&e.body).unwrap()).collect();
        for row in scenario.expected.values().flatten() {
            for (column, value) in row {
                match (column.as_str(), value.as_str()) {
                    ("membership_tier_id", Some(id)) => assert!(tiers.contains(id), "{} {id}", scenario.name),
                    (column, Some(id)) if column.starts_with("stripe_") => {
                        assert!(reported.contains(&format!("\"{id}\"")), "{} {column} {id}", scenario.name);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn tiers_are_unique_where_the_table_wants_it() {
    let tiers = fixture::tiers(&folder()).unwrap();
    let unique = |values: Vec<Option<&str>>| {
        let values: Vec<_> = values.into_iter().flatten().collect();
        values.iter().collect::<HashSet<_>>().len() == values.len()
    };
    assert!(unique(tiers.iter().map(|tier| Some(tier.name.as_str())).collect()));
    assert!(unique(tiers.iter().map(|tier| tier.stripe_price_id.as_deref()).collect()));
    assert!(unique(tiers.iter().map(|tier| tier.stripe_product_id.as_deref()).collect()));
}

#[test]
fn fixtures_cover_versions_and_shared_seconds() {
    let (mut old, mut new, mut crowded) = (0, 0, 0);
    for scenario in scenarios() {
        let bodies: Vec<Value> = scenario
            .events
            .iter()
            .filter(|event| event.source == Source::Stripe)
            .map(|event| serde_json::from_slice(&event.body).unwrap())
            .collect();
        let object = |body: &Value, pointer: &str| body.pointer(&format!("/data/object/{pointer}")).is_some();
        old += u32::from(bodies.iter().any(|body| object(body, "current_period_end")));
        new += u32::from(bodies.iter().any(|body| object(body, "items/data/0/current_period_end")));
        let mut seconds: BTreeMap<i64, u32> = BTreeMap::new();
        bodies.iter().for_each(|body| *seconds.entry(body["created"].as_i64().unwrap()).or_default() += 1);
        crowded += u32::from(seconds.values().any(|count| *count >= 4));
        for body in &bodies {
            let previous = body.pointer("/data/previous_attributes").is_some();
            let updated = body["type"] == "customer.subscription.updated";
            assert!(previous || !updated, "{}: an update says what was before", body["id"]);
            assert_eq!(body["livemode"], false);
        }
    }
    assert!(old >= 3 && new >= 3 && crowded >= 5, "{old} old, {new} new, {crowded} crowded");
}
