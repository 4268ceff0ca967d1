//! `/console/campaigns` and `/console/campaigns/{campaign}`: what each campaign brought, and whom.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::html::columns::{self, Choice, Known, usual, usual_number};
use super::html::error::PageError;
use super::html::page::{Frame, page, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::console::session::Session;
use crate::ops::campaigns::{self, Campaign, Detail, STATUSES};
use crate::ops::views::{self, View};

/// What the list is called in addresses.
const LIST: &str = "campaigns";
/// Where the list is.
const HERE: &str = "/console/campaigns";
/// Campaigns on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    status: String,
    /// Those shown, joined by commas.
    columns: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 1] {
        [("status", &self.status)]
    }

    fn address(&self, cursor: &str) -> String {
        let rest = [("columns", self.columns.as_str()), ("cursor", cursor)];
        query::address(HERE, self.filters().into_iter().chain(rest))
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
    choices: Vec<Choice>,
    list: &'static str,
    views: Vec<View>,
    /// The query string of what is shown.
    query: String,
    error: Option<String>,
}

impl Campaigns {
    const STATUSES: [&'static str; 5] = STATUSES;

    fn shows(&self, column: &str) -> bool {
        columns::is_shown(&self.choices, column)
    }
}

/// The columns besides the name.
const COLUMNS: [Known; 7] = [
    usual("status", "Status"),
    usual_number("leads", "Leads"),
    usual_number("members", "Members"),
    usual_number("revenue", "Revenue"),
    usual_number("cost", "Cost"),
    usual_number("per_lead", "Per lead"),
    usual_number("return", "Return"),
];

async fn read(console: &Console, params: &Params) -> Result<Rows<Campaign>, PageError> {
    let cursor = query::text("cursor", &params.cursor)?;
    let page = campaigns::list(console.pool(), params.status()?.as_deref(), cursor.as_deref(), LIMIT).await?;
    Ok(Rows { rows: page.campaigns, next: page.next_after, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let Listed { status, rows: campaigns, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let page = Campaigns {
        frame: Frame::of(&session, "Campaigns", "Campaigns"),
        choices: columns::chosen(&COLUMNS, &params.columns),
        downloads: query::downloads(HERE, params.filters()),
        list: LIST,
        views: views::of(console.pool(), &session.actor, LIST).await?,
        query: query::of(&params.address("")),
        campaigns,
        pages,
        error,
        params,
    };
    Ok(page_with(status, &page))
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
