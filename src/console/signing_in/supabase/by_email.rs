//! `/console/sign-in/email`: signing in by a link or a code that Supabase sends by e-mail.
//!
//! The link works only in the browser that requested it, and opening it only shows a button: what opens links before
//! people do signs nobody in, and a link that somebody else sends signs nobody in as themselves.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::{Password, SignInError};
use crate::console::html::error::PageError;
use crate::console::html::page::{Frame, page, page_with};
use crate::console::signing_in::cookie::{HOME, cookie_named};
use crate::console::signing_in::{sessions, sign_in};
use crate::console::state::Console;

/// The cookie with what a link works together with.
const COOKIE_NAME: &str = "memberflow_console_link";
/// For how long the browser keeps it, in seconds: links of Supabase work for an hour at most, unless it is set otherwise.
const COOKIE_LASTS_S: u32 = 3600;

#[derive(Template)]
#[template(path = "signing_in/by_email.html")]
struct EmailSent<'a> {
    frame: Frame,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "signing_in/by_email_link.html")]
struct EmailLink {
    frame: Frame,
    code: String,
    is_here: bool,
}

/// Whom to send an e-mail.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Address {
    email: String,
}

/// Sends it, if somebody of this address may use the console; the answer is the same where not.
pub(in crate::console) async fn send(
    State(console): State<Console>,
    fields: Result<Form<Address>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Address { email }) = fields?;
    let supabase = console.supabase()?;
    let verifier = sessions::random();
    match supabase.send_link(console.pool(), &email, &verifier, console.now()).await {
        Ok(()) => {}
        Err(SignInError::Refused(reason)) => console.0.auth_failures.record_and_throttle(reason).await,
        Err(error) => return sign_in::refuse(&console, error, HOME).await,
    }
    let mut response = page(&EmailSent { frame: Frame::bare("Sign in"), email: &email });
    set_cookie(&console, &mut response, &verifier);
    Ok(response)
}

/// What Supabase puts behind the address that a link leads to: a code, or why there is none.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Arrival {
    #[serde(default)]
    code: String,
}

/// Shows the button.
pub(in crate::console) async fn show(
    State(console): State<Console>,
    arrival: Result<Query<Arrival>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(Arrival { code }) = arrival?;
    console.supabase()?;
    let status = if code.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    // Whether this browser requested it shows when the button is pressed: on the way from an e-mail, its cookie stays behind.
    let link = EmailLink { frame: Frame::bare("Sign in"), code, is_here: true };
    Ok(page_with(status, &link))
}

/// The button's form.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Link {
    /// What the link brought.
    link: String,
    /// Of the second factor.
    #[serde(default)]
    code: String,
}

/// Signs in by the link.
pub(in crate::console) async fn redeem(
    State(console): State<Console>,
    headers: HeaderMap,
    fields: Result<Form<Link>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Link { link, code }) = fields?;
    let supabase = console.supabase()?;
    let Some(verifier) = cookie_named(&headers, COOKIE_NAME) else {
        console.0.auth_failures.record_and_throttle("console-email-link-elsewhere").await;
        let link = EmailLink { frame: Frame::bare("Sign in"), code: link, is_here: false };
        return Ok(page_with(StatusCode::UNAUTHORIZED, &link));
    };
    let signed_in = supabase.by_link(console.pool(), &link, verifier, &code, console.now()).await;
    match signed_in {
        Ok((session, account)) => {
            let mut response = sign_in::begin(&console, &headers, &session, Some(account), HOME).await?;
            set_cookie(&console, &mut response, "");
            Ok(response)
        }
        Err(error) => sign_in::refuse(&console, error, HOME).await,
    }
}

/// The form for the code that stands in the e-mail.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Code {
    email: String,
    email_code: String,
    /// Of the second factor.
    #[serde(default)]
    code: String,
}

/// Signs in by the code.
pub(in crate::console) async fn enter_code(
    State(console): State<Console>,
    headers: HeaderMap,
    fields: Result<Form<Code>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(Code { email, email_code, code }) = fields?;
    let supabase = console.supabase()?;
    let attempt = Password { email: &email, password: &email_code, code: &code };
    match supabase.by_code(console.pool(), &attempt, console.now()).await {
        Ok((session, account)) => sign_in::begin(&console, &headers, &session, Some(account), HOME).await,
        Err(error) => sign_in::refuse(&console, error, HOME).await,
    }
}

/// Gives the browser the verifier, or takes it away where it is empty.
fn set_cookie(console: &Console, response: &mut Response, verifier: &str) {
    let secure = if console.0.is_secure { "; Secure" } else { "" };
    let lasts = if verifier.is_empty() { 0 } else { COOKIE_LASTS_S };
    let cookie = format!(
        "{COOKIE_NAME}={verifier}; Path=/console/sign-in; HttpOnly; SameSite=Strict; Max-Age={lasts}{secure}"
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
