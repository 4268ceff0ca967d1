//! `GET /api/overview` and `GET /api/doctor`: the present state of everything, and of what memberflow needs.

use axum::Json;
use axum::extract::State;

use super::ApiState;
use crate::http::problem::Problem;
use crate::ops::doctor::Examined;
use crate::ops::overview::{Overview, overview};

/// Shows the present state: pending, dead and parked items, silent sources, drift.
#[utoipa::path(
    get,
    path = "/api/overview",
    operation_id = "show_overview",
    tag = "events",
    responses((status = 200, body = Overview, description = "As asked for")),
)]
pub async fn show(State(state): State<ApiState>) -> Result<Json<Overview>, Problem> {
    Ok(Json(overview(state.store.pool(), state.clock.now()).await?))
}

/// Checks what memberflow needs and says what fixes what is wrong; at most half a minute old.
#[utoipa::path(
    get,
    path = "/api/doctor",
    operation_id = "examine",
    tag = "audit",
    responses((status = 200, body = Examined, description = "As asked for")),
)]
pub async fn examine(State(state): State<ApiState>) -> Json<Examined> {
    Json(state.doctor.examined(state.clock.now()).await)
}
