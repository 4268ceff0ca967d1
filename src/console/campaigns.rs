//! `/console/campaigns` and `/console/campaigns/{campaign}`: what each campaign brought, and whom.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::html::error::PageError;
use super::html::page::{Frame, page, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::signing_in::session::Session;
use super::state::Console;
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
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 1] {
        [("status", &self.status)]
    }

    fn address(&self, cursor: &str) -> String {
        query::address(HERE, self.filters().into_iter().chain([("cursor", cursor)]))
    }

    pub(super) fn status(&self) -> Result<Option<String>, PageError> {
        query::one_of("status", &self.status, &STATUSES)
    }
}

#[derive(Template)]
#[template(path = "campaigns.html")]
struct Campaigns {
    frame: Frame,
    params: Params,
    campaigns: Vec<Campaign>,
    pages: Pages,
    downloads: Downloads,
    error: Option<String>,
}

impl Campaigns {
    const STATUSES: [&'static str; 5] = STATUSES;
}

async fn read(console: &Console, params: &Params) -> Result<Rows<Campaign>, PageError> {
    let cursor = query::text("cursor", &params.cursor)?;
    let page = campaigns::list(console.pool(), params.status()?.as_deref(), cursor.as_deref(), LIMIT).await?;
    Ok(Rows { rows: page.campaigns, next: page.next_after, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let Listed { status, rows: campaigns, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let downloads = query::downloads(HERE, params.filters());
    let frame = Frame::of(&session, "Campaigns", "Campaigns");
    Ok(page_with(status, &Campaigns { frame, params, campaigns, pages, downloads, error }))
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
