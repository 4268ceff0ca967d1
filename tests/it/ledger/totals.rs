//! The sums of the ledger: whatever is written to it, and however many write at once, they are what it believes; and what is
//! answered from them is what the ledger itself says.

use fastrand::Rng;
use memberflow::ops::ledger::{self, Month, Question};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;

use super::*;

/// One statement that changes the ledger of some customers in some way, as people and programs may.
fn change(rng: &mut Rng, customers: u64) -> String {
    let some = rng.u32(1..=4);
    let day = rng.u32(0..90);
    let kind = ["new", "expansion", "contraction", "churn", "reactivation"][rng.usize(0..5)];
    let currency = ["usd", "eur"][rng.usize(0..2)];
    let skipped = rng.u32(0..6);
    let any = format!(
        "id in (select id from public.mrr_movements where customer_id like 'cus_{customers}_%'
                order by id offset {skipped} limit {some})"
    );
    match rng.u8(0..12) {
        0..=5 => format!(
            "insert into public.mrr_movements
                 (customer_id, currency, effective_at, recorded_at, superseded_at, kind, delta, mrr_before, mrr_after,
                  calc_version)
             select 'cus_{customers}_' || n % 3, '{currency}',
                    timestamptz '2026-01-01 23:30Z' + ({day} + n % 3) * interval '1 day'
                        + (random() * 1000000000)::int * interval '1 microsecond',
                    now() - (n % 3) * interval '1 day', case when n % 5 = 4 then now() end, '{kind}', 100 + n, 0, 100 + n, 1
             from generate_series(1, {some}) n"
        ),
        6 | 7 => format!("update public.mrr_movements set superseded_at = now() where superseded_at is null and {any}"),
        8 => format!("update public.mrr_movements set delta = delta + 7, mrr_after = mrr_after + 7 where {any}"),
        9 => format!(
            "update public.mrr_movements set effective_at = effective_at + interval '1 day', kind = '{kind}',
                 superseded_at = null where {any}"
        ),
        10 => format!("delete from public.mrr_movements where {any}"),
        _ => format!("update public.mrr_movements set user_id = null where {any}"),
    }
}

async fn run(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

#[tokio::test]
async fn any_sequence_of_changes_keeps_the_totals_equal_to_the_sums() {
    let app = TestApp::begin().await;
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        for step in 0..rng.u8(5..25) {
            let customers = rng.u64(0..2);
            let statement = change(&mut rng, customers);
            app.execute(&statement).await;
            assert_totals_are_sums(&app, &format!("seed {seed}, step {step}: {statement}")).await;
        }
        app.execute("truncate public.mrr_movements").await;
        assert_totals_are_sums(&app, "truncated").await;
    }
}

#[tokio::test]
async fn many_writers_at_once_keep_the_totals_equal_to_the_sums() {
    let app = TestApp::begin().await;
    let mut writers = JoinSet::new();
    for seed in 0..5 {
        let pool = app.database.pool.clone();
        writers.spawn(async move {
            let mut rng = Rng::with_seed(seed);
            for _ in 0..40 {
                let mut tx = memberflow::database::begin(&pool).await.unwrap();
                // Customers of their own: two who change each other's rows would wait in a circle, whatever the totals do.
                run(&mut tx, &change(&mut rng, seed)).await;
                if rng.u8(..) < 50 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
            }
        });
    }
    writers.join_all().await;
    assert!(!app.rows("select currency from ingest.mrr_totals where movements > 0 limit 1").await.is_empty());
    assert_totals_are_sums(&app, "all have written").await;
}

#[tokio::test]
async fn the_migration_fills_the_totals_of_a_ledger_that_is_there() {
    let app = TestApp::begin().await;
    let mut rng = Rng::with_seed(7);
    for _ in 0..30 {
        app.execute(&change(&mut rng, 0)).await;
    }
    for (trigger, table) in [
        ("total_inserted", "mrr_totals"),
        ("cohort_inserted", "mrr_cohorts"),
        ("revise_inserted", "mrr_revisions"),
    ] {
        app.execute(&format!("drop trigger memberflow_{trigger} on public.mrr_movements")).await;
        app.execute(&format!("delete from ingest.{table}")).await;
    }
    app.execute(&change(&mut Rng::with_seed(0), 0)).await;
    for _ in 0..2 {
        let migration = include_str!("../../../migrations/20251208031000_sum_the_ledger.sql");
        run(&mut app.database.pool.acquire().await.unwrap(), migration).await;
    }
    assert_totals_are_sums(&app, "filled").await;
    for _ in 0..10 {
        app.execute(&change(&mut rng, 0)).await;
    }
    assert_totals_are_sums(&app, "kept from then on").await;
}

/// Lives that end, begin again and are rewritten, some of them late: customers of two currencies, each change known at a
/// moment of its own.
async fn lives(app: &TestApp) {
    for customer in 0..40 {
        let mut rng = Rng::with_seed(customer);
        let (id, cus) = (format!("sub_{customer}"), format!("cus_{customer}"));
        let mut known = 0;
        for _ in 0..rng.u8(2..7) {
            known += rng.i64(0..30);
            let status = ["active", "active", "active", "canceled", "paused"][rng.usize(0..5)];
            let mut object = of(&id, &cus, status, [900, 2900, 4900][rng.usize(0..3)]);
            let currency = if customer % 3 == 0 { "eur" } else { "usd" };
            object["currency"] = json!(currency);
            object["items"]["data"][0]["price"]["currency"] = json!(currency);
            let event = on((known - rng.i64(0..20)).max(0), object);
            app.store_at(day(known)).apply(&[event]).await.unwrap();
        }
    }
}

/// What the ledger says by itself.
const TOTALS: &str = "
    select coalesce(jsonb_agg(jsonb_build_array(currency, mrr, customers) order by currency), '[]') from (
        select currency, sum(mrr) as mrr, count(*) as customers
        from (select customer_id, currency, sum(delta) as mrr from public.mrr_movements
              where effective_at <= $1 and (case when $2::timestamptz is null then superseded_at is null
                  else recorded_at <= $2 and (superseded_at is null or superseded_at > $2) end)
              group by 1, 2) c where mrr <> 0 group by 1) t";

#[tokio::test]
async fn any_date_as_known_at_any_date_is_what_the_ledger_says() {
    let app = TestApp::begin().await;
    lives(&app).await;
    let pool = &app.database.pool;
    let mut rng = Rng::with_seed(1);
    let mut moment = || {
        let days = rng.i64(-3..240);
        let whole = Month::of(day(days)).begin();
        [day(days), day(days) + Duration::hours(rng.i64(0..30)), whole - Duration::MICROSECOND]
            [rng.usize(0..3)]
    };
    for n in 0..60 {
        let (at, known_at) = (moment(), (n % 3 > 0).then(&mut moment));
        let expected: Value =
            sqlx::query_scalar(TOTALS).bind(at).bind(known_at).fetch_one(pool).await.unwrap();
        let answer =
            ledger::mrr_at(pool, &Question { at: Some(at), known_at, user_id: None }, NOW).await.unwrap();
        let answered: Vec<Value> =
            answer.totals.iter().map(|it| json!([it.currency, it.mrr, it.customers])).collect();
        assert_eq!(json!(answered), expected, "at {at} as known at {known_at:?}");
        let months = ledger::months(Month::of(at).plus(-2), Some(Month::of(at)), NOW).unwrap();
        for row in ledger::waterfall(pool, &months, known_at).await.unwrap().rows {
            let end = row.month.plus(1).unwrap().begin() - Duration::MICROSECOND;
            let expected: Value =
                sqlx::query_scalar(TOTALS).bind(end).bind(known_at).fetch_one(pool).await.unwrap();
            let closing = json!([row.currency, row.closing, row.customers]);
            let is_there = expected.as_array().unwrap().contains(&closing);
            assert!(is_there || row.closing == 0 && row.customers == 0, "{row:?} as known at {known_at:?}");
        }
    }
}

#[tokio::test]
async fn cohorts_tell_who_of_a_month_is_still_there_and_what_they_bring() {
    let app = TestApp::begin().await;
    // Two begin in January, of whom one leaves in March and comes back in May; one begins in February and pays more in April.
    let events = [
        on(2, of("sub_1", "cus_1", "active", 1000)),
        on(3, of("sub_2", "cus_2", "active", 1000)),
        on(70, of("sub_2", "cus_2", "paused", 1000)),
        on(130, of("sub_2", "cus_2", "active", 1500)),
        on(40, of("sub_3", "cus_3", "active", 2000)),
        on(100, of("sub_3", "cus_3", "active", 3000)),
    ];
    app.apply(events).await;
    let shown = async || {
        let months = ledger::months("2026-01".parse().ok(), "2026-05".parse().ok(), NOW).unwrap();
        let cohorts = ledger::cohorts(&app.database.pool, &months).await.unwrap().cohorts;
        let months =
            |it: &ledger::Cohort| it.months.iter().map(|it| (it.customers, it.mrr)).collect::<Vec<_>>();
        cohorts.iter().map(|it| (it.month.to_string(), months(it))).collect::<Vec<_>>()
    };
    let february = ("2026-02".to_owned(), vec![(1, 2000), (1, 2000), (1, 3000), (1, 3000)]);
    let january = vec![(2, 2000), (2, 2000), (1, 1000), (1, 1000), (2, 2500)];
    assert_eq!(shown().await, [("2026-01".to_owned(), january), february]);
    // News that comes late: the one of February had begun in January.
    app.apply([on(20, of("sub_3", "cus_3", "active", 500))]).await;
    let january = vec![(3, 2500), (3, 4000), (2, 3000), (2, 4000), (3, 5500)];
    assert_eq!(shown().await, [("2026-01".to_owned(), january)]);
    assert_totals_are_sums(&app, "late").await;
}
