//! `/console/sign-in`: the ways to sign in, and the one by the admin token.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::cookie::{cookie, id_of, own_page};
use super::sessions;
use super::supabase::SignInError;
use super::supabase::roles::Account;
use crate::config::console_roles::ConsoleRole;
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page_with};
use crate::console::session::Session;
use crate::console::state::Console;
use crate::http::secret::constant_time_eq;

/// What the audit log calls whoever signed in by the admin token.
pub const BY_TOKEN: &str = "console";

#[derive(Template)]
#[template(path = "signing_in/choose.html")]
struct SignIn<'a> {
    frame: Frame,
    next: &'a str,
    /// Why nobody was signed in; empty before the first attempt.
    error: &'a str,
    by_password: bool,
    by_email: bool,
    by_token: bool,
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

/// Asks for what signs in.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = params?;
    Ok(ask(&console, StatusCode::OK, "", own_page(params.next.as_deref())))
}

fn ask(console: &Console, status: StatusCode, error: &str, next: &str) -> Response {
    let supabase = console.0.supabase.as_ref();
    let page = SignIn {
        frame: Frame::bare("Sign in"),
        next,
        error,
        by_password: supabase.is_some(),
        by_email: supabase.is_some_and(|supabase| supabase.sends_links()),
        by_token: console.0.admin_token.is_some(),
    };
    page_with(status, &page)
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
    let is_right = |admin: &secrecy::SecretString| constant_time_eq(token, admin.expose_secret().as_bytes());
    if !console.0.admin_token.as_ref().is_some_and(is_right) {
        console.0.auth_failures.record_and_throttle("console-token-wrong").await;
        let error = "This is not the admin token that the service was started with.";
        return Ok(ask(&console, StatusCode::UNAUTHORIZED, error, next));
    }
    let session = Session { actor: BY_TOKEN.to_owned(), role: ConsoleRole::Admin };
    begin(&console, &headers, &session, None, next).await
}

/// Begins a session, with an id that nobody knew before, in place of the one that the browser may have.
pub(in crate::console) async fn begin(
    console: &Console,
    headers: &HeaderMap,
    session: &Session,
    account: Option<Account>,
    next: &str,
) -> Result<Response, PageError> {
    if let Some(former) = id_of(headers) {
        sessions::end(console.pool(), console.key(), former).await?;
    }
    let id = sessions::begin(console.pool(), console.key(), session, account, console.now()).await?;
    // No address in the log: the id leads to it for whoever may read the database.
    match account {
        Some(account) => {
            tracing::info!(user = %account.user_id, role = session.role.as_str(), "signed in to the console");
        }
        None => {
            tracing::info!(actor = session.actor, role = session.role.as_str(), "signed in to the console");
        }
    }
    let set_cookie = [(SET_COOKIE, cookie(&id, console.0.is_secure))];
    Ok((set_cookie, Redirect::to(next)).into_response())
}

/// Says that nobody was signed in, to those who are refused at the pace of all refusals.
pub(in crate::console) async fn refuse(
    console: &Console,
    error: SignInError,
    next: &str,
) -> Result<Response, PageError> {
    let (reason, status, text) = match error {
        SignInError::Refused(reason) => (
            reason,
            StatusCode::UNAUTHORIZED,
            "That is not right, or not somebody who may use the console. After ten attempts at an address, wait a quarter \
             of an hour.",
        ),
        SignInError::CodeNeeded => (
            "console-code-missing",
            StatusCode::UNAUTHORIZED,
            "Your account has a second factor: try again with the code of your authenticator app as well.",
        ),
        SignInError::TooMany => (
            "console-supabase-busy",
            StatusCode::TOO_MANY_REQUESTS,
            "Supabase takes no more attempts for now. Try again in some minutes.",
        ),
        SignInError::Away => {
            let text = "Supabase does not answer or rejects our requests: the service log has the details.";
            return Ok(ask(console, StatusCode::SERVICE_UNAVAILABLE, text, next));
        }
        SignInError::NoLinks => return Err(PageError::NotFound),
        SignInError::Database(error) => return Err(error.into()),
    };
    console.0.auth_failures.record_and_throttle(reason).await;
    Ok(ask(console, status, text, next))
}
