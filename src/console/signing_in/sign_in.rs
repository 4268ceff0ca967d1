//! `/console/sign-in`: signing in by the admin token.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::session::{Role, Session, cookie, id_of, own_page};
use super::sessions;
use crate::api::access::bearer;
use crate::console::Console;
use crate::console::html::page::{Frame, PageError, page, page_with};

/// What the audit log calls whoever signed in by the admin token.
pub const BY_TOKEN: &str = "console";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    frame: Frame,
    next: &'a str,
    is_wrong: bool,
}

/// The query string.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Params {
    next: Option<String>,
}

/// The form.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Fields {
    token: String,
    next: Option<String>,
}

/// Asks for the token.
pub(in crate::console) async fn show(
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    let next = own_page(params.next.as_deref());
    Ok(page(&SignIn { frame: Frame::bare("Sign in"), next, is_wrong: false }))
}

/// Signs in whoever knows the token. The others wait for their answers, the longer the more of them come.
pub(in crate::console) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(fields) = fields?;
    let next = own_page(fields.next.as_deref());
    let token = fields.token.trim().as_bytes();
    if !bearer::same(token, console.key().expose_secret().as_bytes()) {
        console.0.rejects.add("console-token-wrong").await;
        let again = SignIn { frame: Frame::bare("Sign in"), next, is_wrong: true };
        return Ok(page_with(StatusCode::UNAUTHORIZED, &again));
    }
    let session = Session { actor: BY_TOKEN.to_owned(), role: Role::Admin };
    begin(&console, &headers, &session, next).await
}

/// Begins a session, with an id that nobody knew before, in place of the one that the browser may have.
pub(in crate::console) async fn begin(
    console: &Console,
    headers: &HeaderMap,
    session: &Session,
    next: &str,
) -> Result<Response, PageError> {
    if let Some(former) = id_of(headers) {
        sessions::end(console.pool(), console.key(), former).await?;
    }
    let id = sessions::begin(console.pool(), console.key(), session, console.now()).await?;
    tracing::info!(actor = session.actor, role = session.role.as_str(), "signed in to the console");
    let set_cookie = [(SET_COOKIE, cookie(&id, console.0.is_secure))];
    Ok((set_cookie, Redirect::to(next)).into_response())
}
