//! `GET /api/jobs/{job}`: one job, how far it is, and what came of it.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::jobs::{self, Job};

/// Reads the job with this number.
#[utoipa::path(
    get,
    path = "/api/jobs/{job}",
    operation_id = "show_job",
    tag = "jobs",
    params(("job" = i64, Path, description = "Its number")),
    responses((status = 200, body = Job, description = "As asked for")),
)]
pub async fn show(State(state): State<ApiState>, Path(job): Path<String>) -> Result<Json<Job>, Problem> {
    let unknown = || problem::no_job(&job);
    let id: i64 = job.parse().map_err(|_| unknown())?;
    jobs::show(state.store.pool(), id).await?.map(Json).ok_or_else(unknown)
}
