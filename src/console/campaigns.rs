//! `/console/campaigns` and `/console/campaigns/{campaign}`: what each campaign brought, and whom.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::html::page::{Frame, PageError, page, page_with};
use super::html::{format, query};
use super::signing_in::session::Session;
use crate::ops::campaigns::{self, Campaign, Detail, STATUSES};

/// Where the list is.
const HERE: &str = "/console/campaigns";
/// Campaigns on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    status: String,
    /// The slug of the last campaign of the page before.
    after: String,
}

impl Params {
    fn address(&self, after: &str) -> String {
        query::address(HERE, [("status", self.status.as_str()), ("after", after)])
    }
}

#[derive(Template)]
#[template(path = "campaigns.html")]
struct Campaigns {
    frame: Frame,
    params: Params,
    campaigns: Vec<Campaign>,
    next: Option<String>,
    error: Option<String>,
}

impl Campaigns {
    const STATUSES: [&'static str; 5] = STATUSES;

    fn first(&self) -> String {
        self.params.address("")
    }
}

/// Shows a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let frame = Frame::of(&session, "Campaigns", "Campaigns");
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (status, after) = (given(&params.status), given(&params.after));
    if status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) || params.after.contains('\0') {
        let error = Some(format!("status is one of {}", STATUSES.join(", ")));
        let page = Campaigns { frame, params, campaigns: Vec::new(), next: None, error };
        return Ok(page_with(StatusCode::BAD_REQUEST, &page));
    }
    let found = campaigns::list(console.pool(), status.as_deref(), after.as_deref(), LIMIT).await?;
    let next = found.next_after.map(|after| params.address(&after));
    Ok(page(&Campaigns { frame, params, campaigns: found.campaigns, next, error: None }))
}

#[derive(Template)]
#[template(path = "campaign.html")]
struct CampaignPage {
    frame: Frame,
    detail: Detail,
}

/// Shows the campaign with this id or slug.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let unknown = || PageError::Unknown(format!("There is no campaign {name}."));
    let detail = campaigns::show(console.pool(), &name).await?.ok_or_else(unknown)?;
    let frame = Frame::of(&session, "Campaigns", detail.campaign.name.clone());
    Ok(page(&CampaignPage { frame, detail }))
}

/// A share in per cent.
fn percent(share: &f64) -> String {
    format!("{:.1} %", share * 100.0)
}
