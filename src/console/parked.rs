//! `/console/parked`: what waits for a missing piece, one by one, the longest first. What came by events can be applied
//! again; first it is shown what that would change.

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::events::acts::apply_again;
use super::html::page::{Frame, PageError, page_with};
use super::html::query::{Found, Listed, Pages};
use super::html::{format, query};
use super::signing_in::session::{Role, Session};
use crate::ops::parked::{self, Parked, Waiting, Wanted};

/// Where the list is.
const HERE: &str = "/console/parked";
/// Parked items on a page.
const LIMIT: u32 = 50;

/// The query string; an empty value is what a form sends for "any".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    reason: String,
    object: String,
    since: String,
    until: String,
    cursor: String,
}

impl Params {
    fn filters(&self) -> [(&'static str, &str); 4] {
        [("reason", &self.reason), ("object", &self.object), ("since", &self.since), ("until", &self.until)]
    }

    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    fn address(&self, cursor: &str) -> String {
        query::address(HERE, self.filters().into_iter().chain([("cursor", cursor)]))
    }

    fn wanted(&self) -> Result<Wanted, String> {
        Ok(Wanted {
            reason: query::text("reason", &self.reason)?,
            subject: query::text("object", &self.object)?,
            since: query::moment("since", &self.since)?,
            until: query::moment("until", &self.until)?,
        })
    }
}

#[derive(Template)]
#[template(path = "parked.html")]
struct List {
    frame: Frame,
    may_change: bool,
    params: Params,
    reasons: Vec<Parked>,
    parked: Vec<Waiting>,
    pages: Pages,
    error: Option<String>,
}

/// Shows a page of the list.
pub(super) async fn show(
    State(console): State<Console>,
    session: Session,
    uri: Uri,
) -> Result<Response, PageError> {
    let params: Params = query::parse(&uri)?;
    let (pool, cursor) = (console.pool(), query::cursor(&params.cursor));
    let found = match params.wanted() {
        Ok(wanted) => query::said(parked::page(pool, &wanted, cursor, LIMIT).await)?,
        Err(detail) => Err(detail),
    };
    let found = found.map(|page| Found { rows: page.parked, next: page.next_cursor, prev: page.prev_cursor });
    let Listed { status, rows: parked, pages, error } =
        Listed::of(found, &params.cursor, |cursor| params.address(cursor));
    let frame = Frame::of(&session, "Attention", "Parked");
    let (may_change, reasons) = (session.may_change(), parked::reasons(pool).await?);
    Ok(page_with(status, &List { frame, may_change, params, reasons, parked, pages, error }))
}

/// Shows what applying the chosen ones again would change.
pub(super) async fn act(
    State(console): State<Console>,
    session: Session,
    body: Bytes,
) -> Result<Response, PageError> {
    session.require(Role::Operator)?;
    let (mut subjects, mut is_all, mut params) = (Vec::new(), false, Params::default());
    for (name, value) in form_urlencoded::parse(&body) {
        match name.as_ref() {
            "parked" => subjects.push(value.into_owned()),
            "all" => is_all = value == "yes",
            "reason" => params.reason = value.into_owned(),
            "object" => params.object = value.into_owned(),
            "since" => params.since = value.into_owned(),
            "until" => params.until = value.into_owned(),
            other => return Err(PageError::Invalid(format!("there is no field {other}"))),
        }
    }
    if is_all {
        let wanted = params.wanted().map_err(PageError::Invalid)?;
        subjects = parked::subjects(console.pool(), &wanted).await?;
    }
    let events = parked::events(console.pool(), &subjects).await?;
    if events.is_empty() {
        let detail =
            "None of these came by an event that could be applied again. What fixes them stands at each.";
        return Err(PageError::Invalid(detail.to_owned()));
    }
    apply_again(&console, &session, events).await
}
