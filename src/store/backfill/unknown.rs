//! What could not be determined from the tables, so that operators know the limits of the numbers.

use serde::Serialize;
use sqlx::PgConnection;

use super::Counts;
use super::pages::{NOT_READ, REPORTED_DELETED};
use super::parts::{Part, Scope};
use crate::project::supabase::ActivityTables;

/// Something that could not be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// How many, if it can be counted.
    pub count: Option<i64>,
    /// What, and what follows from it.
    pub what: String,
}

pub(in crate::store) async fn of(
    tx: &mut PgConnection,
    scope: Scope,
    found: &Counts,
    tables: &ActivityTables,
) -> Result<Vec<Unknown>, sqlx::Error> {
    let mut unknown: Vec<Unknown> =
        scope.parts(tables).iter().flat_map(|part| of_part(part, found)).collect();
    for (count, what) in match scope {
        Scope::Activity => of_activity(tx).await?,
        Scope::Revenue => of_revenue(tx).await?,
    } {
        if count > 0 {
            unknown.push(Unknown { count: Some(count), what: what.to_owned() });
        }
    }
    Ok(unknown)
}

fn of_part(part: &Part, found: &Counts) -> impl Iterator<Item = Unknown> + use<> {
    let (name, relation) = (part.name(), part.relation());
    let is_unread = found.contains_key(&format!("{name} {NOT_READ}")) && part.runs_in_initial_import();
    let unread = is_unread.then(|| Unknown {
        count: None,
        what: match part {
            Part::AuditLog => format!(
                "{relation} is not there or may not be read: total_logins is a lower bound, since sessions are deleted at logout"
            ),
            _ => format!("{relation} is not there or may not be read: its {name} are not counted"),
        },
    });
    let reported_deleted = found.get(&format!("{name} {REPORTED_DELETED}")).map(|count| Unknown {
        count: Some(*count),
        what: format!("rows of {relation} exist although events reported their deletion: they do not count"),
    });
    unread.into_iter().chain(reported_deleted)
}

async fn of_activity(tx: &mut PgConnection) -> Result<Vec<(i64, &'static str)>, sqlx::Error> {
    let unheard: i64 = sqlx::query_scalar(
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
            unheard,
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
