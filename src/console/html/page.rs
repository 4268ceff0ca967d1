//! What all pages have in common: their frame, and what is shown instead where there is no page.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{Html, IntoResponse, Response};

use super::error::PageError;
use crate::config::console_roles::ConsoleRole;
use crate::console::assets;
use crate::console::session::Session;

/// An item of the navigation.
pub(in crate::console) struct NavItem {
    /// What pages call it.
    pub name: &'static str,
    /// Its address.
    pub href: &'static str,
    /// With `g` before it, it leads there.
    pub key: &'static str,
    /// Who may go there.
    least: ConsoleRole,
}

impl NavItem {
    const fn of(name: &'static str, href: &'static str, key: &'static str, least: ConsoleRole) -> Self {
        Self { name, href, key, least }
    }
}

/// The navigation, in its order.
const NAVIGATION: [NavItem; 10] = [
    NavItem::of("Overview", "/console", "o", ConsoleRole::Viewer),
    NavItem::of("Members", "/console/members", "m", ConsoleRole::Viewer),
    NavItem::of("Tickets", "/console/tickets", "t", ConsoleRole::Viewer),
    NavItem::of("Messages", "/console/messages", "x", ConsoleRole::Viewer),
    NavItem::of("Revenue", "/console/revenue", "r", ConsoleRole::Viewer),
    NavItem::of("Campaigns", "/console/campaigns", "c", ConsoleRole::Viewer),
    NavItem::of("Events", "/console/events", "e", ConsoleRole::Viewer),
    NavItem::of("Attention", "/console/attention", "a", ConsoleRole::Viewer),
    NavItem::of("Audit", "/console/audit", "u", ConsoleRole::Admin),
    NavItem::of("Settings", "/console/settings", "s", ConsoleRole::Operator),
];

/// What is around a page.
pub(in crate::console) struct Frame {
    /// The page's own name.
    pub title: String,
    /// The name of the [`NavItem`] that it belongs to.
    pub section: &'static str,
    /// Who is signed in.
    pub session: Option<Session>,
}

impl Frame {
    /// Around a page of `section` for somebody who is signed in.
    pub(in crate::console) fn of(session: &Session, section: &'static str, title: impl Into<String>) -> Self {
        Self { title: title.into(), section, session: Some(session.clone()) }
    }

    /// Around a page for anybody.
    pub(in crate::console) fn bare(title: impl Into<String>) -> Self {
        Self { title: title.into(), section: "", session: None }
    }

    /// Where this person may go.
    pub(in crate::console) fn navigation(&self) -> impl Iterator<Item = &'static NavItem> {
        let role = self.session.as_ref().map(|session| session.role);
        NAVIGATION.iter().filter(move |item| role.is_some_and(|role| role >= item.least))
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
