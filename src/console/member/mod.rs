//! `/console/members/{user_id}`: one member with everything that is known. The MRR may be that of an earlier moment.

pub(super) mod events;
mod timeline;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::html::error::PageError;
use super::html::page::{Frame, page_with};
use super::html::query::{Listed, Pages, Rows};
use super::html::{format, query};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::ledger::{self, About, Explained, Question, Total};
use crate::ops::members::{self, Detail, ENGAGEMENT_STATUSES, HEALTH_STATUSES, TIMELINE_KINDS};

use timeline::{Happening, Tab};

/// Entries of the timeline on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    /// What the timeline shows.
    kind: String,
    /// The MRR at its end.
    date: String,
    /// As it was known then.
    known_at: String,
    cursor: String,
}

/// The MRR at a moment.
struct MrrThen {
    at: OffsetDateTime,
    known_at: Option<OffsetDateTime>,
    totals: Vec<Total>,
}

#[derive(Template)]
#[template(path = "member/show.html")]
struct MemberPage {
    frame: Frame,
    may_audit: bool,
    here: String,
    params: Params,
    detail: Detail,
    /// As of a moment; none: now.
    then: Option<MrrThen>,
    /// Why there is nothing as of that moment.
    wrong_moment: Option<String>,
    explained: Option<Explained>,
    tabs: Vec<Tab>,
    timeline: Vec<Happening>,
    pages: Pages,
    error: Option<String>,
    tags: String,
    notes: String,
}

impl MemberPage {
    const ENGAGEMENT: [&'static str; 4] = ENGAGEMENT_STATUSES;
    const HEALTH: [&'static str; 3] = HEALTH_STATUSES;

    /// What people set, or "automatic".
    fn set_by_hand<'a>(&self, value: &'a Option<String>, is_manual: &bool) -> &'a str {
        if *is_manual { value.as_deref().unwrap_or_default() } else { "" }
    }
}

impl Params {
    /// The page with this `kind` of entries at `cursor`.
    fn address(&self, here: &str, kind: &str, cursor: &str) -> String {
        let pairs = [("kind", kind), ("date", &self.date), ("known_at", &self.known_at), ("cursor", cursor)];
        query::address(here, pairs)
    }
}

/// Shows the member.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    user_id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Response, PageError> {
    let Path(user_id) = user_id?;
    let params: Params = query::parse(&uri)?;
    let (pool, now) = (console.pool(), console.now());
    let country = &console.0.store.settings().sms.country_code;
    let detail = members::show(pool, user_id, country, now).await?.ok_or_else(|| unknown(user_id))?;
    let here = format!("/console/members/{user_id}");
    let mut listed = Listed::of(entries(&console, user_id, &params).await, &params.cursor, |cursor| {
        params.address(&here, &params.kind, cursor)
    })?;
    let (then, wrong_moment) = match mrr_then(&console, user_id, &params).await {
        Ok(then) => (then, None),
        Err(PageError::Invalid(detail)) => {
            listed.status = StatusCode::BAD_REQUEST;
            (None, Some(detail))
        }
        Err(error) => return Err(error),
    };
    let explained = match &then {
        // What objects were is known as it is known now.
        Some(MrrThen { known_at: Some(_), .. }) => None,
        then => {
            let at = then.as_ref().map(|then| then.at);
            ledger::explain_at(pool, &About::User(user_id), at, now).await?
        }
    };
    let name = detail.member.full_name.clone().or_else(|| detail.member.email.clone());
    let page = MemberPage {
        frame: Frame::of(&session, "Members", name.unwrap_or_else(|| user_id.to_string())),
        may_audit: session.role >= ConsoleRole::Admin,
        tabs: timeline::tabs(|kind| params.address(&here, kind, ""), &params.kind),
        timeline: listed.rows,
        pages: listed.pages,
        error: listed.error,
        tags: detail.member.custom_tags.join("\n"),
        notes: detail.more.admin_notes.clone().unwrap_or_default(),
        here,
        params,
        detail,
        then,
        wrong_moment,
        explained,
    };
    Ok(page_with(listed.status, &page))
}

/// There is no such member.
pub(super) fn unknown(user_id: Uuid) -> PageError {
    PageError::Unknown(format!("There is no account {user_id}, or it was deleted."))
}

async fn entries(console: &Console, user_id: Uuid, params: &Params) -> Result<Rows<Happening>, PageError> {
    let kind = query::one_of("kind", &params.kind, &TIMELINE_KINDS)?;
    let cursor = query::cursor(&params.cursor);
    let page = members::timeline(console.pool(), user_id, kind.as_deref(), cursor, LIMIT).await?;
    let page = page.ok_or_else(|| unknown(user_id))?;
    let rows = page.entries.into_iter().map(Happening::of).collect();
    Ok(Rows { rows, next: page.next_cursor, prev: page.prev_cursor })
}

/// The MRR at the moment that was asked for, if one was.
async fn mrr_then(console: &Console, user_id: Uuid, params: &Params) -> Result<Option<MrrThen>, PageError> {
    let (at, known_at) = (query::end_of(&params.date)?, query::end_of(&params.known_at)?);
    if at.is_none() && known_at.is_none() {
        return Ok(None);
    }
    let question = Question { at, known_at, user_id: Some(user_id) };
    let answer = ledger::mrr_at(console.pool(), &question, console.now()).await?;
    Ok(Some(MrrThen { at: answer.at, known_at, totals: answer.totals }))
}
