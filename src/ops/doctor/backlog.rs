//! Backlogs: pending events, failing events, parked facts, dead letters.

use sqlx::{FromRow, PgConnection};

use super::{Finding, Level};
use crate::store::events::retries::ATTEMPTS;

const CHECK: &str = "backlog";
/// From this many pending events on, the service is not just busy.
const MANY_PENDING: i64 = 10_000;

/// How many there are of something, such as a reason.
#[derive(FromRow)]
struct Counted {
    what: String,
    count: i64,
}

impl Counted {
    fn total(counted: &[Self]) -> i64 {
        counted.iter().map(|one| one.count).sum()
    }

    fn listed(counted: &[Self]) -> String {
        counted.iter().map(|Self { what, count }| format!("{what} ({count})")).collect::<Vec<_>>().join(", ")
    }
}

pub(super) async fn examine(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let there: bool = sqlx::query_scalar(
        "select to_regclass('ingest.events') is not null and to_regclass('ingest.parked') is not null",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        // The finding about migrations covers that.
        return Ok(Vec::new());
    }
    let pending: i64 = count(
        connection,
        "select (select count(*) from ingest.events where state = 'pending')
              + (select count(*) from ingest.outbox) + (select count(*) from ingest.failing)",
    )
    .await?;
    let dead: Vec<Counted> = sqlx::query_as(
        "select left(reason, 80) as what, count(*)
         from (select reason from ingest.events where state = 'dead' union all select reason from ingest.dead_letters) d
         group by 1 order by 2 desc, 1 limit 10",
    )
    .fetch_all(&mut *connection)
    .await?;
    let parked: Vec<Counted> =
        sqlx::query_as("select reason as what, count(*) from ingest.parked group by reason order by reason")
            .fetch_all(&mut *connection)
            .await?;
    let mut findings = vec![waiting(pending), parked_facts(&parked), dead_letters(&dead)];
    findings.push(failing(connection).await?);
    findings.extend(unmapped_prices(connection).await?);
    findings.extend(healed_by_the_api(connection, &parked).await?);
    findings.extend(unresolved_messages(connection).await?);
    findings.push(unknown_values(connection).await?);
    Ok(findings)
}

/// Events that failed for the same reason.
#[derive(FromRow)]
struct Failing {
    #[sqlx(flatten)]
    reason: Counted,
    example: String,
}

/// Events that failed and are retried, with an example.
async fn failing(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let failing: Vec<Failing> = sqlx::query_as(
        "select left(coalesce(reason, 'no error was recorded'), 80) as what, count(*), min(event_id) as example
         from ingest.events where state = 'pending' and alone group by 1 order by 2 desc, 1 limit 10",
    )
    .fetch_all(connection)
    .await?;
    let Some(Failing { example, .. }) = failing.first() else {
        return Ok(Finding::fine(CHECK, "no event fails"));
    };
    let example = example.clone();
    let reasons: Vec<Counted> = failing.into_iter().map(|failing| failing.reason).collect();
    let (total, listed) = (Counted::total(&reasons), Counted::listed(&reasons));
    let message = format!("events that fail and are tried again: {total}: {listed}");
    let fix =
        format!("memberflow events show {example}; after {ATTEMPTS} attempts an event is a dead letter");
    Ok(Finding::wrong(CHECK, Level::Warning, message, fix))
}

/// Prices that members pay but no tier names: only the deployment can map them.
async fn unmapped_prices(connection: &mut PgConnection) -> Result<Option<Finding>, sqlx::Error> {
    let prices: Vec<Counted> = sqlx::query_as(
        "select coalesce(f.state #>> '{items,0,price,id}', p.detail) as what, count(*)
         from ingest.parked p left join ingest.stripe_facts f on f.id = p.subject
         where p.reason = 'no_tier' group by 1 order by 2 desc, 1 limit 20",
    )
    .fetch_all(connection)
    .await?;
    let Some(first) = prices.first() else { return Ok(None) };
    let message =
        format!("prices that no tier names, with their subscriptions: {}", Counted::listed(&prices));
    let fix = format!(
        "update public.membership_tiers set stripe_price_id = '{}' where name = …; -- or stripe_product_id; the subscriptions follow within a minute",
        first.what.replace('\'', "''")
    );
    Ok(Some(Finding::wrong(CHECK, Level::Warning, message, fix)))
}

/// What events alone cannot resolve, but Stripe's API can.
async fn healed_by_the_api(
    connection: &mut PgConnection,
    parked: &[Counted],
) -> Result<Option<Finding>, sqlx::Error> {
    let tied = count(connection, "select count(*) from ingest.stripe_facts where tied").await?;
    let healed = ["items_truncated", "needs_stripe", "overdue", "thin_event", "unresolved_discount"];
    let parked = parked.iter().filter(|parked| healed.contains(&parked.what.as_str()));
    let parked = parked.map(|Counted { what, count }| format!("{what} {count}"));
    let reasons: Vec<String> = parked.chain((tied > 0).then(|| format!("tied {tied}"))).collect();
    if reasons.is_empty() {
        return Ok(None);
    }
    let message = format!("objects that only Stripe's API can resolve: {}", reasons.join(", "));
    let fix = "memberflow reconcile stripe (shows what differs), then memberflow reconcile stripe --fix";
    Ok(Some(Finding::wrong(CHECK, Level::Warning, message, fix)))
}

/// Text messages that reports alone cannot complete, but Twilio's API can. A text may take a moment: the application
/// writes it after Twilio has accepted the message.
async fn unresolved_messages(connection: &mut PgConnection) -> Result<Option<Finding>, sqlx::Error> {
    let there: bool = sqlx::query_scalar("select to_regclass('public.sms_messages') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(None);
    }
    let (contradicting, without_text): (i64, i64) = sqlx::query_as(
        "select (select count(*) from ingest.sms_facts where tied),
                (select count(*) from public.sms_messages m
                 where m.twilio_sid is not null and coalesce(m.body, '') = '' and m.created_at < now() - interval '1 hour'
                   and exists (select from ingest.sms_facts f where f.sid = m.twilio_sid and f.body is null))",
    )
    .fetch_one(connection)
    .await?;
    if contradicting + without_text == 0 {
        return Ok(None);
    }
    let message = format!(
        "text messages that only Twilio's API can complete: contradicting_status {contradicting}, without a text {without_text}"
    );
    let fix = "memberflow reconcile twilio (shows what differs), then memberflow reconcile twilio --fix";
    Ok(Some(Finding::wrong(CHECK, Level::Warning, message, fix)))
}

/// A value that Stripe introduced after this was built.
#[derive(FromRow)]
struct UnknownValue {
    what: String,
    value: String,
    events: i64,
    example: String,
}

/// Values that Stripe introduced after this was built.
async fn unknown_values(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let there: bool = sqlx::query_scalar("select to_regclass('ingest.unrecognised') is not null")
        .fetch_one(&mut *connection)
        .await?;
    let mut values: Vec<UnknownValue> = Vec::new();
    if there {
        values = sqlx::query_as(
            "select what, value, events, example from ingest.unrecognised order by events desc, what, value limit 10",
        )
        .fetch_all(connection)
        .await?;
    }
    if values.is_empty() {
        return Ok(Finding::fine(CHECK, "everything that Stripe's events said was recognised"));
    }
    let named: Vec<String> = values
        .iter()
        .map(|UnknownValue { what, value, events, example }| match value.as_str() {
            "" => format!("{what} missing ({events} events, {example})"),
            value => format!("{what} {value:?} ({events} events, {example})"),
        })
        .collect();
    let message = format!("unknown values in Stripe events: {}", named.join(", "));
    Ok(Finding::wrong(
        CHECK,
        Level::Warning,
        message,
        "see whether a newer memberflow reads them; nothing is lost: `memberflow rebuild` reads all events again",
    ))
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}

fn waiting(events: i64) -> Finding {
    if events < MANY_PENDING {
        return Finding::fine(CHECK, format!("pending events: {events}"));
    }
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("pending events: {events}"),
        "see whether `memberflow serve` runs with the role consume, and what it logs",
    )
}

fn parked_facts(parked: &[Counted]) -> Finding {
    if parked.is_empty() {
        return Finding::fine(CHECK, "nothing is parked");
    }
    let reasons: Vec<String> =
        parked.iter().map(|Counted { what, count }| format!("{what} {count}")).collect();
    Finding::note(CHECK, format!("parked until the missing piece arrives: {}", reasons.join(", ")))
}

fn dead_letters(dead: &[Counted]) -> Finding {
    if dead.is_empty() {
        return Finding::fine(CHECK, "no dead letters");
    }
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!("dead letters: {}: {}", Counted::total(dead), Counted::listed(dead)),
        "memberflow dead-letters list; then redrive or drop each",
    )
}
