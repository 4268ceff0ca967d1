//! `/console/sign-in/link`: signing in by a link that works once. Opening it shows a button and uses nothing up: what looks
//! at links before people do (previews, scanners) follows no button.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::cookie::HOME;
use super::{links, sign_in};
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page, page_with};
use crate::console::state::Console;

#[derive(Template)]
#[template(path = "signing_in/by_link.html")]
struct SignInLink {
    frame: Frame,
    code: String,
    is_used_up: bool,
}

/// The query string, and the form.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Code {
    code: String,
}

/// Shows the button.
pub(in crate::console) async fn show(
    code: Result<Query<Code>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(Code { code }) = code?;
    Ok(page(&SignInLink { frame: Frame::bare("Sign in"), code, is_used_up: false }))
}

/// Signs in, once.
pub(in crate::console) async fn redeem(
    State(console): State<Console>,
    headers: HeaderMap,
    code: Result<Form<Code>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Code { code }) = code?;
    match links::redeem(console.pool(), console.key(), &code, console.now()).await? {
        Some(session) => sign_in::begin(&console, &headers, &session, None, HOME).await,
        None => {
            console.0.auth_failures.record_and_throttle("console-link-wrong").await;
            let used_up = SignInLink { frame: Frame::bare("Sign in"), code: String::new(), is_used_up: true };
            Ok(page_with(StatusCode::UNAUTHORIZED, &used_up))
        }
    }
}
