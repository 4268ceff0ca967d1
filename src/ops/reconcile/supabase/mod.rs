//! Compares the database with itself: the members' tables with a recount of the facts, the facts with the application's
//! tables, the campaigns' sums with their leads, the tickets with their replies, and the text messages with Twilio's
//! reports.
//!
//! Each check knows what fixes it. The public tables are derived from counters: deriving them again fixes them, and
//! counting the leads again fixes campaigns. The counters are derived from facts: `rebuild` fixes them. The facts come
//! from rows of the application, some of which may not have been reported: `backfill activity` imports them.

mod checks;
mod fix;
mod report;

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

pub use report::{DriftedValue, FixedBy, Report, Whose};

use checks::{About, Check, campaigns, leads, mapped, members, messages, tickets};

use crate::ops::actor::{actor, note_by};
use crate::ops::drift;
use crate::ops::progress::Progress;
use crate::project::supabase::ActivityTables;
use crate::store::audit::Act;
use crate::store::backfill::owner_counts::{self, OwnerCount};
use crate::store::{Store, StoreError, begin_read_only};

/// Compares and, if `fix`, derives differing rows again. `show` gets each field that differs.
///
/// # Errors
/// [`StoreError`], which says whether waiting helps.
pub async fn run(
    store: &Store,
    fix: bool,
    progress: &mut Progress,
    show: impl FnMut(&DriftedValue),
) -> Result<Report, StoreError> {
    run_by(store, fix, &actor(), progress, show).await
}

/// The same; the audit log says that `actor` did it.
pub async fn run_by(
    store: &Store,
    fix: bool,
    actor: &str,
    progress: &mut Progress,
    mut show: impl FnMut(&DriftedValue),
) -> Result<Report, StoreError> {
    let mut sample = drift::Sample::default();
    let mut compared = compare(store, progress, |difference| {
        note_difference(&mut sample, difference);
        show(difference);
    })
    .await?;
    let total = compared.report.total();
    if fix && !compared.is_empty() {
        compared = fix_and_compare(store, &compared, actor, progress).await?;
    }
    progress.finish();
    let comparison = drift::Comparison {
        name: "reconcile supabase",
        actor,
        is_fix: fix,
        found: total,
        remaining: compared.report.total(),
        at: store.now(),
    };
    sample.store(store.pool(), comparison).await;
    Ok(compared.report)
}

/// Fixes the rows that `differ`, and compares again.
async fn fix_and_compare(
    store: &Store,
    differ: &Compared,
    actor: &str,
    progress: &mut Progress,
) -> Result<Compared, StoreError> {
    let [members, campaigns, tickets] =
        [&differ.members, &differ.campaigns, &differ.tickets].map(|ids| ids.len() as u64);
    fix::run(store, differ, progress).await?;
    let mut compared = compare(store, progress, |_| {}).await?;
    compared.report.fixed_members = members;
    compared.report.fixed_campaigns = campaigns;
    compared.report.fixed_tickets = tickets;
    let outcome = json!({
        "mended_members": members, "mended_campaigns": campaigns, "mended_tickets": tickets
    });
    let act = Act { actor, act: "reconcile supabase", arguments: json!({}), outcome };
    note_by(store.pool(), act, store.now()).await?;
    Ok(compared)
}

fn note_difference(sample: &mut drift::Sample, difference: &DriftedValue) {
    let DriftedValue { whose, field, here, recount, .. } = difference;
    let object = || match whose {
        Whose::Member(id) => format!("member {id}"),
        Whose::Campaign(id) => format!("campaign {id}"),
        Whose::Ticket(id) => format!("ticket {id}"),
        Whose::Message(id) => format!("message {id}"),
    };
    sample.add(object, field, &json!(here), &json!(recount));
}

/// A value that differs, as [`Check::sql`] gives it.
#[derive(FromRow)]
struct Differing {
    id: Uuid,
    place: i32,
    here: Option<String>,
    recount: Option<String>,
}

/// The result of one comparison.
#[derive(Default)]
struct Compared {
    report: Report,
    /// Members to derive again.
    members: BTreeSet<Uuid>,
    /// Campaigns whose leads are to be counted again.
    campaigns: BTreeSet<Uuid>,
    /// Tickets to derive again.
    tickets: BTreeSet<Uuid>,
}

async fn compare(
    store: &Store,
    progress: &mut Progress,
    mut show: impl FnMut(&DriftedValue),
) -> Result<Compared, StoreError> {
    let mut compared = Compared::default();
    // One snapshot for all: what is applied meanwhile is no difference.
    let mut tx = begin_read_only(store.pool()).await?;
    let tables = &store.settings().decoding.tables;
    let fixed = leads::checks().into_iter().chain(members::checks(tables)).chain([
        campaigns::check(),
        tickets::check(),
        messages::check(),
    ]);
    let mut checks: Vec<(Check, Numbers)> = fixed.map(|check| (check, Numbers::default())).collect();
    checks.extend(recounted(&mut tx, tables, &mut compared.report).await?);
    for (check, numbers) in &checks {
        progress.begin(&check.fields[0].name, 0);
        if let Some(table) = unreadable(&mut tx, check).await? {
            compared.report.skipped.insert(table.to_owned());
            continue;
        }
        let mut query = sqlx::query_as::<_, Differing>(AssertSqlSafe(check.sql()));
        if let Some((users, counts)) = numbers {
            query = query.bind(users).bind(counts);
        }
        let mut rows = query.fetch(&mut *tx);
        while let Some(Differing { id, place, here, recount }) = rows.try_next().await? {
            let field = check.fields[place.unsigned_abs() as usize].name.clone().into_owned();
            let (whose, fixed_by) = (compared.note(check, id), check.fixed_by);
            let drift = DriftedValue { whose, field, here, recount, fixed_by };
            show(&drift);
        }
    }
    tx.rollback().await?;
    Ok(compared)
}

/// Numbers by user, if the recount is not done in SQL.
type Numbers = Option<(Vec<Uuid>, Vec<i64>)>;

/// What the application's rows count for, read and counted like their events.
async fn recounted(
    tx: &mut PgConnection,
    tables: &ActivityTables,
    report: &mut Report,
) -> Result<Vec<(Check, Numbers)>, StoreError> {
    let mut checks = Vec::new();
    let relations = tables.iter().map(|table| table.relation.as_str());
    for relation in relations.chain([mapped::FILES]) {
        let Some(counts) = owner_counts::count(tx, relation, tables).await? else {
            report.skipped.insert(relation.to_owned());
            continue;
        };
        let by_user = |pick: fn(&OwnerCount) -> i64| {
            Some((counts.keys().copied().collect(), counts.values().map(pick).collect()))
        };
        if let Some(table) = tables.of(relation) {
            checks.push((mapped::rows(table), by_user(|count| count.rows)));
        } else {
            checks.push((mapped::files("files"), by_user(|count| count.rows)));
            checks.push((mapped::files("file_bytes"), by_user(|count| count.amount)));
        }
    }
    Ok(checks)
}

impl Compared {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.campaigns.is_empty() && self.tickets.is_empty()
    }

    /// Notes that a field of this member, campaign, ticket or message differs.
    fn note(&mut self, check: &Check, id: Uuid) -> Whose {
        *self.report.differing.entry(check.fixed_by.command()).or_default() += 1;
        let (to_fix, whose) = match check.about {
            About::Members => (&mut self.members, Whose::Member(id)),
            About::Campaigns => (&mut self.campaigns, Whose::Campaign(id)),
            About::Tickets => (&mut self.tickets, Whose::Ticket(id)),
            // A rebuild fixes them.
            About::Messages => return Whose::Message(id),
        };
        if check.fixed_by == FixedBy::Reconcile {
            to_fix.insert(id);
        }
        whose
    }
}

/// The table that a check needs, if it is missing or may not be read.
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
