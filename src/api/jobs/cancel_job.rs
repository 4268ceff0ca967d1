//! `POST /api/jobs/{job}/cancel`: ends a job that waits or runs.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::access::caller::Caller;
use crate::api::idempotency::KeyHeader;
use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::jobs::{self, Job};

/// Cancels the job. One that runs stops within seconds; what it has fixed by then stays.
#[utoipa::path(
    post,
    path = "/api/jobs/{job}/cancel",
    operation_id = "cancel_job",
    tag = "jobs",
    params(KeyHeader, ("job" = i64, Path, description = "Its number")),
    responses((status = 200, body = Job, description = "As asked for")),
)]
pub async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Path(job): Path<String>,
) -> Result<Json<Job>, Problem> {
    let id: i64 = job.parse().map_err(|_| problem::no_job(&job))?;
    Ok(Json(jobs::cancel(state.store.pool(), id, &caller.actor, state.clock.now()).await?))
}
