//! `POST /api/jobs`: requests a long operation, which runs in the background.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::access::caller::Caller;
use crate::api::extract::Object;
use crate::api::idempotency::KeyHeader;
use crate::http::problem::Problem;
use crate::ops::jobs::{self, Job, Operation};

/// What to do.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobRequest)]
pub struct Requested {
    operation: Operation,
    /// Fix what differs; otherwise it is only compared.
    #[serde(default)]
    is_fix: bool,
    /// Of `reconcile stripe`: the id of the only object to compare, `sub_…`; otherwise all are compared.
    object: Option<String>,
}

/// Requests a job. While one of the operation waits or runs, the answer is that one, or 409 if it does less than requested.
#[utoipa::path(
    post,
    path = "/api/jobs",
    operation_id = "request_job",
    tag = "jobs",
    params(KeyHeader),
    request_body = Requested,
    responses(
        (status = 201, body = Job, description = "A new job"),
        (status = 200, body = Job, description = "The one that waits or runs"),
    ),
)]
pub async fn request(
    State(state): State<ApiState>,
    caller: Caller,
    Object(requested): Object<Requested>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let Requested { operation, is_fix, object } = requested;
    let (pool, now) = (state.store.pool(), state.clock.now());
    let (job, is_new) = jobs::request(pool, operation, is_fix, object.as_deref(), &caller.actor, now).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(job)))
}
