//! What could not be determined from the tables, so that operators know the limits of the numbers.

use serde::Serialize;
use sqlx::PgConnection;

use super::Counts;
use super::pages::{NOT_READ, REPORTED_DELETED};
use super::phases::{ImportScope, Phase};
use crate::project::supabase::ActivityTables;

/// Something that the tables do not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limitation {
    /// How many, if it can be counted.
    pub count: Option<i64>,
    /// What, and what follows from it.
    pub what: String,
}

/// What the tables of `scope` do not show, by the counts of its import and the facts.
pub(in crate::store) async fn find(
    tx: &mut PgConnection,
    scope: ImportScope,
    found: &Counts,
    tables: &ActivityTables,
) -> Result<Vec<Limitation>, sqlx::Error> {
    let mut limitations: Vec<Limitation> =
        scope.phases(tables).iter().flat_map(|phase| of_phase(phase, found)).collect();
    for (count, what) in match scope {
        ImportScope::Activity => of_activity(tx).await?,
        ImportScope::Revenue => of_revenue(tx).await?,
    } {
        if count > 0 {
            limitations.push(Limitation { count: Some(count), what: what.to_owned() });
        }
    }
    Ok(limitations)
}

fn of_phase(phase: &Phase, found: &Counts) -> impl Iterator<Item = Limitation> + use<> {
    let (name, relation) = (phase.name(), phase.relation());
    let is_unread = found.contains_key(&format!("{name} {NOT_READ}")) && phase.runs_in_initial_import();
    let unread = is_unread.then(|| Limitation {
        count: None,
        what: match phase {
            Phase::AuditLog => format!(
                "{relation} is not there or may not be read: total_logins is a lower bound, since sessions are deleted at logout"
            ),
            _ => format!("{relation} is not there or may not be read: its {name} are not counted"),
        },
    });
    let reported_deleted = found.get(&format!("{name} {REPORTED_DELETED}")).map(|count| Limitation {
        count: Some(*count),
        what: format!("rows of {relation} exist although events reported their deletion: they do not count"),
    });
    unread.into_iter().chain(reported_deleted)
}

async fn of_activity(tx: &mut PgConnection) -> Result<Vec<(i64, &'static str)>, sqlx::Error> {
    let without_trace: i64 = sqlx::query_scalar(
        "select count(*) from auth.users u
         where u.last_sign_in_at is not null and not exists (
             select from logins l where l.user_id = u.id and l.evidence < 2)",
    )
    .fetch_one(&mut *tx)
    .await?;
    let ownerless: i64 = sqlx::query_scalar(
        "select count(*) from row_facts where relation = 'storage.objects' and counted and user_id is null",
    )
    .fetch_one(tx)
    .await?;
    Ok(vec![
        (
            without_trace,
            "users with no session and no audit log entry left: of their logins only the last is known",
        ),
        (ownerless, "files have no user for an owner and count for nobody"),
    ])
}

async fn of_revenue(tx: &mut PgConnection) -> Result<Vec<(i64, &'static str)>, sqlx::Error> {
    let unreported: i64 = sqlx::query_scalar("select count(*) from parked where reason = 'needs_stripe'")
        .fetch_one(&mut *tx)
        .await?;
    let (odd, nameless, unconfirmed): (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where state ->> 'status' not in
                    ('succeeded', 'failed', 'open', 'void', 'uncollectible')),
                count(*) filter (where succeeded and state ->> 'invoice' is null
                                   and state ->> 'payment_intent' is null),
                count(*) filter (where succeeded and exists (select from payments p where p.id = f.id))
         from stripe_facts f cross join lateral (select state ->> 'status' = 'succeeded' as succeeded) s
         where kind = 'found_payment' and not final",
    )
    .fetch_one(tx)
    .await?;
    Ok(vec![
        (unreported, "subscriptions wait for Stripe to report their items: until then their MRR is 0"),
        (odd, "payments have a status that memberflow does not know: they do not count"),
        (nameless, "payments have no Stripe id: they count in addition to what Stripe reports"),
        (
            unconfirmed,
            "payments count as the application kept them, refunds unknown, until Stripe reports them",
        ),
    ])
}
