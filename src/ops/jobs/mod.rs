//! Jobs: long operations that are requested in the console or through the API and run in the background, one at a time in
//! an installation. Each is a row of `ingest.jobs`, which shows how far it is and what came of it.
//!
//! [`run`] takes them up. These operations can be repeated, so one that was interrupted runs again.

/// The columns of a [`Job`].
macro_rules! columns {
    () => {
        "id, operation, is_fix, object, state, requested_by, requested_at, started_at, ended_at, heartbeat_at, \
         attempts, part, done, total, result, error"
    };
}

mod list;
mod perform;
pub mod run;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor, PgPool};
use time::{Duration, OffsetDateTime};

pub use self::list::{Filter, Page, count, list};
use super::reconcile::stripe::ObjectId;
use crate::database;
use crate::store::audit::{self, Act};

/// How long a job is kept after its end.
const KEPT: Duration = Duration::days(90);
/// The most jobs that one request deletes.
const DELETED_MAX: i64 = 100;

/// An operation that can be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(as = JobOperation)]
pub enum Operation {
    /// Compare with Stripe's API.
    #[serde(rename = "reconcile stripe")]
    ReconcileStripe,
    /// Compare the database with itself.
    #[serde(rename = "reconcile supabase")]
    ReconcileSupabase,
    /// Compare with Twilio's API.
    #[serde(rename = "reconcile twilio")]
    ReconcileTwilio,
    /// Compare with what the events make.
    #[serde(rename = "rebuild")]
    Rebuild,
}

/// The names of all operations.
pub const OPERATIONS: [&str; 4] = [
    Operation::ReconcileStripe.as_str(),
    Operation::ReconcileSupabase.as_str(),
    Operation::ReconcileTwilio.as_str(),
    Operation::Rebuild.as_str(),
];

/// The states of a job.
pub const STATES: [&str; 5] = ["waiting", "running", "done", "failed", "cancelled"];

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ReconcileStripe, Self::ReconcileSupabase, Self::ReconcileTwilio, Self::Rebuild];

    /// Its name, which is the command's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReconcileStripe => "reconcile stripe",
            Self::ReconcileSupabase => "reconcile supabase",
            Self::ReconcileTwilio => "reconcile twilio",
            Self::Rebuild => "rebuild",
        }
    }

    /// The command that does the same.
    #[must_use]
    pub fn command(self, is_fix: bool) -> String {
        let flag = match (self, is_fix) {
            (Self::Rebuild, false) => " --check",
            (Self::Rebuild, true) | (_, false) => "",
            (_, true) => " --fix",
        };
        format!("memberflow {}{flag}", self.as_str())
    }

    /// Whether it can be about this object alone; otherwise what is wrong.
    fn check_object(self, object: &str) -> Result<(), String> {
        let checked = match self {
            Self::ReconcileStripe => object.parse::<ObjectId>().map(|_| ()),
            _ => Err("only reconcile stripe compares one object".to_owned()),
        };
        checked.map_err(|reason| format!("invalid object {object:?}: {reason}"))
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|operation| operation.as_str() == text);
        named.ok_or_else(|| super::unknown_value("operation", text, &OPERATIONS))
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// What it does: `reconcile stripe`, `reconcile supabase`, `reconcile twilio` or `rebuild`.
    pub operation: String,
    /// Whether it fixes what differs; otherwise it only compares.
    pub is_fix: bool,
    /// The id of the only object that is compared; null: all.
    pub object: Option<String>,
    /// `waiting`, `running`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// Who requested it, as the audit log calls them.
    pub requested_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    /// When it was last taken up.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// When the process that runs it last reported.
    #[serde(with = "time::serde::rfc3339::option")]
    pub heartbeat_at: Option<OffsetDateTime>,
    /// How often it was taken up, without the times that a shutdown ended.
    pub attempts: i32,
    /// What was last being done.
    pub part: Option<String>,
    /// How many pieces of that part are done.
    pub done: Option<i64>,
    /// How many it has; 0 if nobody knows.
    pub total: Option<i64>,
    /// The summary that the command prints as JSON.
    #[schema(value_type = Option<Value>)]
    pub result: Option<Json<Value>>,
    /// Why it failed, and what to do.
    pub error: Option<String>,
}

impl Job {
    /// Whether it waits or runs.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == "waiting" || self.state == "running"
    }

    /// The command that does the same.
    #[must_use]
    pub fn command(&self) -> String {
        let operation: Result<Operation, _> = self.operation.parse();
        let command = operation.map_or_else(|_| self.operation.clone(), |it| it.command(self.is_fix));
        match &self.object {
            Some(object) => format!("{command} --object {object}"),
            None => command,
        }
    }

    /// What the audit log has of it.
    fn audited(&self) -> Value {
        let mut audited = json!({"job": self.id, "operation": self.operation, "is_fix": self.is_fix});
        if let Some(object) = &self.object {
            audited["object"] = json!(object);
        }
        audited
    }
}

/// No job was requested.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A fix is requested, and a comparison of the operation waits or runs.
    #[error(
        "job {id} is {state} and only compares: wait until it has ended, or cancel it, then request the fix"
    )]
    OnlyCompares {
        /// The comparison's number.
        id: i64,
        /// Whether it waits or runs.
        state: String,
    },
    /// Something else is requested than the one object that a job of the operation compares.
    #[error(
        "job {id} is {state} and only about {object}: wait until it has ended, or cancel it, then request this one"
    )]
    OtherObject {
        /// The job's number.
        id: i64,
        /// Whether it waits or runs.
        state: String,
        /// Its object.
        object: String,
    },
    /// The operation cannot be about this object; says why.
    #[error("{0}")]
    InvalidObject(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Requests a job for `actor`, unless one of the operation waits or runs; returns the job, and whether it is new. A fix
/// compares too, so it is also the answer to who requests a comparison, and one about everything to who requests one about an
/// `object`. With a new one, those that ended long ago are deleted.
pub async fn request(
    pool: &PgPool,
    operation: Operation,
    is_fix: bool,
    object: Option<&str>,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(Job, bool), RequestError> {
    if let Some(object) = object {
        operation.check_object(object).map_err(RequestError::InvalidObject)?;
    }
    loop {
        let mut tx = database::begin(pool).await?;
        let made: Option<Job> = sqlx::query_as(REQUEST)
            .bind(operation.as_str())
            .bind(is_fix)
            .bind(object)
            .bind(actor)
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(job) = made {
            let act = Act { actor, act: "jobs request", arguments: job.audited(), outcome: json!({}) };
            audit::record(&mut tx, act, now).await?;
            sqlx::query(DELETE_OLD).bind(now - KEPT).bind(DELETED_MAX).execute(&mut *tx).await?;
            tx.commit().await?;
            return Ok((job, true));
        }
        tx.rollback().await?;
        let others = active(pool).await?;
        if let Some(job) = others.into_iter().find(|job| job.operation == operation.as_str()) {
            if let Some(other) = &job.object
                && object != Some(other.as_str())
            {
                return Err(RequestError::OtherObject {
                    id: job.id,
                    object: other.clone(),
                    state: job.state,
                });
            }
            if is_fix && !job.is_fix {
                return Err(RequestError::OnlyCompares { id: job.id, state: job.state });
            }
            return Ok((job, false));
        }
        // It has ended in between.
    }
}

const REQUEST: &str = concat!(
    "insert into ingest.jobs (operation, is_fix, object, requested_by, requested_at) values ($1, $2, $3, $4, $5)
     on conflict (operation) where state in ('waiting', 'running') do nothing returning ",
    columns!()
);

/// Among the oldest by number, so that the primary key finds them.
const DELETE_OLD: &str = "delete from ingest.jobs
     where ended_at < $1 and id in (select id from ingest.jobs order by id limit $2)";

/// The jobs that wait or run, at most one of each operation.
pub async fn active(pool: &PgPool) -> Result<Vec<Job>, sqlx::Error> {
    const ACTIVE: &str =
        concat!("select ", columns!(), " from ingest.jobs where state in ('waiting', 'running') order by id");
    sqlx::query_as(ACTIVE).fetch_all(pool).await
}

/// The job with this number.
pub async fn show(executor: impl PgExecutor<'_>, id: i64) -> Result<Option<Job>, sqlx::Error> {
    const SHOW: &str = concat!("select ", columns!(), " from ingest.jobs where id = $1");
    sqlx::query_as(SHOW).bind(id).fetch_optional(executor).await
}

/// The job was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none with this number.
    #[error("there is no job {0}")]
    NotFound(i64),
    /// It has ended.
    #[error("job {id} is {state}: only one that waits or runs can be cancelled")]
    Ended {
        /// Its number.
        id: i64,
        /// How it ended.
        state: String,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Cancels a job for `actor`. One that runs stops within seconds; what it has fixed by then stays.
pub async fn cancel(pool: &PgPool, id: i64, actor: &str, now: OffsetDateTime) -> Result<Job, CancelError> {
    let mut tx = database::begin(pool).await?;
    let cancelled: Option<Job> = sqlx::query_as(CANCEL).bind(id).bind(now).fetch_optional(&mut *tx).await?;
    let Some(job) = cancelled else {
        let job = show(&mut *tx, id).await?.ok_or(CancelError::NotFound(id))?;
        return Err(CancelError::Ended { id, state: job.state });
    };
    let act = Act { actor, act: "jobs cancel", arguments: job.audited(), outcome: json!({}) };
    audit::record(&mut tx, act, now).await?;
    tx.commit().await?;
    Ok(job)
}

const CANCEL: &str = concat!(
    "update ingest.jobs set state = 'cancelled', ended_at = $2
     where id = $1 and state in ('waiting', 'running') returning ",
    columns!()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_parse_by_name_and_name_their_commands() {
        for (operation, name) in Operation::ALL.into_iter().zip(OPERATIONS) {
            assert_eq!(name.parse(), Ok(operation));
            assert_eq!(serde_json::from_value::<Operation>(json!(name)).unwrap(), operation);
        }
        assert!("backfill".parse::<Operation>().unwrap_err().contains("reconcile twilio, rebuild"));
        assert_eq!(Operation::Rebuild.command(false), "memberflow rebuild --check");
        assert_eq!(Operation::Rebuild.command(true), "memberflow rebuild");
        assert_eq!(Operation::ReconcileTwilio.command(false), "memberflow reconcile twilio");
        assert_eq!(Operation::ReconcileTwilio.command(true), "memberflow reconcile twilio --fix");
    }
}
