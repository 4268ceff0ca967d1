//! What all pages have in common: their frame, and what is shown instead where there is no page.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{Html, IntoResponse, Response};

use super::error::PageError;
use crate::config::console_roles::Role;
use crate::console::assets;
use crate::console::session::Session;

/// A place in the navigation.
pub(in crate::console) struct Place {
    /// What pages call it.
    pub name: &'static str,
    /// Its address.
    pub href: &'static str,
    /// With `g` before it, it leads there.
    pub key: &'static str,
    /// Who may go there.
    least: Role,
}

impl Place {
    const fn of(name: &'static str, href: &'static str, key: &'static str, least: Role) -> Self {
        Self { name, href, key, least }
    }
}

/// The navigation, in its order.
const PLACES: [Place; 10] = [
    Place::of("Overview", "/console", "o", Role::Viewer),
    Place::of("Members", "/console/members", "m", Role::Viewer),
    Place::of("Tickets", "/console/tickets", "t", Role::Viewer),
    Place::of("Messages", "/console/messages", "x", Role::Viewer),
    Place::of("Revenue", "/console/revenue", "r", Role::Viewer),
    Place::of("Campaigns", "/console/campaigns", "c", Role::Viewer),
    Place::of("Events", "/console/events", "e", Role::Viewer),
    Place::of("Attention", "/console/attention", "a", Role::Viewer),
    Place::of("Audit", "/console/audit", "u", Role::Admin),
    Place::of("Settings", "/console/settings", "s", Role::Operator),
];

/// What is around a page.
pub(in crate::console) struct Frame {
    /// The page's own name.
    pub title: String,
    /// The [`Place`] in the navigation that it belongs to.
    pub place: &'static str,
    /// Who is signed in.
    pub session: Option<Session>,
}

impl Frame {
    /// Around a page of `place` for somebody who is signed in.
    pub(in crate::console) fn of(session: &Session, place: &'static str, title: impl Into<String>) -> Self {
        Self { title: title.into(), place, session: Some(session.clone()) }
    }

    /// Around a page for anybody.
    pub(in crate::console) fn bare(title: impl Into<String>) -> Self {
        Self { title: title.into(), place: "", session: None }
    }

    /// Where this person may go.
    pub(in crate::console) fn places(&self) -> impl Iterator<Item = &'static Place> {
        let role = self.session.as_ref().map(|session| session.role);
        PLACES.iter().filter(move |place| role.is_some_and(|role| role >= place.least))
    }

    /// Whether this person may change something.
    pub(in crate::console) fn may_change(&self) -> bool {
        self.session.as_ref().is_some_and(Session::may_change)
    }

    pub(in crate::console) fn styles(&self) -> String {
        assets::styles()
    }

    pub(in crate::console) fn htmx(&self) -> String {
        assets::htmx()
    }

    pub(in crate::console) fn theme(&self) -> String {
        assets::theme()
    }

    pub(in crate::console) fn script(&self) -> String {
        assets::script()
    }
}

/// A page.
pub(in crate::console) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// A page with another status.
pub(in crate::console) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "page not rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made; the log says why.")
                .into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    detail: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title) = self.status();
        let mut response =
            page_with(status, &ErrorPage { frame: Frame::bare(title), detail: self.to_string() });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, 5.into());
        }
        response
    }
}
