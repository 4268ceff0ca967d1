//! The database against itself: the members' tables against a recount of the facts, the facts against the tables
//! that they were read from, the campaigns' sums against their leads, the tickets against their replies,
//! and the text messages against Twilio's reports.
//!
//! Each look has what fixes it. The public tables are derived from counts that are kept: deriving them again fixes
//! them, and counting the leads again the campaigns. The counts are derived from facts: `rebuild` fixes them. The
//! facts come from rows of the application, of which some may never have been reported: `backfill activity` reads them in.

mod checks;
mod mend;
mod report;

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

pub use report::{Drift, Mend, Report, Whose};

use checks::{About, Check, campaigns, leads, mapped, members, messages, tickets};

use crate::ops::actor::note;
use crate::ops::drift;
use crate::ops::progress::Progress;
use crate::project::supabase::ActivityTables;
use crate::store::backfill::recount;
use crate::store::{Store, StoreError, reading};

/// Compares, and derives again what that fixes if `fix`. `show` gets each field that differs.
///
/// # Errors
/// [`StoreError`], which says whether waiting helps.
pub async fn run(
    store: &Store,
    fix: bool,
    progress: &mut Progress,
    mut show: impl FnMut(&Drift),
) -> Result<Report, StoreError> {
    let mut differences = drift::Found::default();
    let mut first = look(store, progress, |difference| {
        note_difference(&mut differences, difference);
        show(difference);
    })
    .await?;
    let total = first.report.total();
    if fix && !first.is_empty() {
        first = mended(store, first, progress).await?;
    }
    progress.finish();
    let comparison = drift::Comparison {
        name: "reconcile supabase",
        is_fix: fix,
        found: total,
        remaining: first.report.total(),
        at: store.now(),
    };
    differences.keep(store.pool(), comparison).await;
    Ok(first.report)
}

/// Derives again what was `found`, and looks once more.
async fn mended(store: &Store, found: Found, progress: &mut Progress) -> Result<Found, StoreError> {
    let [members, campaigns, tickets] =
        [&found.members, &found.campaigns, &found.tickets].map(|ids| ids.len() as u64);
    mend::run(store, &found, progress).await?;
    let mut found = look(store, progress, |_| {}).await?;
    found.report.mended_members = members;
    found.report.mended_campaigns = campaigns;
    found.report.mended_tickets = tickets;
    let outcome = json!({
        "mended_members": members, "mended_campaigns": campaigns, "mended_tickets": tickets
    });
    note(store.pool(), "reconcile supabase", json!({}), outcome, store.now()).await?;
    Ok(found)
}

fn note_difference(found: &mut drift::Found, difference: &Drift) {
    let Drift { whose, field, here, recount, .. } = difference;
    let object = || match whose {
        Whose::Member(id) => format!("member {id}"),
        Whose::Campaign(id) => format!("campaign {id}"),
        Whose::Ticket(id) => format!("ticket {id}"),
        Whose::Message(id) => format!("message {id}"),
    };
    found.add(object, field, &json!(here), &json!(recount));
}

/// A value that differs, as [`Check::sql`] gives it.
#[derive(FromRow)]
struct Differing {
    id: Uuid,
    place: i32,
    here: Option<String>,
    recount: Option<String>,
}

/// What one look found.
#[derive(Default)]
struct Found {
    report: Report,
    /// Those whom deriving again may fix.
    members: BTreeSet<Uuid>,
    /// Those whose leads are to be counted again.
    campaigns: BTreeSet<Uuid>,
    /// Those that are to be derived again.
    tickets: BTreeSet<Uuid>,
}

async fn look(
    store: &Store,
    progress: &mut Progress,
    mut show: impl FnMut(&Drift),
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    // One moment for all: what is applied meanwhile is no difference.
    let mut tx = reading(store.pool()).await?;
    let tables = &store.rules().decoding.tables;
    let fixed = leads::checks().into_iter().chain(members::checks(tables)).chain([
        campaigns::check(),
        tickets::check(),
        messages::check(),
    ]);
    let mut checks: Vec<(Check, Numbers)> = fixed.map(|check| (check, Numbers::default())).collect();
    checks.extend(recounted(&mut tx, tables, &mut found.report).await?);
    for (check, numbers) in &checks {
        progress.begin(&check.fields[0].name, 0);
        if let Some(table) = unreadable(&mut tx, check).await? {
            found.report.skipped.insert(table.to_owned());
            continue;
        }
        let mut query = sqlx::query_as::<_, Differing>(AssertSqlSafe(check.sql()));
        if let Some((users, counts)) = numbers {
            query = query.bind(users).bind(counts);
        }
        let mut rows = query.fetch(&mut *tx);
        while let Some(Differing { id, place, here, recount }) = rows.try_next().await? {
            let field = check.fields[place.unsigned_abs() as usize].name.clone().into_owned();
            let drift = Drift { whose: found.note(check, id), field, here, recount, mend: check.mend };
            show(&drift);
        }
    }
    tx.rollback().await?;
    Ok(found)
}

/// Numbers by user, where the recount is not SQL's.
type Numbers = Option<(Vec<Uuid>, Vec<i64>)>;

/// What the application's rows count for, read and counted as the events of them are.
async fn recounted(
    tx: &mut PgConnection,
    tables: &ActivityTables,
    report: &mut Report,
) -> Result<Vec<(Check, Numbers)>, StoreError> {
    let mut checks = Vec::new();
    let relations = tables.iter().map(|table| table.relation.as_str());
    for relation in relations.chain([mapped::FILES]) {
        let Some(recount) = recount::of(tx, relation, tables).await? else {
            report.skipped.insert(relation.to_owned());
            continue;
        };
        let by_user = |pick: fn(&(i64, i64)) -> i64| {
            Some((recount.keys().copied().collect(), recount.values().map(pick).collect()))
        };
        if let Some(table) = tables.of(relation) {
            checks.push((mapped::told(table), by_user(|(rows, _)| *rows)));
        } else {
            checks.push((mapped::told_of_files("files"), by_user(|(rows, _)| *rows)));
            checks.push((mapped::told_of_files("file_bytes"), by_user(|(_, bytes)| *bytes)));
        }
    }
    Ok(checks)
}

impl Found {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.campaigns.is_empty() && self.tickets.is_empty()
    }

    /// Notes that a field of this member, campaign, ticket or message differs.
    fn note(&mut self, check: &Check, id: Uuid) -> Whose {
        *self.report.differing.entry(check.mend.command()).or_default() += 1;
        let (mended, whose) = match check.about {
            About::Members => (&mut self.members, Whose::Member(id)),
            About::Campaigns => (&mut self.campaigns, Whose::Campaign(id)),
            About::Tickets => (&mut self.tickets, Whose::Ticket(id)),
            // A rebuild fixes them.
            About::Messages => return Whose::Message(id),
        };
        if check.mend == Mend::Fix {
            mended.insert(id);
        }
        whose
    }
}

/// The table that a check needs and that is not there, or not for us to read.
async fn unreadable(tx: &mut PgConnection, check: &Check) -> Result<Option<&'static str>, sqlx::Error> {
    let Some(table) = check.source else { return Ok(None) };
    let readable: bool = sqlx::query_scalar(
        "select coalesce(has_schema_privilege(split_part($1, '.', 1), 'usage')
                         and has_table_privilege(to_regclass($1), 'select'), false)",
    )
    .bind(table)
    .fetch_one(tx)
    .await?;
    Ok((!readable).then_some(table))
}
