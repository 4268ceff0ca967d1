//! An overview with bounded cost: counts are capped, and the latest events are looked up among the last
//! thousand.

use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use super::drift::{self, LastCheck};
use super::sources::{self, Source};
use crate::database;

/// Where exact counts end.
pub const COUNTED_MAX: i64 = 10_000;

/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An overview of the installation.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Overview {
    /// The version of memberflow.
    pub version: &'static str,
    /// Accounts.
    pub members: Members,
    /// Events that wait to be applied.
    pub pending: Pending,
    /// Dead letters; one more than [`COUNTED_MAX`] means more.
    pub dead: i64,
    /// What is parked, by reason, the most frequent first; capped likewise.
    pub parked: Vec<Parked>,
    /// When each source was last heard of, how often that is usual, and whether it is silent.
    pub sources: Vec<Source>,
    /// The last comparison of each kind, and what differed.
    pub checks: Vec<LastCheck>,
}

/// The accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = MemberCount)]
pub struct Members {
    /// The number; beyond [`COUNTED_MAX`] an estimate by Postgres.
    pub count: i64,
    /// Whether that is an estimate.
    pub is_estimate: bool,
}

/// Pending events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = PendingEvents)]
pub struct Pending {
    /// How many have not been tried yet; one more than [`COUNTED_MAX`] means more.
    pub count: i64,
    /// When the oldest of them was received.
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest: Option<OffsetDateTime>,
    /// How many have failed and are retried later; capped likewise.
    pub failing: i64,
    /// When the oldest of these was received.
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest_failing: Option<OffsetDateTime>,
}

/// Parked items of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = ParkedCount)]
pub struct Parked {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// Reads the overview.
pub async fn overview(pool: &PgPool, now: OffsetDateTime) -> Result<Overview, sqlx::Error> {
    let mut reading = database::begin_read_only(pool).await?;
    let members = sqlx::query_as(MEMBERS).bind(COUNTED_MAX).fetch_one(&mut *reading).await?;
    let pending = sqlx::query_as(PENDING).bind(COUNTED_MAX + 1).fetch_one(&mut *reading).await?;
    let dead = sqlx::query_scalar(DEAD).bind(COUNTED_MAX + 1).fetch_one(&mut *reading).await?;
    let parked = sqlx::query_as(PARKED).bind(COUNTED_MAX + 1).fetch_all(&mut *reading).await?;
    let sources = sources::list(&mut reading, now).await?;
    reading.commit().await?;
    let checks = drift::last(pool).await?;
    Ok(Overview { version: VERSION, members, pending, dead, parked, sources, checks })
}

/// Where Postgres knows of far more they are not counted, which would read a page of the table for each: ids are random.
const MEMBERS: &str = "
select case when is_large then estimated when counted > $1 then greatest(estimated, counted) else counted end as count,
       is_large or counted > $1 as is_estimate
from (select reltuples::bigint as estimated, reltuples > 2 * $1 as is_large
      from pg_class where oid = 'auth.users'::regclass) known
cross join lateral (
    select count(*) as counted
    from (select from auth.users where not is_large and deleted_at is null order by id limit $1 + 1) u
) accounts";

/// Each stage in the order of an index: when they are due.
const PENDING: &str = "
select count(*) filter (where not alone) as count, min(received_at) filter (where not alone) as oldest,
       count(*) filter (where alone) as failing, min(received_at) filter (where alone) as oldest_failing
from (
    (select alone, received_at from ingest.events
     where state = 'pending' and not alone order by next_attempt_at, id limit $1)
    union all
    (select alone, received_at from ingest.events
     where state = 'pending' and alone order by next_attempt_at, id limit $1)
) pending";

const DEAD: &str =
    "select count(*) from (select from ingest.events where state = 'dead' order by id limit $1) dead";

const PARKED: &str = "
select reason, count(*) as count from (
    select reason from ingest.parked order by parked_at, subject, reason limit $1
) parked group by reason order by 2 desc, 1";
