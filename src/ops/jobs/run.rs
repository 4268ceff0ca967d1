//! Runs jobs: takes up what waits, one at a time, and reports how far it is.
//!
//! Whoever runs jobs holds an advisory lock on a connection of its own. A running job whose lock is free was interrupted: it
//! waits again, up to a limit of attempts.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{Connection as _, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::perform::{Order, perform};
use super::{Job, OPERATIONS, Operation};
use crate::clock::Clock;
use crate::config::Config;
use crate::database::{self, connect_unpooled, with_time_limit};
use crate::lifecycle::Lifecycle;
use crate::ops::progress::{Position, Progress};
use crate::ops::rebuild;
use crate::store::audit::{self, Act};
use crate::store::{Store, StoreSettings};

/// "jobs" in ASCII: the advisory lock of whoever runs them.
const LOCK: i64 = 0x6a6f_6273;
/// How often waiting jobs are looked up.
const PERIOD: Duration = Duration::from_secs(1);
/// How often the progress is written.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// After this many attempts an interrupted job fails.
const ATTEMPTS: i32 = 3;
/// The longest error that is stored.
const ERROR_MAX_CHARS: usize = 4_000;
/// The connections of an operation, besides the one that holds the lock.
const CONNECTIONS: u32 = 2;
/// How long a job waits for its connections to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the job to be put back. One that is not counts as interrupted.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Runs the jobs of an installation, wherever nobody else does.
#[derive(Clone, Debug)]
pub struct Runner {
    config: Config,
    clock: Clock,
    /// Looks up waiting jobs. Those that run have connections of their own, as their commands have.
    pool: PgPool,
}

/// How running a job ended.
enum Outcome {
    /// With the summary, or an error.
    Ended(Result<Value, String>),
    /// Somebody cancelled it.
    Cancelled,
    /// The process stops.
    Stopped,
}

impl Runner {
    /// A runner with these settings.
    #[must_use]
    pub fn new(config: &Config, clock: &Clock, pool: PgPool) -> Self {
        Self { config: config.clone(), clock: clock.clone(), pool }
    }

    /// Runs until the process stops.
    pub async fn run(&self, lifecycle: &Lifecycle) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while lifecycle.until_stopping(ticks.tick()).await.is_some() {
            tokio::select! {
                done = self.round(lifecycle) => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "running jobs was interrupted, will run again");
                    }
                }
                () = stopped_for(STOP_WITHIN, lifecycle) => return,
            }
        }
    }

    /// Runs what waits, unless another process does.
    async fn round(&self, lifecycle: &Lifecycle) -> Result<(), sqlx::Error> {
        let has_work = lifecycle.until_stopping(with_time_limit(self.has_work())).await;
        if !has_work.unwrap_or(Ok(false))? {
            return Ok(());
        }
        let Some(mut connection) = with_time_limit(self.lock()).await? else { return Ok(()) };
        with_time_limit(self.take_back(&mut connection)).await?;
        while !lifecycle.stopping.is_cancelled() {
            let Some(job) = with_time_limit(self.take(&mut connection)).await? else { break };
            if let Err(error) = self.carry_out(&job, &mut connection, lifecycle).await {
                tracing::warn!(job.id, %error, "job was interrupted, will run again");
                return Err(error);
            }
        }
        with_time_limit(unlock(connection)).await
    }

    /// A connection that holds the lock, unless another process holds it.
    async fn lock(&self) -> Result<Option<PgConnection>, sqlx::Error> {
        let mut connection = connect_unpooled(&database::options(&self.config)?).await?;
        let is_held: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await?;
        if is_held {
            return Ok(Some(connection));
        }
        connection.close().await?;
        Ok(None)
    }

    /// Whether a job waits or was interrupted: the lock is free then.
    async fn has_work(&self) -> Result<bool, sqlx::Error> {
        let has_work = sqlx::query_scalar(
            "select case when exists (
                     select from ingest.jobs where state in ('waiting', 'running') and operation = any ($1))
                 then pg_try_advisory_xact_lock($2) else false end",
        );
        has_work.bind(OPERATIONS).bind(LOCK).fetch_one(&self.pool).await
    }

    /// Lets interrupted jobs wait again, or fail after too many attempts.
    async fn take_back(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        const INTERRUPTED: &str = concat!(
            "select ",
            columns!(),
            " from ingest.jobs where state = 'running' and operation = any ($1)"
        );
        let interrupted: Vec<Job> =
            sqlx::query_as(INTERRUPTED).bind(OPERATIONS).fetch_all(&mut *connection).await?;
        for job in interrupted {
            tracing::warn!(job.id, job.operation, job.attempts, "job was interrupted");
            if job.attempts < ATTEMPTS {
                put_back(connection, job.id, true).await?;
                continue;
            }
            let error = format!(
                "interrupted in all {ATTEMPTS} attempts, because the process or its connection to Postgres ended, and the log may say why: run `{}` instead",
                job.command()
            );
            end(connection, &job, Err(error), self.clock.now()).await?;
        }
        Ok(())
    }

    /// Takes up the job that has waited longest.
    async fn take(&self, connection: &mut PgConnection) -> Result<Option<Job>, sqlx::Error> {
        const TAKE: &str = concat!(
            "update ingest.jobs set state = 'running', attempts = attempts + 1, started_at = $1, heartbeat_at = $1,
                 part = null, done = null, total = null
             where id = (select min(id) from ingest.jobs where state = 'waiting' and operation = any ($2))
                 and state = 'waiting' returning ",
            columns!()
        );
        sqlx::query_as(TAKE).bind(self.clock.now()).bind(OPERATIONS).fetch_optional(connection).await
    }

    async fn carry_out(
        &self,
        job: &Job,
        connection: &mut PgConnection,
        lifecycle: &Lifecycle,
    ) -> Result<(), sqlx::Error> {
        // Only known ones are taken up.
        let Ok(operation) = job.operation.parse::<Operation>() else { return Ok(()) };
        tracing::info!(job.id, job.operation, job.is_fix, job.object, job.requested_by, "job started");
        let pool = database::cancellable_pool(&self.config, CONNECTIONS)?;
        let store = Store::new(pool.clone(), self.clock.clone(), StoreSettings::new(&self.config));
        let object = job.object.as_deref();
        let order = Order { operation, is_fix: job.is_fix, object, actor: &job.requested_by };
        let (mut progress, position) = Progress::watched();
        let performing = Box::pin(perform(order, &self.config, &self.clock, &store, &mut progress));
        let outcome = tokio::select! {
            result = AssertUnwindSafe(performing).catch_unwind() => {
                Outcome::Ended(result.unwrap_or_else(|_| Err("it panicked, and the log says where".to_owned())))
            }
            reported = self.report_until_cancelled(connection, job.id, &position) => {
                reported?;
                Outcome::Cancelled
            }
            () = lifecycle.stopping.cancelled() => Outcome::Stopped,
        };
        // What was dropped in the middle of a statement is not waited for.
        timeout(CLOSE_WITHIN, pool.close()).await.ok();
        match outcome {
            Outcome::Ended(result) => {
                let is_done = result.is_ok();
                with_time_limit(self.report(connection, job.id, &position)).await?;
                with_time_limit(end(connection, job, result, self.clock.now())).await?;
                tracing::info!(job.id, is_done, "job ended");
            }
            Outcome::Cancelled => {
                tracing::info!(job.id, "job cancelled");
                if operation == Operation::Rebuild
                    && let Err(error) = with_time_limit(rebuild::clear(&store)).await
                {
                    tracing::warn!(%error, "leftovers of a rebuild not removed, the next one replaces them");
                }
            }
            Outcome::Stopped => put_back(connection, job.id, false).await?,
        }
        Ok(())
    }

    /// Reports how far job `id` is, until it runs no more: somebody cancelled it.
    async fn report_until_cancelled(
        &self,
        connection: &mut PgConnection,
        id: i64,
        position: &watch::Receiver<Position>,
    ) -> Result<(), sqlx::Error> {
        loop {
            sleep(REPORT_EVERY).await;
            if !with_time_limit(self.report(connection, id, position)).await? {
                return Ok(());
            }
        }
    }

    /// Reports how far job `id` is; returns whether it still runs.
    async fn report(
        &self,
        connection: &mut PgConnection,
        id: i64,
        position: &watch::Receiver<Position>,
    ) -> Result<bool, sqlx::Error> {
        let Position { part, done, total } = position.borrow().clone();
        let reported = sqlx::query(
            "update ingest.jobs set heartbeat_at = $2, part = nullif($3, ''), done = $4, total = $5
             where id = $1 and state = 'running'",
        )
        .bind(id)
        .bind(self.clock.now())
        .bind(part)
        .bind(i64::try_from(done).unwrap_or(i64::MAX))
        .bind(i64::try_from(total).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
        Ok(reported.rows_affected() > 0)
    }
}

/// Ends so long after the process was asked to stop.
async fn stopped_for(time: Duration, lifecycle: &Lifecycle) {
    lifecycle.stopping.cancelled().await;
    sleep(time).await;
}

/// Gives the lock back, by name: a backend ends some time after its client.
async fn unlock(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(&mut connection).await?;
    connection.close().await
}

/// Lets a running job wait again.
async fn put_back(connection: &mut PgConnection, id: i64, is_counted: bool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update ingest.jobs set state = 'waiting', attempts = attempts - $2
         where id = $1 and state = 'running'",
    )
    .bind(id)
    .bind(i32::from(!is_counted))
    .execute(connection)
    .await?;
    Ok(())
}

/// An error as it is stored: Postgres text holds no NUL, and others' messages can; and they may be of any length.
fn storable(error: &str) -> String {
    error.chars().filter(|it| *it != '\0').take(ERROR_MAX_CHARS).collect()
}

/// Ends a running job; the audit log says so.
async fn end(
    connection: &mut PgConnection,
    job: &Job,
    result: Result<Value, String>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (state, result, error) = match result {
        Ok(result) => ("done", Some(Json(result)), None),
        Err(error) => ("failed", None, Some(storable(&error))),
    };
    let mut tx = connection.begin().await?;
    let ended = sqlx::query(
        "update ingest.jobs set state = $2, result = $3, error = $4, ended_at = $5
         where id = $1 and state = 'running'",
    )
    .bind(job.id)
    .bind(state)
    .bind(result)
    .bind(error)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() > 0 {
        let (arguments, outcome) = (job.audited(), json!({"state": state}));
        let act = Act { actor: &job.requested_by, act: "jobs end", arguments, outcome };
        audit::record(&mut tx, act, now).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_stored_without_nul_and_not_beyond_a_limit() {
        assert_eq!(storable("a\0b"), "ab");
        assert_eq!(storable(&"é".repeat(ERROR_MAX_CHARS + 1)), "é".repeat(ERROR_MAX_CHARS));
    }
}
