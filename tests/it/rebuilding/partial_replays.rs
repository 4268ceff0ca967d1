//! A partial replay repairs exactly what a full rebuild would repair of the same rows.

use std::collections::BTreeSet;

use fastrand::Rng;
use memberflow::store::rebuild::{RowDifference, Selection};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::from_inbox::replay;
use super::{PopulatedApp, apply};
use crate::support::dump;

const LOST_METRICS: &str = "delete from public.user_revenue_metrics where user_id = '$user'";
const WRONG_SUMS: &str = "update ingest.customer_revenue set mrr = mrr + 1, collected = collected - 1
                          where customer_id in ($customers)";

/// What may happen to a member's rows, `$user`'s and `$customers`', with the facts as they are: each group at once, as none
/// of it hides another.
const DERIVED: [&[&str]; 2] = [
    &[
        "update ingest.payments set collected = collected + 1, currency = 'gbp' where customer_id in ($customers)",
        // A dispute names no customer, and is found by its link alone.
        "delete from ingest.stripe_links l using ingest.stripe_facts f
         where l.id = f.id and f.customer_id in ($customers) and not exists (
             select from ingest.stripe_facts o where o.id = l.other and o.customer_id is null)",
        WRONG_SUMS,
        "update public.mrr_movements set mrr_before = mrr_before + 1, mrr_after = mrr_after + 1
         where customer_id in ($customers) and superseded_at is null",
        "update public.payment_history set amount = amount + 1, status = 'void' where user_id = '$user'",
        "update public.user_revenue_by_currency set ltv = ltv + 1 where user_id = '$user'",
        "update ingest.customer_emails set reported_at = reported_at + interval '1 day', role = 'given'
         where customer_id in ($customers) and role = 'given'",
        "update public.user_activity_metrics set total_logins = total_logins + 1, health_status = 'churned'
         where user_id = '$user'",
    ],
    &[
        "delete from ingest.payments where customer_id in ($customers)",
        "insert into ingest.customer_revenue (customer_id, currency, mrr) select c, 'xxx', 5 from ($customers) c (c)",
        "delete from ingest.stripe_versions v using ingest.stripe_facts f
         where v.id = f.id and f.customer_id in ($customers)",
        "insert into ingest.parked (subject, reason, detail, parked_at)
         select f.id, 'no_tier', 'none', now() from ingest.stripe_facts f
         where f.customer_id in ($customers) and f.kind = 'subscription'",
        "delete from public.customer_subscriptions where user_id = '$user'",
        LOST_METRICS,
    ],
];

/// Damage to the facts themselves, with intact ownership tables.
const FACTS: [&[&str]; 3] = [
    &[
        "delete from ingest.stripe_facts where customer_id in ($customers)",
        "update ingest.row_facts set amount = amount + 1, counted = not counted where user_id = '$user'",
    ],
    &[
        "update ingest.stripe_facts set state = state || '{\"amount\": 77}', event_id = 'x', tied = true
         where customer_id in ($customers)",
        "delete from ingest.logins where user_id = '$user'",
        "update ingest.activity set logins = logins + 1, files = 9 where user_id = '$user'",
    ],
    &[
        "update ingest.stripe_facts set state = state || '{\"status\": \"unpaid\", \"items\": []}'
         where customer_id in ($customers) and kind = 'subscription'",
        "delete from ingest.activity where user_id = '$user'",
    ],
];

/// Damages rows of `member`; how many.
async fn damage(populated: &PopulatedApp, member: Uuid, statement: &str) -> u64 {
    let customers = format!("select id from ingest.customers where user_id = '{member}'");
    let statement = statement.replace("$customers", &customers).replace("$user", &member.to_string());
    let damaged = sqlx::query(AssertSqlSafe(statement)).execute(&populated.database.pool).await.unwrap();
    damaged.rows_affected()
}

/// Damages rows of the first of `members` who has such.
async fn damage_somebody(populated: &PopulatedApp, members: &[Uuid], statement: &str) -> Uuid {
    for &member in members {
        if damage(populated, member, statement).await > 0 {
            return member;
        }
    }
    panic!("nobody has rows for {statement}");
}

/// Members with customers.
async fn members(populated: &PopulatedApp) -> Vec<Uuid> {
    sqlx::query_scalar(
        "select distinct a.user_id from public.user_activity_metrics a
         join ingest.customers c on c.user_id = a.user_id order by 1",
    )
    .fetch_all(&populated.database.pool)
    .await
    .unwrap()
}

fn of(member: Uuid) -> Selection {
    Selection { member: Some(member), ..Selection::default() }
}

fn sorted(mut differences: Vec<RowDifference>) -> Vec<RowDifference> {
    for difference in &mut differences {
        difference.id = 0;
    }
    differences.sort_by_key(|it| format!("{} {:?}", it.table, it.key));
    differences
}

#[tokio::test]
async fn partial_replay_repairs_like_a_rebuild() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    // With customers or without: some have only rows of the application.
    let members = sqlx::query_scalar("select user_id from public.user_activity_metrics order by 1");
    let mut members: Vec<Uuid> = members.fetch_all(&populated.database.pool).await.unwrap();
    for statements in DERIVED.iter().chain(&FACTS) {
        members.rotate_left(1);
        let mut damaged = BTreeSet::new();
        for statement in *statements {
            damaged.insert(damage_somebody(&populated, &members, statement).await);
        }
        let (_, expected) = populated.check().await;
        let mut found = Vec::new();
        for member in damaged {
            // A replay that fixes compares first, as a dry run does (`from_inbox`), and shows what it has found.
            let (report, of_member) = replay(&populated, &of(member), false).await.unwrap();
            assert!(report.selected > Some(0), "{statements:#?}");
            found.extend(of_member);
        }
        assert_eq!(sorted(found), sorted(expected), "{statements:#?}");
    }
    populated.assert_sound("all fixed").await;
    dump::assert_same(&sound, &dump::everything(&populated.database.pool).await, "all fixed");
}

#[tokio::test]
async fn replaying_damaged_members_leaves_no_drift() {
    let populated = PopulatedApp::lived(1).await;
    let sound = dump::everything(&populated.database.pool).await;
    let all = members(&populated).await;
    let mut rng = Rng::with_seed(7);
    for round in 0..2 {
        let some = rng.choose_multiple(all.iter().copied(), 3);
        for (number, &member) in some.iter().enumerate() {
            // What says whose an object is, is not lost with the object itself.
            let possible = if (round + number) % 2 == 0 { &DERIVED[..] } else { &FACTS[..] };
            for statement in possible.iter().copied().flatten().filter(|_| rng.bool()) {
                damage(&populated, member, statement).await;
            }
        }
        for &member in &some {
            replay(&populated, &of(member), false).await.unwrap();
        }
        populated.assert_sound(&format!("round {round}, {some:?}")).await;
    }
    dump::assert_same(&sound, &dump::everything(&populated.database.pool).await, "all fixed");
}

#[tokio::test]
async fn dependents_of_replayed_prices_are_repaired() {
    let populated = PopulatedApp::lived(1).await;
    let entries: Vec<(String, String)> = sqlx::query_as(
        "select f.id, f.event_id from ingest.stripe_facts f where f.kind in ('price', 'coupon')
           and exists (select from ingest.stripe_links l join ingest.stripe_facts s on s.id = l.other
                       join ingest.customer_revenue r using (customer_id) where l.id = f.id) order by 1",
    )
    .fetch_all(&populated.database.pool)
    .await
    .unwrap();
    assert!(!entries.is_empty());
    for (entry, event) in entries {
        populated
            .execute(&format!(
            "update ingest.stripe_facts set occurred_at = occurred_at - interval '1 day' where id = '{entry}';
             update ingest.customer_revenue set mrr = mrr + 1 where customer_id in (
                 select s.customer_id from ingest.stripe_links l join ingest.stripe_facts s on s.id = l.other
                 where l.id = '{entry}')"
        ))
            .await;
        let selection = Selection { ids: vec![event], ..Selection::default() };
        let (report, _) = replay(&populated, &selection, false).await.unwrap();
        assert!(report.differing_rows() > 1, "{entry}: {report:?}");
        populated.assert_sound(&entry).await;
    }
}

#[tokio::test]
async fn partial_replay_works_during_traffic() {
    let calm = PopulatedApp::lived(2).await;
    let expected = dump::everything(&calm.database.pool).await;
    let populated = PopulatedApp::found(2).await;
    let mut events = populated.shuffled(3);
    let late = events.split_off(events.len() / 2);
    apply(&populated.store, events).await;
    let traffic = async {
        for batch in late.chunks(11) {
            populated.store.apply(batch).await.unwrap();
        }
    };
    let replays = async {
        // No more than the traffic lasts for.
        for member in members(&populated).await.into_iter().take(4) {
            damage(&populated, member, LOST_METRICS).await;
            damage(&populated, member, WRONG_SUMS).await;
            replay(&populated, &of(member), false).await.unwrap();
        }
    };
    tokio::join!(traffic, replays);
    populated.end().await;
    populated.assert_sound("after the traffic").await;
    dump::assert_same(
        &expected,
        &dump::everything(&populated.database.pool).await,
        "replayed among live events",
    );
}
