//! `/console/audit`: what operators did, the newest first. For admins.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Downloads, Listed, Pages, Rows};
use super::html::{format, query};
use super::signing_in::session::{Role, Session};
use super::state::Console;
use crate::ops::audit::{self, Line, Wanted};

/// Where the list is.
const HERE: &str = "/console/audit";
/// Acts on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    actor: String,
    act: String,
    since: String,
    until: String,
    cursor: String,
}

impl Params {
    pub(super) fn filters(&self) -> [(&'static str, &str); 4] {
        [("actor", &self.actor), ("act", &self.act), ("since", &self.since), ("until", &self.until)]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    fn address(&self, cursor: &str) -> String {
        query::address(HERE, self.filters().into_iter().chain([("cursor", cursor)]))
    }

    pub(super) fn wanted(&self) -> Result<Wanted, PageError> {
        Ok(Wanted {
            actor: query::text("actor", &self.actor)?,
            act: query::text("act", &self.act)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    params: Params,
    acts: Vec<Line>,
    pages: Pages,
    downloads: Downloads,
    error: Option<String>,
}

async fn read(console: &Console, params: &Params) -> Result<Rows<Line>, PageError> {
    let cursor = query::cursor(&params.cursor);
    let page = audit::list(console.pool(), &params.wanted()?, cursor, LIMIT).await?;
    Ok(Rows { rows: page.acts, next: page.next_cursor, prev: page.prev_cursor })
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    session.require(Role::Admin)?;
    let Query(params) = params?;
    let Listed { status, rows: acts, pages, error } =
        Listed::of(read(&console, &params).await, &params.cursor, |cursor| params.address(cursor))?;
    let downloads = query::downloads(HERE, params.filters());
    let frame = Frame::of(&session, "Audit", "Audit log");
    Ok(page_with(status, &Audit { frame, params, acts, pages, downloads, error }))
}
