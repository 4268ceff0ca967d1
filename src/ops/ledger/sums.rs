//! The ledger summed by currency, day (UTC) and kind.
//!
//! The present sums are in `ingest.mrr_totals`. Those of an earlier moment differ by what was recorded or superseded since: by the sums of `ingest.mrr_revisions` for the days after that moment's, and for the rest of
//! its day by the ledger itself, by index. Triggers of the ledger keep both, so an answer costs the same however long it is.

use sqlx::{Postgres, QueryBuilder};
use time::{Date, OffsetDateTime, UtcOffset};

/// The present sums.
const PRESENT: &str =
    "select currency, day, kind, movements, amount from ingest.mrr_totals where movements <> 0";

/// Adds a query of `currency, day, kind, movements, amount` as it was known at `known_at` (none: now). A sum may come in
/// several rows.
pub(super) fn push(query: &mut QueryBuilder<Postgres>, known_at: Option<OffsetDateTime>) {
    query.push(PRESENT);
    let Some(known_at) = known_at else { return };
    query.push(
        " union all select currency, day, kind, -movements, -amount from ingest.mrr_revisions where known_on > ",
    );
    query.push_bind(day(known_at));
    for (moment, movements, amount) in [("recorded_at", "-1", "-delta"), ("superseded_at", "1", "delta")] {
        query.push(" union all select currency, (effective_at at time zone 'UTC')::date, kind, ");
        query.push(movements).push(", ").push(amount).push(" from public.mrr_movements where ");
        push_rest_of_day(query, moment, known_at);
    }
}

/// Adds the condition that `column` lies after `moment` on the same day.
fn push_rest_of_day(query: &mut QueryBuilder<Postgres>, column: &str, moment: OffsetDateTime) {
    query.push(column).push(" > ").push_bind(moment);
    if let Some(next) = day(moment).next_day() {
        query.push(" and ").push(column).push(" < ").push_bind(next.midnight().assume_utc());
    }
}

/// Adds a query of `currency, kind, movements, amount` that takes away what took effect after `at` on the same day.
pub(super) fn push_less_later_that_day(
    query: &mut QueryBuilder<Postgres>,
    at: OffsetDateTime,
    known_at: Option<OffsetDateTime>,
) {
    // The subquery that cannot be merged (`offset 0`) is looked up by index for each currency and kind.
    query.push(
        "select k.currency, k.kind, -1, -m.delta from (select distinct currency, kind from ingest.mrr_totals) k
         cross join lateral (
             select m.delta from public.mrr_movements m
             where m.currency = k.currency and m.kind = k.kind and ",
    );
    push_rest_of_day(query, "m.effective_at", at);
    push_current(query, known_at);
    query.push(" offset 0) m");
}

/// Adds the condition that a movement was current at `known_at` (none: is current now).
pub(super) fn push_current(query: &mut QueryBuilder<Postgres>, known_at: Option<OffsetDateTime>) {
    let Some(known_at) = known_at else {
        query.push(" and superseded_at is null");
        return;
    };
    query.push(" and recorded_at <= ").push_bind(known_at);
    query.push(" and (superseded_at is null or superseded_at > ").push_bind(known_at).push(")");
}

/// The day of `moment` in UTC.
pub(super) fn day(moment: OffsetDateTime) -> Date {
    moment.to_offset(UtcOffset::UTC).date()
}
