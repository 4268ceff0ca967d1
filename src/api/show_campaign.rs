//! `GET /api/campaigns/{campaign}`: one campaign with its newest leads.

use axum::Json;
use axum::extract::{Path, State};

use super::{ApiState, problem};
use crate::http::problem::Problem;
use crate::ops::campaigns::{self, Detail};

/// Reads the campaign of this id or slug.
#[utoipa::path(
    get,
    path = "/api/campaigns/{campaign}",
    operation_id = "show_campaign",
    tag = "campaigns",
    params(("campaign" = String, Path, description = "Its id or slug")),
    responses((status = 200, body = Detail, description = "As asked for")),
)]
pub async fn show(
    State(state): State<ApiState>,
    Path(campaign): Path<String>,
) -> Result<Json<Detail>, Problem> {
    let name = if campaign.contains('\0') { "" } else { campaign.as_str() };
    let detail = campaigns::show(state.store.pool(), name).await?;
    detail.map(Json).ok_or_else(|| problem::no_campaign(&campaign))
}
