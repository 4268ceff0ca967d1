//! The rules of a member's rows.

use proptest::prelude::*;
use time::macros::datetime;
use time::{Date, Duration, Month, OffsetDateTime};

use super::{
    CurrencyRevenue, MemberSubscription, SubscriptionSummary, Thresholds, engagement, health, main_currency,
    summarise, whole_months,
};
use crate::project::stripe::Subscription;

const NOW: OffsetDateTime = datetime!(2026-07-01 12:00 UTC);
const THRESHOLDS: Thresholds = Thresholds { active_days: 7, at_risk_days: 30, champion_months: 6 };

fn valued(id: &str, status: &str, mrr: i64, start: OffsetDateTime) -> MemberSubscription {
    let subscription = Subscription {
        id: id.to_owned(),
        created: start.unix_timestamp(),
        start_date: Some(start.unix_timestamp()),
        ..Subscription::default()
    };
    MemberSubscription {
        subscription,
        status: Some(status.to_owned()),
        mrr,
        currency: "usd".to_owned(),
        tier: Some(format!("tier of {id}")),
    }
}

fn ended(mut valued: MemberSubscription, at: OffsetDateTime) -> MemberSubscription {
    valued.subscription.ended_at = Some(at.unix_timestamp());
    valued
}

const MARCH: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
const APRIL: OffsetDateTime = datetime!(2026-04-01 12:00 UTC);

#[test]
fn member_without_subscriptions_has_empty_summary() {
    assert_eq!(summarise(&[], NOW), SubscriptionSummary::default());
}

#[test]
fn leading_subscription_by_status_value_age_id() {
    let falling = super::STATUSES.windows(2);
    for pair in falling {
        let stronger = valued("sub_b", pair[0], 0, APRIL);
        let weaker = valued("sub_a", pair[1], 900, MARCH);
        let summary = summarise(&[weaker, stronger], NOW);
        assert_eq!(summary.subscription_status.as_deref(), Some(pair[0]));
    }
    let lead = |one: MemberSubscription, other: MemberSubscription| {
        let there = summarise(&[one.clone(), other.clone()], NOW).subscription_tier;
        assert_eq!(summarise(&[other, one], NOW).subscription_tier, there);
        there
    };
    let active = |id, mrr, start| valued(id, "active", mrr, start);
    assert_eq!(lead(active("a", 1, MARCH), active("b", 2, APRIL)).as_deref(), Some("tier of b"));
    assert_eq!(lead(active("a", 1, APRIL), active("b", 1, MARCH)).as_deref(), Some("tier of b"));
    assert_eq!(lead(active("a", 1, MARCH), active("b", 1, MARCH)).as_deref(), Some("tier of a"));
}

#[test]
fn unknown_status_is_never_leading() {
    let mut unknown = valued("sub_1", "active", 900, MARCH);
    unknown.status = None;
    assert_eq!(summarise(std::slice::from_ref(&unknown), NOW), SubscriptionSummary::default());
    let both = summarise(&[unknown, valued("sub_2", "canceled", 0, APRIL)], NOW);
    assert_eq!(both.subscription_tier.as_deref(), Some("tier of sub_2"));
}

#[test]
fn months_count_until_the_last_subscription_ends() {
    let old = ended(valued("sub_1", "canceled", 0, MARCH), datetime!(2026-04-15 12:00 UTC));
    let new = valued("sub_2", "past_due", 100, datetime!(2026-06-01 12:00 UTC));
    let both = summarise(&[old.clone(), new], NOW);
    assert_eq!((both.subscription_start_date, both.months_subscribed), (Some(MARCH), Some(4)));
    let alone = summarise(std::slice::from_ref(&old), NOW);
    assert_eq!((alone.subscription_start_date, alone.months_subscribed), (Some(MARCH), Some(1)));
    let later = ended(valued("sub_3", "canceled", 0, APRIL), datetime!(2026-06-30 12:00 UTC));
    assert_eq!(summarise(&[old, later], NOW).months_subscribed, Some(3));
}

#[test]
fn incomplete_subscriptions_are_not_a_start() {
    for status in ["incomplete", "incomplete_expired"] {
        let summary = summarise(&[valued("sub_1", status, 0, MARCH)], NOW);
        assert_eq!(summary.subscription_status.as_deref(), Some(status));
        assert_eq!((summary.subscription_start_date, summary.months_subscribed), (None, None));
        assert!(!summary.has_churned && !summary.is_live);
    }
}

#[test]
fn missing_start_or_end_falls_back() {
    let mut old = valued("sub_1", "canceled", 0, MARCH);
    old.subscription.start_date = None;
    old.subscription.canceled_at = Some(datetime!(2026-05-02 12:00 UTC).unix_timestamp());
    assert_eq!(summarise(std::slice::from_ref(&old), NOW).months_subscribed, Some(2));
    old.subscription.canceled_at = None;
    assert_eq!(summarise(&[old], NOW).months_subscribed, Some(0));
}

#[test]
fn live_behind_and_churned_are_distinguished() {
    let cases = [
        ("active", true, false, false),
        ("trialing", true, false, false),
        ("past_due", false, false, true),
        ("unpaid", false, false, true),
        ("paused", false, false, false),
        ("incomplete", false, false, false),
        ("canceled", false, true, false),
        ("incomplete_expired", false, false, false),
    ];
    for (status, is_live, has_churned, is_past_due) in cases {
        let one = summarise(&[valued("sub_1", status, 0, MARCH)], NOW);
        assert_eq!(
            (one.is_live, one.has_churned, one.is_past_due),
            (is_live, has_churned, is_past_due),
            "{status}"
        );
    }
    let retried = [valued("sub_1", "canceled", 0, MARCH), valued("sub_2", "incomplete", 0, APRIL)];
    assert!(summarise(&retried, NOW).has_churned);
    let back = [valued("sub_1", "canceled", 0, MARCH), valued("sub_2", "paused", 0, APRIL)];
    assert!(!summarise(&back, NOW).has_churned);
}

#[test]
fn month_ends_on_its_day_or_last_of_month() {
    let cases = [
        (datetime!(2026-01-15 10:00 UTC), datetime!(2026-02-15 09:59:59 UTC), 0),
        (datetime!(2026-01-15 10:00 UTC), datetime!(2026-02-15 10:00 UTC), 1),
        (datetime!(2026-01-31 10:00 UTC), datetime!(2026-02-27 23:00 UTC), 0),
        (datetime!(2026-01-31 10:00 UTC), datetime!(2026-02-28 09:00 UTC), 0),
        (datetime!(2026-01-31 10:00 UTC), datetime!(2026-02-28 10:00 UTC), 1),
        (datetime!(2026-01-31 10:00 UTC), datetime!(2026-03-30 10:00 UTC), 1),
        (datetime!(2026-01-31 10:00 UTC), datetime!(2026-03-31 10:00 UTC), 2),
        (datetime!(2024-02-29 10:00 UTC), datetime!(2025-02-28 10:00 UTC), 12),
        (datetime!(2024-01-31 10:00 UTC), datetime!(2024-02-28 10:00 UTC), 0),
        (datetime!(2026-02-28 10:00 UTC), datetime!(2026-03-28 10:00 UTC), 1),
        (datetime!(2026-12-31 23:30 -2), datetime!(2027-02-01 01:30 UTC), 1),
        (datetime!(2026-05-01 00:00 UTC), datetime!(2026-04-01 00:00 UTC), 0),
    ];
    for (start, end, months) in cases {
        assert_eq!(whole_months(start, end), months, "{start} to {end}");
    }
}

/// `months` after `start`, at the month's last day where it is too short: the rule, the other way round.
fn months_after(start: OffsetDateTime, months: i32) -> OffsetDateTime {
    let number = start.year() * 12 + i32::from(u8::from(start.month())) - 1 + months;
    let month = Month::January.nth_next(u8::try_from(number.rem_euclid(12)).unwrap());
    let year = number.div_euclid(12);
    let date = Date::from_calendar_date(year, month, start.day().min(month.length(year))).unwrap();
    start.replace_date(date)
}

proptest! {
    #[test]
    fn whole_months_match_anniversaries(
        start in 0..2_000_000_000_i64, length in 0..400_000_000_i64,
    ) {
        let start = OffsetDateTime::from_unix_timestamp(start).unwrap();
        let end = start + Duration::seconds(length);
        let months = whole_months(start, end);
        prop_assert!(months_after(start, months) <= end && end < months_after(start, months + 1));
    }

    #[test]
    fn summary_does_not_depend_on_order(
        (kept, shuffled) in proptest::collection::vec((0..8_usize, 0..3_i64, 0..90_i64), 0..6)
            .prop_map(|parts| parts.into_iter().enumerate().map(|(number, (status, mrr, days))| {
                let start = MARCH + Duration::days(days);
                let one = valued(&format!("sub_{number}"), super::STATUSES[status], mrr, start);
                ended(one, start + Duration::days(40))
            }).collect::<Vec<_>>())
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        prop_assert_eq!(summarise(&kept, NOW), summarise(&shuffled, NOW));
    }
}

#[test]
fn main_currency_by_mrr_then_spend_then_name() {
    let revenue = |currency: &str, mrr, total_spent| CurrencyRevenue {
        currency: currency.to_owned(),
        mrr,
        total_spent,
        ltv: 0,
    };
    let cases = [
        (vec![revenue("usd", 1, 9), revenue("eur", 2, 0)], Some("eur")),
        (vec![revenue("eur", 1, 3), revenue("usd", 1, 9)], Some("usd")),
        (vec![revenue("usd", 1, 9), revenue("eur", 1, 9)], Some("eur")),
        (vec![], None),
    ];
    for (all, expected) in cases {
        assert_eq!(main_currency(&all).map(|it| it.currency.as_str()), expected, "{all:?}");
    }
}

#[test]
fn engagement_by_full_days_since_last_login() {
    let loyal =
        SubscriptionSummary { is_live: true, months_subscribed: Some(6), ..SubscriptionSummary::default() };
    let recent = SubscriptionSummary { months_subscribed: Some(5), ..loyal.clone() };
    let past = SubscriptionSummary { is_live: false, ..loyal.clone() };
    let nearly = Duration::hours(24) - Duration::SECOND;
    let cases = [
        (Some(Duration::ZERO), "champion", "active"),
        (Some(Duration::days(-3)), "champion", "active"),
        (Some(Duration::days(7) + nearly), "champion", "active"),
        (Some(Duration::days(8)), "at_risk", "at_risk"),
        (Some(Duration::days(30) + nearly), "at_risk", "at_risk"),
        (Some(Duration::days(31)), "inactive", "inactive"),
        (None, "inactive", "inactive"),
    ];
    for (ago, of_loyal, of_others) in cases {
        let last_login = ago.map(|ago| NOW - ago);
        assert_eq!(engagement(last_login, &loyal, THRESHOLDS, NOW), of_loyal, "{ago:?}");
        for others in [&recent, &past, &SubscriptionSummary::default()] {
            assert_eq!(engagement(last_login, others, THRESHOLDS, NOW), of_others, "{ago:?}");
        }
    }
}

#[test]
fn health_is_churned_before_it_needs_attention() {
    let churned =
        SubscriptionSummary { has_churned: true, is_past_due: true, ..SubscriptionSummary::default() };
    let behind = SubscriptionSummary { is_past_due: true, ..SubscriptionSummary::default() };
    assert_eq!(health(&churned, "at_risk", false), "churned");
    assert_eq!(health(&behind, "champion", false), "needs_attention");
    assert_eq!(health(&SubscriptionSummary::default(), "at_risk", false), "needs_attention");
    assert_eq!(health(&SubscriptionSummary::default(), "inactive", false), "healthy");
    assert_eq!(health(&SubscriptionSummary::default(), "inactive", true), "needs_attention");
    assert_eq!(health(&churned, "inactive", true), "churned");
}
