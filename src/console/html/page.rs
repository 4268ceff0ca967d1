//! What all pages have in common: their frame, and what is shown instead where there is no page.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{Html, IntoResponse, Response};

use crate::console::assets;
use crate::console::signing_in::session::{Role, Session};

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

/// There is no page, or not for this person, or not now.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Nothing has this address.
    #[error("There is nothing at this address.")]
    NotFound,
    /// Something that a page is about does not exist (any more).
    #[error("{0}")]
    Unknown(String),
    /// The request makes no sense; says why.
    #[error("{0}")]
    Invalid(String),
    /// Not for this person, or not from there.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The database does not answer.
    #[error("The database does not answer. Try again in some seconds.")]
    Away,
    /// A bug, or a refusal of the database.
    #[error("Internal error. The service log has the details.")]
    Internal,
}

impl From<sqlx::Error> for PageError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::Tls(_)) {
            tracing::warn!(%error, "the database does not answer");
            return Self::Away;
        }
        // Postgres' text holds no NUL, and an address can.
        if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("22021") {
            return Self::Invalid("A text with a NUL character cannot be looked for.".to_owned());
        }
        tracing::error!(%error, "the database refused a query");
        Self::Internal
    }
}

impl From<FormRejection> for PageError {
    fn from(rejection: FormRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<QueryRejection> for PageError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<PathRejection> for PageError {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    detail: String,
}

impl PageError {
    const fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound | Self::Unknown(_) => (StatusCode::NOT_FOUND, "Not found"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "This makes no sense"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "Not allowed"),
            Self::Away => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong"),
        }
    }
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
